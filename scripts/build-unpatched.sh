#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build what the series is compared with, for the kernel image in build/linux/m and with its
# configuration:
#
#	build/linux/unpatched   vfio-pci-core.ko and vfio-pci.ko without the series
#	build/linux/off         the same with the series and without
#                               CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
objects=$BUILD/linux/m

build() {
	local dest=$BUILD/linux/$1 off=$BUILD/linux/$1/off.h
	rm -rf "$dest"
	mkdir -p "$dest"
	if [ "$1" = unpatched ]; then
		"$TOP/scripts/graft.sh" --unpatched "$tree" "$dest"
		mv "$dest/drivers/vfio/pci" "$dest/changed"
		rm -r "$dest/drivers" "$dest/include"
	fi
	rsync -a --exclude '*/' "$tree/drivers/vfio/pci/" "$dest/"
	rsync -a --include '*/' --include '*.h' --exclude '*' "$tree/drivers/vfio/pci/audit" \
		"$dest/"
	[ "$1" = off ] || { cp "$dest"/changed/* "$dest/" && rm -r "$dest/changed"; }
	# The variant drivers are not built.
	sed -i '/\/$/d' "$dest/Makefile"
	echo '#undef CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT' >"$off"
	kmake "$objects" M="$dest" KCFLAGS="-include $off" modules
}

for kind in unpatched off; do
	step "kernel-$kind" "building vfio-pci-core to compare with: $kind" build $kind
done
