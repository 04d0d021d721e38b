#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the KUnit suites of both modules with the kernel's own kunit.py, on the kernel that has them built in.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
[ -e "$BUILD/linux/y/arch/x86/boot/bzImage" ] || die "no kernel in build/linux/y: run make kunit"
cd "$tree"
exec python3 tools/testing/kunit/kunit.py exec --arch=x86_64 --build_dir="$BUILD/linux/y" --timeout=300 \
	--qemu_args="-accel ${ACCEL:-tcg} -cpu max" "$@" '*pci_audit*'
