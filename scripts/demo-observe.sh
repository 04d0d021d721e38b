#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the VM: show what vfio-pci-audit observe sees on a kernel as it is, on an emulated e1000e.
set -euo pipefail

cd "$(dirname "$0")/.."
device=0000:01:00.0 offset=0x2f8 log=/run/observe.log said=/run/observe.said
tool=$BUILD/target/release/vfio-pci-audit
client() { "$BUILD/target/release/vfio-client" "$@"; }
show() {
	echo
	echo "* $1"
	shift
	"$@" | sed 's/^/    /'
}

"$BUILD/target/release/lab" load vfio-pci vfio_iommu_type1
echo vfio-pci >/sys/bus/pci/devices/$device/driver_override
echo $device >/sys/bus/pci/drivers_probe

echo "This is Linux $(uname -r), as Debian built it. Modules of ours: $(lsmod |
	grep -c pci_audit || true)."
echo "Device $device, an emulated e1000e, is bound to vfio-pci."
echo "Byte $offset of its configuration space is in no capability."
echo
echo "* vfio-pci-audit observe --log $log &"
"$tool" observe --log $log 2>$said &
observe=$!
until grep -q 'observing by' $said; do
	kill -0 $observe 2>/dev/null || { cat $said; exit 1; }
	sleep 0.2
done
sed 's/^/    /' $said
show "a client reads and writes that byte" client read $device $offset 1
client write $device $offset ff
show "a client reads all of it, as QEMU does when it starts" client read $device 0 16
client read $device 0 0x1000 >/dev/null
echo
echo "* a client makes 2000 random accesses"
client stream $device --count 2000 --unassigned-only >/dev/null
kill $observe
wait $observe
show "it is told to stop" tail -n +2 $said
show "the log: at the start, and at the end" bash -c "head -n 8 $log; echo ...; tail -n 6 $log"
show "vfio-pci-audit report $log" "$tool" report $log
show "vfio-pci-audit advise $log" "$tool" advise $log
