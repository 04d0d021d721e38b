#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the variant driver of the tests, for the kernel in build/linux/m:
# build/linux/variant/vfio_pci_loop.ko
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

build() {
	mkdir -p "$BUILD/linux/variant"
	rsync -a --checksum "$TOP"/tools/modules/variant/ "$BUILD/linux/variant/"
	kmake "$BUILD/linux/m" M="$BUILD/linux/variant" modules
}

step kernel-variant "building the variant driver of the tests" build
