#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# e2e.sh [--builtin | --novfio | --parallel] [ARGUMENT...]: run the end-to-end scenarios in the VM,
# on VFIO as modules or built in, or those that need none on a kernel without it, or those where
# accesses race on processors that are emulated at the same time; arguments are those of tools/e2e.
# FRONT=stock runs them on Debian's own kernel, with vfio_pci_audit as a livepatch. LONG=1 runs the
# long scenarios too. DEBUG=1 runs those that allocate and free most on the kernel that looks for
# mistakes (test-kernel-debug.config).
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

kind=m name=e2e memory=2G timeout=3000 objects=() append=() modules=() vm=() long=()
kernel=
if [ "${FRONT:-}" = stock ]; then
	stock=$("$TOP/scripts/build-stock.sh" --image)
	name=e2e-stock kernel=$(echo "$stock"/image/lib/modules/*/vmlinuz) objects=("STOCK=$stock")
	"$TOP/scripts/build-guest.sh" "$kernel"
fi
if [ "${1:-}" = --builtin ]; then
	kind=y name=e2e-builtin objects=("OBJECTS=$BUILD/linux/y")
	# KUnit has its own turn. The rest is to be found again in sysfs, read from the command
	# line.
	append=(--append "kunit.enable=0 vfio_pci_audit.block_pci_unassigned_write vfio_pci_audit.uaccess_allow_ids=8086:10d3,10DE:1eb8")
	shift
	set -- --only builtin/ "$@"
elif [ "${1:-}" = --novfio ]; then
	kind=novfio name=e2e-novfio objects=("OBJECTS=$BUILD/linux/novfio") modules=(pci_audit)
	shift
	set -- --only samples/ "$@"
elif [ "${1:-}" = --parallel ]; then
	name=e2e-parallel vm=(--parallel)
	shift
	set -- --only race/ --only limits/ "$@"
elif [ "${DEBUG:-0}" != 0 ]; then
	kind=debug name=e2e-debug memory=4G objects=("OBJECTS=$BUILD/linux/debug") \
		append=(--append kasan_multi_shot)
	# Linux's ACPI drops a reference it did not get when it is short of memory, of which the
	# faults that are injected make sure.
	vm=(--allow 'KASAN: .* in acpi_')
	if [ $# -eq 0 ]; then
		long=(--long)
		set -- --only leaks/rounds --only leaks/load --only faults/ --only sessions/ \
			--only limits/burst
	fi
fi
if [ "${LONG:-0}" != 0 ]; then
	timeout=14400 long=(--long)
fi
# shellcheck disable=SC2016
exec "$TOP/scripts/vm.sh" --name $name --timeout $timeout --memory $memory \
	--kernel "${kernel:-$BUILD/linux/$kind/arch/x86/boot/bzImage}" "${append[@]}" "${vm[@]}" \
	-- \
	env "${objects[@]}" MODULES="${modules[*]}" bash -c \
	'scripts/vm-modules.sh load $MODULES && "$BUILD/target/release/e2e" "$@"' e2e "${long[@]}" \
	"$@"
