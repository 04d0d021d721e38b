#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the kselftest of the series, for the kernel in build/linux/m:
# build/linux/selftests/vfio/vfio_pci_unassigned_access_test
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
out=$BUILD/linux/selftests/vfio
objects=$BUILD/linux/m

# The distribution's headers may be too old for VFIO's test library.
build() {
	mkdir -p "$out"
	[ -e "$objects/usr/include/linux/iommufd.h" ] || kmake "$objects" headers
	make -C "$tree/tools/testing/selftests/vfio" "OUTPUT=$out" \
		"KHDR_INCLUDES=-isystem $objects/usr/include" \
		"$out/vfio_pci_unassigned_access_test"
}

step selftest "building the kselftest" build
