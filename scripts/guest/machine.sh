# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# The machine of the inner guest, the same where it is booted (build-guest.sh) and where it goes on (vm-guest.sh), with a PCI
# Express port for the device to come.
#
# Time passes with the instructions it executes (32 ns each): by the clock on the wall, a guest that is emulated by an emulated machine
# does little else than serve its timer's interrupts.
guest_machine=(
	-machine "q35,i8042=off,sata=off,smbus=off" -accel tcg -icount shift=5 -cpu "qemu64,+rdrand" -m 192
	-nodefaults -display none -no-reboot
	# Without a power controller, a device is there as soon as it is plugged in.
	-device "pcie-root-port,id=port1,power_controller_present=off"
)
