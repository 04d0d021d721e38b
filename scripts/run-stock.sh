#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the modules for a kernel of Debian's as it is, boot that kernel, and show the modules at work in it.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

"$TOP/scripts/prepare.sh"
stock=$("$TOP/scripts/build-stock.sh" --image)
exec "$TOP/scripts/vm.sh" --name run-stock --timeout 1800 --kernel "$stock"/image/lib/modules/*/vmlinuz -- \
	env STOCK="$stock" scripts/demo.sh
