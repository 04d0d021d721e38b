#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# In the VM: load and unload modules of a kernel's object folder, with their dependencies, without installing them.
#
#	vm-modules.sh load [--objects DIR] [--replace FILE.ko]... [MODULE | MODULE.PARAMETER=VALUE]...
#	vm-modules.sh unload
#
# The folder is build/linux/m unless OBJECTS= or --objects says otherwise; a --replace file stands for the folder's module of
# the same name, or is one more. Parameters reach their module also where it comes in as a dependency. Without a MODULE,
# vfio-pci and vfio_iommu_type1 are meant. unload removes every module there is. What is built in counts as loaded; its parameters belong on the kernel's command line.
set -euo pipefail

die() { printf 'error: vm-modules: %s\n' "$*" >&2; exit 1; }

top=$(cd "$(dirname "$0")/.." && pwd)
objects=${OBJECTS:-${BUILD:-$top/build}/linux/m}
root=/run/vm-modules
tree=$root/lib/modules/$(uname -r)
[ -d /run/virtme ] || [ -e /sys/bus/virtio ] || die "this is for the inside of the VM, see vm.sh"

verb=${1:-}
shift || true
replacements=() modules=() options=()
while [ $# -gt 0 ]; do
	case $1 in
	--objects) objects=$2; shift ;;
	--replace) replacements+=("$2"); shift ;;
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
[ ${#modules[@]} -gt 0 ] || modules=(vfio-pci vfio_iommu_type1)

case $verb in
load)
	rm -rf "$root"
	mkdir -p "$tree" "$root/options"
	ln -s "$objects"/modules.builtin* "$tree/"
	while read -r module; do
		ln -s "$objects/${module%.o}.ko" "$tree/"
	done <"$objects/modules.order"
	for file in "${replacements[@]}"; do
		[ -r "$file" ] || die "no module at $file"
		ln -sf "$(realpath "$file")" "$tree/"
	done
	# As modprobe wants them; the file is there even if it is empty, so that the host's own options stay out.
	printf '%s\n' '' "${options[@]}" >"$root/options/options.conf"
	cp "$objects/modules.order" "$tree/"
	depmod -b "$root"
	for module in "${modules[@]}"; do
		modprobe -d "$root" -C "$root/options" "$module" || die "cannot load $module: $(dmesg | tail -n 3)"
	done
	;;
unload)
	# Those that nobody uses, again and again: modprobe -r leaves some of the dependencies behind.
	while mapfile -t modules < <(awk '$3 == 0 { print $1 }' /proc/modules) && [ ${#modules[@]} -gt 0 ]; do
		rmmod "${modules[@]}"
	done
	[ ! -s /proc/modules ] || die "still in use: $(cut -d' ' -f1 /proc/modules | xargs)"
	;;
*) die "the first word is load or unload" ;;
esac
