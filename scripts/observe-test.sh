#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# observe-test.sh [KERNEL]...: run the scenarios of vfio-pci-audit observe in the VM, on kernels of
# Debian's as they are: bookworm (6.1), trixie (6.12), or stock (7.3, with the module beside, as a
# livepatch, to compare with). Without a word, on all three. No kernel is built.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- bookworm trixie stock
rc=0
for kernel; do
	if [ "$kernel" = stock ]; then
		FRONT=stock "$TOP/scripts/e2e.sh" --only observe/ || rc=1
		continue
	fi
	folder=$("$TOP/scripts/fetch-image.sh" "$kernel")
	# shellcheck disable=SC2016
	"$TOP/scripts/vm.sh" --name "observe-$kernel" --timeout 900 \
		--kernel "$(echo "$folder"/image/lib/modules/*/vmlinuz)" -- \
		env PLAIN=1 STOCK="$folder" bash -c \
		'"$BUILD/target/release/lab" load vfio-pci vfio_iommu_type1 &&
			"$BUILD/target/release/e2e" --only observe/' || rc=1
done
[ "$rc" -eq 0 ]
