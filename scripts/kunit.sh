#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Run the KUnit suites of both modules in QEMU, on the kernel that has them built in; the kernel's
# own kunit.py reads what they print.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
[ -e "$BUILD/linux/y/arch/x86/boot/bzImage" ] || die "no kernel in build/linux/y: run make kunit"
# Its parser, and not its way to start QEMU, which takes /dev/kvm wherever there is one, usable or
# not.
log=$BUILD/log/kunit.log
append=(console=ttyS0 audit=1 kunit.enable=1 'kunit.filter_glob=*pci_audit*' kunit_shutdown=reboot)
timeout 300 qemu-system-x86_64 -accel "${ACCEL:-tcg}" -cpu max -m 1024 -nodefaults -nographic \
	-no-reboot -serial stdio -kernel "$BUILD/linux/y/arch/x86/boot/bzImage" \
	-append "${append[*]}" >"$log" </dev/null ||
	die "QEMU ended with $?, see $log"
exec python3 "$tree/tools/testing/kunit/kunit.py" parse "$log"
