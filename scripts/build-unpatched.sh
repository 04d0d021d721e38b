#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build vfio-pci-core and vfio-pci as they are without the series, for the kernel in build/linux/m, into build/linux/unpatched;
# and, into build/linux/off, vfio_pci_config.o with the series and the option off. Both come from the grafted tree, the one with
# the series reverted in a copy of the folder.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
objects=$BUILD/linux/m

for kind in unpatched off; do
	dest=$BUILD/linux/$kind
	work=$BUILD/linux/$kind-src
	rm -rf "$work"
	mkdir -p "$work/drivers/vfio" "$work/include/linux" "$dest"
	cp -r "$tree/drivers/vfio/pci" "$work/drivers/vfio/"
	cp "$tree/include/linux/vfio_pci_core.h" "$work/include/linux/"
	flags=(-I"$work/include")
	if [ $kind = unpatched ]; then
		for patch in "$TOP"/patches/linux/*.patch; do
			filterdiff_paths=$(sed -n 's,^--- a/,,p' "$patch" | grep -E '^(drivers/vfio/|include/linux/vfio)' || true)
			[ -z "$filterdiff_paths" ] || echo "$patch"
		done | sort -r | while read -r patch; do
			patch -d "$work" -p1 -R -s -F0 --no-backup-if-mismatch <"$patch"
		done
	else
		flags+=(-UCONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT)
	fi
done
