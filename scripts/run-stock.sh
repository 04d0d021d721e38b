#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the modules for a kernel of Debian's as it is, boot that kernel, and show the modules at
# work in it.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

"$TOP/scripts/setup.sh" stock vm
# The modules take longer, most of it on one processor.
userspace() {
	renice -n 19 $BASHPID >/dev/null
	"$TOP/scripts/build-audit.sh" >/dev/null
	host_cargo build --release -p vfio-client
}
step run-stock "building audit userspace and a VFIO client, beside the modules" userspace &
stock=$("$TOP/scripts/build-stock.sh" --image)
wait $!
kernel=$(echo "$stock"/image/lib/modules/*/vmlinuz)
"$TOP/scripts/build-guest.sh" "$kernel"
exec "$TOP/scripts/vm.sh" --name run-stock --timeout 1800 --kernel "$kernel" -- \
	env STOCK="$stock" scripts/demo.sh
