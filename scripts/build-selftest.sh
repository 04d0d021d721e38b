#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the kernel's selftests of VFIO, that of the series among them, for the kernel in
# build/linux/m, in build/linux/selftests/vfio.
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
		"KHDR_INCLUDES=-isystem $objects/usr/include"
}

step selftest "building the selftests of VFIO" build
