#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the VM: load and unload modules of a kernel's object folder, with their dependencies, without
# installing them.
#
#	vm-modules.sh load [--objects DIR] [--replace FILE.ko]... [--options FILE.conf] [MODULE | MODULE.PARAMETER=VALUE]...
#	vm-modules.sh unload [MODULE]...
#
# The folder is build/linux/m unless OBJECTS= or --objects says otherwise; a --replace file stands
# for the folder's module of the same name, or is one more. Parameters reach their module also where
# it comes in as a dependency; --options is a file of modprobe.d. Without a MODULE, vfio-pci and
# vfio_iommu_type1 are meant. unload removes every module of VFIO and ours unless it is told which.
# What is built in counts as loaded; its parameters belong on the kernel's command line.
#
# With STOCK=, a folder of build-stock.sh --image, the modules are those of a stock kernel, and
# vfio_pci_audit comes to it by a livepatch, vfio_pci_audit_livepatch, which is loaded first unless
# other modules are named.
set -euo pipefail

die() { printf 'error: vm-modules: %s\n' "$*" >&2; exit 1; }

top=$(cd "$(dirname "$0")/.." && pwd)
objects=${OBJECTS:-${BUILD:-$top/build}/linux/m}
root=/run/vm-modules
tree=$root/lib/modules/$(uname -r)
[ -d /run/virtme ] || [ -e /sys/bus/virtio ] || die "this is for the inside of the VM, see vm.sh"

verb=${1:-}
shift || true
replacements=() modules=() options=() files=()
while [ $# -gt 0 ]; do
	case $1 in
	--objects) objects=$2; shift ;;
	--replace) replacements+=("$2"); shift ;;
	--options) files+=("$2"); shift ;;
	-*) die "unknown option $1" ;;
	*.*=*)
		value=${1#*=} name=${1%%=*}
		[[ $value != *" "* ]] || value="\"$value\""
		options+=("options ${name%%.*} ${name#*.}=$value")
		;;
	*) modules+=("$1") ;;
	esac
	shift
done
stock=${STOCK:-}
livepatch=/sys/kernel/livepatch/vfio_pci_audit_livepatch

# A task keeps to the old function until it was seen outside of it: a moment, or as long as it
# sleeps in there.
wait_for_livepatch() {
	local end=$((SECONDS + 60)) state
	while read -r state 2>/dev/null <$livepatch/transition && [ "$state" = 1 ]; do
		[ $SECONDS -lt $end ] || die "the livepatch did not come to rest within a minute"
		sleep 0.1
	done
}

case $verb in
load)
	[ ${#modules[@]} -gt 0 ] || modules=(${stock:+vfio_pci_audit_livepatch} vfio-pci vfio_iommu_type1)
	rm -rf "$root"
	mkdir -p "$tree" "$root/options"
	# As modprobe wants them; the file is there even if it is empty, so that the host's own
	# options stay out.
	printf '%s\n' '' "${options[@]}" >"$root/options/options.conf"
	[ ${#files[@]} -eq 0 ] || cp "${files[@]}" "$root/options/"
	if [ -n "$stock" ]; then
		[ ${#replacements[@]} -eq 0 ] || die "nothing replaces a stock kernel's modules"
		for module in "${modules[@]}"; do
			modprobe -d "$stock/image" -C "$root/options" "$module" || die "cannot load $module: $(dmesg | tail -n 3)"
		done
		wait_for_livepatch
		exit
	fi
	ln -s "$objects"/modules.builtin* "$tree/"
	while read -r module; do
		ln -s "$objects/${module%.o}.ko" "$tree/"
	done <"$objects/modules.order"
	for file in "${replacements[@]}"; do
		[ -r "$file" ] || die "no module at $file"
		ln -sf "$(realpath "$file")" "$tree/"
	done
	cp "$objects/modules.order" "$tree/"
	depmod -b "$root"
	for module in "${modules[@]}"; do
		modprobe -d "$root" -C "$root/options" "$module" || die "cannot load $module: $(dmesg | tail -n 3)"
	done
	;;
unload)
	if [ -e $livepatch ] && { [ ${#modules[@]} -eq 0 ] || [[ " ${modules[*]} " == *" vfio_pci_audit_livepatch "* ]]; }; then
		echo 0 >$livepatch/enabled
		wait_for_livepatch
	fi
	[ ${#modules[@]} -eq 0 ] || exec rmmod "${modules[@]}"
	ours() { awk -v users="$1" '/^(vfio|pci_audit)/ && $3 <= users { print $1 }' /proc/modules; }
	# Unload what has no users until nothing is left: modprobe -r leaves some dependencies
	# behind.
	while mapfile -t modules < <(ours 0) && [ ${#modules[@]} -gt 0 ]; do
		rmmod "${modules[@]}"
	done
	[ -z "$(ours 99)" ] || die "still in use: $(ours 99 | xargs)"
	;;
*) die "the first word is load or unload" ;;
esac
