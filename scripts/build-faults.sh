#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build what the scenarios of faults load, for the kernel in build/linux/m:
#
#	build/linux/faults   modules that have functions fail, or change a device
#	build/linux/other    pci-audit.ko of other sources than those of the modules that use it
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

objects=$BUILD/linux/m

faults() {
	mkdir -p "$BUILD/linux/faults"
	rsync -a --checksum "$TOP"/tools/modules/faults/ "$BUILD/linux/faults/"
	kmake "$objects" M="$BUILD/linux/faults" modules
}

# A file more makes other sources.
other() {
	local dest=$BUILD/linux/other
	mkdir -p "$dest"
	rsync -r --checksum --copy-links --delete --exclude /drivers/pci/audit/other.rs \
		--include '/drivers/pci/***' --include '/scripts/***' --include /drivers --exclude '*' \
		"$TOP/src/" "$dest/src/"
	echo '// Other sources.' >"$dest/src/drivers/pci/audit/other.rs"
	echo 'obj-m := src/drivers/pci/audit/' >"$dest/Kbuild"
	kmake "$objects" M="$dest" CONFIG_PCI_AUDIT_KUNIT_TEST= modules
	! cmp -s "$dest/src/drivers/pci/audit/pci-audit.ko" "$objects/drivers/pci/audit/pci-audit.ko"
}

step kernel-faults "building the modules of the faults" faults
step kernel-other "building pci-audit of other sources" other
