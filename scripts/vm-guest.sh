#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the VM: boot a guest that a device is passed through to, and have its root user access the device's configuration space
# through the guest's own sysfs.
#
#	vm-guest.sh [--kernel BZIMAGE] [--timeout SECONDS] BDF [poke=OFFSET:VALUE:SIZE | peek=OFFSET:SIZE | wait]...
#
# The accesses are made in the order given, each in one system call; "guest: " lines on standard output tell of each. After a wait,
# the guest goes on when it gets a line on standard input. A guest
# that cannot do one says "guest: error: " and the exit code is 1; 124 is a guest that took too long (default 300 seconds).
# The vfio modules must be there; a device that vfio-pci does not have yet is given to it.
#
# The guest is emulated by an emulated machine, which is why everything that a guest could do without is switched off, and
# why it boots the uncompressed vmlinux that lies where the BZIMAGE was built, if it is there. Even so, allow it a minute.
set -euo pipefail

die() { printf 'error: vm-guest: %s\n' "$*" >&2; exit 1; }

top=$(cd "$(dirname "$0")/.." && pwd)
build=${BUILD:-$top/build}
kernel=$build/linux/m/arch/x86/boot/bzImage
memory=64
# Where no kernel was built, Debian's own has to do, which is larger and takes minutes to boot: half as long without these.
less=''
if [ -n "${STOCK:-}" ] && [ ! -r "$kernel" ]; then
	kernel=$STOCK/vmlinux memory=256
	less="noapic nolapic lsm= mitigations=off rodata=off initcall_blacklist=load_system_certificate_list,crypto_kdf108_init,\
crypto_algapi_init,wakeup_sources_init"
fi
initrd=$build/guest/initramfs.cpio.gz
timeout=300

while [[ ${1:-} == --* ]]; do
	case $1 in
	--kernel) kernel=$2 ;;
	--timeout) timeout=$2 ;;
	*) die "unknown option $1" ;;
	esac
	shift 2
done
[ $# -gt 0 ] || die "which device?"
device=/sys/bus/pci/devices/$1
bdf=$1
shift
[ -d "$device" ] || die "no device $bdf"
[ -r "$initrd" ] || die "no $initrd: run scripts/build-guest.sh on the host"
# QEMU maps a vmlinux page by page, which is slow over the VM's root file system: give it a copy in memory.
vmlinux=${kernel%/arch/x86/boot/bzImage}
[ ! -d "$vmlinux" ] || vmlinux=$vmlinux/vmlinux
if [ -r "$vmlinux" ]; then
	kernel=/run/vm-guest-vmlinux
	[ "$kernel" -nt "$vmlinux" ] || dd if="$vmlinux" of="$kernel" bs=1M status=none
fi

if [ "$(basename "$(readlink "$device/driver")")" != vfio-pci ]; then
	[ ! -e "$device/driver" ] || echo "$bdf" >"$device/driver/unbind"
	echo vfio-pci >"$device/driver_override"
	echo "$bdf" >/sys/bus/pci/drivers_probe
	[ -e "$device/driver" ] || die "vfio-pci did not take $bdf: are the modules loaded?"
fi
read -r vendor_id <"$device/vendor"
read -r device_id <"$device/device"

rc=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT
timeout -k 5 "$timeout" qemu-system-x86_64 -accel tcg -machine "q35,i8042=off,sata=off,smbus=off" -cpu qemu64 -m "$memory" \
	-global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -nodefaults -display none -no-reboot -serial stdio \
	-kernel "$kernel" -initrd "$initrd" -device "vfio-pci,host=$bdf,rombar=0" \
	-append "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable pty.legacy_count=0 8250.nr_uarts=1 $less \
audit.dev=${vendor_id#0x}:${device_id#0x} $*" | sed -u 's/\r$//' | tee "$output" || rc=$?
if [ "$rc" -eq 124 ]; then
	printf 'error: vm-guest: the guest took longer than %s s\n' "$timeout" >&2
	exit 124
fi
grep -q '^guest: done' "$output" || die "the guest did not come to its end"
! grep -q '^guest: error' "$output"
