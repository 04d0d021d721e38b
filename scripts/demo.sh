#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the VM: show what the modules do, scene by scene, on an emulated e1000e. What reached the
# device is not guessed: probes on the kernel's last functions before the hardware tell. All
# accesses are of one byte, unlike those that others make by the way.
#
# With STOCK=, a folder of build-stock.sh --image, the kernel is Debian's own, and a guest holds the
# device before the modules come.
set -euo pipefail

cd "$(dirname "$0")/.."
device=0000:01:00.0 offset=0x2f8 log=/run/demo
params=/sys/module/vfio_pci_audit/parameters
trace=/sys/kernel/tracing
export LD_LIBRARY_PATH=$BUILD/audit/lib
rows=()

search() { "$BUILD/audit/sbin/ausearch" -m PCI -if "$log/audit.log" "$@" 2>/dev/null || true; }
records() { search --raw | grep -c -E "op=(read|write) offset=$offset" || true; }
client() { "$BUILD/target/release/vfio-client" "$@"; }
probe() {
	local op
	for op in read write; do
		echo "p:demo/$op pci_user_${op}_config_byte pos=\$arg2:u32" >>"$trace/kprobe_events"
		echo "pos == $((offset))" >"$trace/events/demo/$op/filter"
	done
	echo 1 >"$trace/events/demo/enable"
}

# scene WHAT COMMAND...: run it, and note what came of it.
scene() {
	local what=$1 before after reach result
	shift
	before=$(records)
	echo >"$trace/trace"
	echo
	echo "* $what"
	"$@" | sed 's/^/    /'
	scripts/vm-auditd.sh sync
	after=$(records)
	reach=$(grep -v '^#' "$trace/trace" | grep -c . || true)
	result=$(search --raw | grep -E "op=(read|write) offset=$offset" | tail -n 1 |
		sed 's/.*\(op=.*\)/\1/' || true)
	[ "$after" -gt "$before" ] || result=
	rows+=("$(printf '%-46s  %-7s  %s' "$what" "$([ "$reach" -gt 0 ] && echo yes ||
		echo no)" "$result")")
}

[ -d "$trace/events" ] || mount -t tracefs none "$trace"
scripts/vm-modules.sh load vfio-pci vfio_iommu_type1
scripts/vm-auditd.sh start $log >/dev/null
echo vfio-pci >/sys/bus/pci/devices/$device/driver_override
echo $device >/sys/bus/pci/drivers_probe
probe

# The guest that runs while the modules come and go takes its next step.
fifo=/run/demo-guest said=/run/demo-guest.log
steps() { grep -cE '^guest: (waits|done)' $said || true; }
guest_step() {
	local before
	before=$(steps)
	echo >&4
	until [ "$(steps)" -gt "$before" ]; do
		kill -0 "$guest" 2>/dev/null || [ "$(steps)" -gt "$before" ] || return 1
		sleep 1
	done
	grep '^guest: wrote' $said | tail -n 1
}
with_a_guest_inside() {
	echo
	echo "First a real guest takes the device, before the modules are there: QEMU with a vfio-pci device, an emulated machine"
	echo "inside an emulated machine. Give it a minute."
	mkfifo $fifo
	local poke=poke=$offset:0xff:1
	scripts/vm-guest.sh --timeout 1200 $device wait $poke wait $poke wait $poke wait $poke \
		<$fifo >$said 2>&1 &
	guest=$!
	exec 4>$fifo
	until [ "$(steps)" -gt 0 ]; do
		kill -0 "$guest" 2>/dev/null || { cat $said; return 1; }
		sleep 1
	done
	scene "a guest's root writes, no module loaded" guest_step
	echo
	echo "* modprobe vfio_pci_audit_livepatch, while the guest runs"
	scripts/vm-modules.sh load
	scene "the same guest, vfio_pci_audit loaded" guest_step
	echo Y >$params/block_pci_unassigned_write
	scene "the same guest, block_pci_unassigned_write=Y" guest_step
	echo
	echo "* echo 0 >/sys/kernel/livepatch/vfio_pci_audit_livepatch/enabled; rmmod, while the guest runs"
	scripts/vm-modules.sh unload vfio_pci_audit_livepatch vfio_pci_audit pci_audit
	scene "the same guest, vfio_pci_audit unloaded" guest_step
	exec 4>&-
	wait "$guest" || { cat $said; return 1; }
	echo
	echo "* modprobe vfio_pci_audit_livepatch again"
	scripts/vm-modules.sh load
}

echo "Device $device ($(cat /sys/bus/pci/devices/$device/vendor):$(cat \
	/sys/bus/pci/devices/$device/device)), an emulated e1000e, is bound to vfio-pci."
echo "Byte $offset of its configuration space belongs to no capability. Its config space:"
client map $device | sed -n '1,12s/^/    /p'

[ -z "${STOCK:-}" ] || with_a_guest_inside
scene "read, nothing blocked" client read $device $offset 1
scene "write, nothing blocked" client write $device $offset ff
echo Y >$params/block_pci_unassigned_read
scene "read, block_pci_unassigned_read=Y" client read $device $offset 1
scene "write, block_pci_unassigned_read=Y" client write $device $offset ff
echo Y >$params/block_pci_unassigned_write
scene "write, block_pci_unassigned_write=Y too" client write $device $offset ff
echo 8086:10d3 >$params/uaccess_allow_ids
scene "write, device in uaccess_allow_ids" client write $device $offset ff
echo >$params/uaccess_allow_ids
if [ -z "${STOCK:-}" ]; then
	echo
	echo "A real guest comes next: QEMU with a vfio-pci device, in which root writes through the guest's own sysfs."
	echo "(It is an emulated machine inside an emulated machine. Give it a minute.)"
	scene "a guest's root writes, both toggles Y" scripts/vm-guest.sh $device \
		poke=$offset:0xff:1
fi

echo
echo "ausearch -m PCI:"
search | grep '^type=' | sed 's/^/    /' | tail -n 25
echo
printf '%-46s  %-7s  %s\n' "what was tried" "reached" "recorded"
printf '%s\n' "${rows[@]}"
