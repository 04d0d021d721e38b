#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Show vfio-pci-audit observe in a kernel of Debian 13's as it is (6.12), in which nothing of ours
# is loaded. No kernel is built, and no module.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

"$TOP/scripts/setup.sh" vm
# It waits for the network while the processors build.
"$TOP/scripts/fetch-image.sh" trixie >"$BUILD/log/run-observe-image.log" 2>&1 &
step run-observe-tools "building the tool and a VFIO client, while Debian's kernel comes" \
	host_cargo build --release -p vfio-client -p vfio-pci-audit
wait $! || { cat "$BUILD/log/run-observe-image.log" >&2; die "there is no kernel to show it in"; }
folder=$("$TOP/scripts/fetch-image.sh" trixie)
exec "$TOP/scripts/vm.sh" --name run-observe --timeout 600 \
	--kernel "$(echo "$folder"/image/lib/modules/*/vmlinuz)" -- \
	env STOCK="$folder" scripts/demo-observe.sh
