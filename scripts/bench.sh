#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# bench.sh [--quick]: count the instructions of system calls on configuration space, with the series
# and without, in one VM whose time-stamp counter counts instructions, and with the livepatch and
# without in another, on Debian's own kernel. Tables, charts and JSON come to build/bench; the exit
# code says whether a target is missed. UPDATE=1 also puts the table into
# Documentation/performance.rst.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

out=$BUILD/bench doc=$TOP/Documentation/performance.rst
bench=$BUILD/target/release/bench
mkdir -p "$out" "$BUILD/linux/bench"

yardstick() {
	rsync -a --checksum "$TOP"/tools/modules/yardstick/ "$BUILD/linux/bench/"
	kmake "$BUILD/linux/m" M="$BUILD/linux/bench" modules
}
step kernel-bench "building the yardstick" yardstick

# Devices to hold many sessions on, each in a group of its own behind a root port of its own.
crowd=()
for n in $(seq 0 63); do
	port=$(printf 'addr=0x%x.%x' $((0x15 + n / 8)) $((n % 8)))
	crowd+=(-device "pcie-root-port,id=crowd$n,bus=pcie.0,$port,multifunction=on,chassis=$((100 + n)),slot=$((100 + n))"
		-device "edu,bus=crowd$n")
done
step bench "counting instructions" "$TOP/scripts/vm.sh" --name bench --icount --timeout 3000 \
	--qemu "${crowd[*]}" -- \
	"$bench" measure "$@" "$out/results.json"

stock=$("$TOP/scripts/build-stock.sh" --image)
step bench-stock "counting instructions on Debian's own kernel" "$TOP/scripts/vm.sh" --name \
	bench-stock --icount --timeout 3000 \
	--kernel "$(echo "$stock"/image/lib/modules/*/vmlinuz)" -- env "STOCK=$stock" "$bench" \
	measure "$out/stock.json"

rc=0
"$bench" report --stock "$out/stock.json" "$out/results.json" "$out" || rc=$?
{
	echo
	echo "Sizes of the modules, in bytes:"
	echo
	(cd "$BUILD/linux/m/drivers" &&
		/usr/lib/llvm-19/bin/llvm-size pci/audit/pci-audit.ko \
		vfio/pci/audit/vfio-pci-audit.ko)
	echo
	echo "Stack frames of 100 bytes and more:"
	echo
	(cd "$BUILD/linux/m/drivers" &&
		objdump -d pci/audit/pci-audit.ko vfio/pci/audit/vfio-pci-audit.ko |
		"$BUILD/linux/src/scripts/checkstack.pl" x86_64 | sed 's/^0x[0-9a-f]* //')
} | tee "$out/sizes.txt"

if [ "${UPDATE:-0}" = 1 ]; then
	sed -i -e "/^\.\. table begins/,/^\.\. table ends/{/^\.\. table/!d}" -e \
		"/^\.\. table begins/{
		a\\

		r $out/table.rst
		a\\

	}" "$doc"
fi
[ "$rc" -eq 0 ]
