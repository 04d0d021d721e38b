#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the VM: go on with the guest that build-guest.sh booted, plug a device into it by vfio-pci, and
# have its root user access the device's configuration space through the guest's own sysfs.
#
#	vm-guest.sh [--timeout SECONDS] BDF [poke=OFFSET:VALUE:SIZE | peek=OFFSET:SIZE | wait]...
#
# The accesses are made in the order given, each in one system call; "guest: " lines on standard
# output tell of each. After a wait, the guest goes on when it gets a line on standard input. A
# guest that cannot do one says "guest: error: " and the exit code is 1; 124 is a guest that took
# too long (default 300 seconds). The vfio modules must be there; a device that vfio-pci does not
# have yet is given to it.
set -euo pipefail

die() { printf 'error: vm-guest: %s\n' "$*" >&2; exit 1; }

top=$(cd "$(dirname "$0")/.." && pwd)
state=${BUILD:-$top/build}/guest/state
timeout=300
# shellcheck source=guest/machine.sh
. "$top/scripts/guest/machine.sh"

while [[ ${1:-} == --* ]]; do
	case $1 in
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
[ -r "$state" ] || die "no $state: run scripts/build-guest.sh on the host"

if [ "$(basename "$(readlink "$device/driver")")" != vfio-pci ]; then
	[ ! -e "$device/driver" ] || echo "$bdf" >"$device/driver/unbind"
	echo vfio-pci >"$device/driver_override"
	echo "$bdf" >/sys/bus/pci/drivers_probe
	[ -e "$device/driver" ] || die "vfio-pci did not take $bdf: are the modules loaded?"
fi
read -r vendor_id <"$device/vendor"
read -r device_id <"$device/device"

run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
mkfifo "$run"/{monitor.in,monitor.out,console}
exec 3<>"$run/monitor.in" 4<>"$run/monitor.out" 5<>"$run/console"
exec 6< <(
	timeout -k 5 "$timeout" qemu-system-x86_64 "${guest_machine[@]}" -incoming "exec:cat '$state'" -serial stdio \
		-chardev "pipe,id=monitor,path=$run/monitor" -mon monitor <"$run/console" 3>&- 4>&- 5>&- | sed -u 's/\r$//'
)
guest=$!
# Not by polling, here where a process costs a tenth of a second.
while read -r line <&6 && [ "$line" != "guest: up" ]; do
	printf '%s\n' "$line"
done
tee "$run/said" <&6 &

echo "device_add vfio-pci,host=$bdf,rombar=0,bus=port1" >&3
echo "device=${vendor_id#0x}:${device_id#0x}" >&5
for action; do
	if [ "$action" != wait ]; then
		echo "$action" >&5
		continue
	fi
	echo say=waits >&5
	while kill -0 $guest 2>/dev/null; do
		rc=0
		read -t 1 -r _ || rc=$?
		[ $rc -gt 128 ] || break
	done
done
echo end >&5

wait $!
rc=0
wait $guest || rc=$?
# What the monitor had to object, if anything.
dd bs=64K count=1 iflag=nonblock status=none <&4 2>/dev/null | tr '\r' '\n' | grep -a '^Error' >&2 || true
[ $rc -ne 124 ] || { printf 'error: vm-guest: the guest took longer than %s s\n' "$timeout" >&2; exit 124; }
grep -q '^guest: done' "$run/said" || die "the guest did not come to its end"
! grep -q '^guest: error' "$run/said"
