#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# prepare.sh [m] [y] [novfio] [debug] [unpatched]: install what is missing and build what is out of
# date: audit userspace, the host's tools, the inner guest, and the kernels that are named;
# unpatched is all that tests load besides the kernel's own modules. With nothing named, it is what
# tests want beside a stock kernel.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

if [ $# -gt 0 ]; then "$TOP/scripts/setup.sh"; else "$TOP/scripts/setup.sh" stock vm; fi
"$TOP/scripts/build-audit.sh" >/dev/null
[ $# -gt 0 ] || "$TOP/scripts/build-audit.sh" --unpatched >/dev/null
step tools "building the host's tools" host_cargo build --release
for what; do
	case $what in
	m)
		"$TOP/scripts/build-kernel.sh" m
		"$TOP/scripts/build-guest.sh" "$BUILD/linux/m/arch/x86/boot/bzImage"
		;;
	y | novfio | debug) "$TOP/scripts/build-kernel.sh" "$what" ;;
	unpatched)
		"$TOP/scripts/build-unpatched.sh"
		"$TOP/scripts/build-audit.sh" --unpatched >/dev/null
		"$TOP/scripts/build-variant.sh"
		"$TOP/scripts/build-selftest.sh"
		;;
	*) die "usage: prepare.sh [m] [y] [novfio] [debug] [unpatched]" ;;
	esac
done
