#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-selftest.sh [arm64]: build the kernel's selftests of VFIO, that of the series among them,
# for the kernel in build/linux/m, in build/linux/selftests/vfio; or those that run on arm64,
# static, in build/linux/selftests/arm64.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
objects=$BUILD/linux/${1:-m}
out=$BUILD/linux/selftests/${1:-vfio}
options=()
if [ "${1:-}" = arm64 ]; then
	export ARCH=arm64
	options=(CC=aarch64-linux-gnu-gcc "EXTRA_CFLAGS=-I$BUILD/arm64/usr/include"
		"$out"/vfio_pci_{device,unassigned_access}_test)
	export LDFLAGS="-static -L$BUILD/arm64/usr/lib/aarch64-linux-gnu"
fi

# The distribution's headers may be too old for VFIO's test library.
build() {
	mkdir -p "$out"
	[ -e "$objects/usr/include/linux/iommufd.h" ] || kmake "$objects" headers
	make -C "$tree/tools/testing/selftests/vfio" "OUTPUT=$out" \
		"KHDR_INCLUDES=-isystem $objects/usr/include" "${options[@]}"
}

step "selftest${1:+-$1}" "building the selftests of VFIO${1:+ for $1}" build
