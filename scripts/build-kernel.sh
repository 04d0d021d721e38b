#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-kernel.sh KIND: graft into the kernel tree and build a test kernel in build/linux/KIND. m
# has VFIO as modules, y has it and the KUnit suites built in, novfio has none. debug is m with
# every checker of mistakes, debug-stock the same with VFIO as it is. arm64 is y for arm64. Only the
# modules are built for arm64-gcc, by GCC, and for s390, which is big-endian. KDIR= is a tree of the
# user's; without it one is fetched.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

usage="usage: build-kernel.sh m|y|novfio|debug|debug-stock|arm64|arm64-gcc|s390"
kind=${1:?$usage}
tree=${KDIR:-$("$TOP/scripts/fetch-kernel.sh")}
tree=$(cd "$tree" && pwd) || die "no kernel tree at ${KDIR:-}"
"$TOP/scripts/graft.sh" "$tree"

objects=$BUILD/linux/$kind
config=("$TOP/scripts/test-kernel.config")
# Like which other it is; its architecture; the options that it has not.
like='' arch='' without='' targets=(bzImage modules)
case $kind in
m) what="VFIO as modules (10 minutes on two cores the first time)" ;;
y) what="VFIO and KUnit built in" like=m config+=("$TOP/scripts/test-kernel-builtin.config") ;;
novfio) what="without VFIO" like=m without='CONFIG_VFIO' ;;
debug | debug-stock)
	what="looking for mistakes (20 minutes on two cores the first time)"
	config+=("$TOP/scripts/test-kernel-debug.config")
	targets+=(KCOV_INSTRUMENT_{pci_audit,vfio_pci_audit,vfio_pci_config}.o=y)
	[ "$kind" = debug ] || like=debug without='CONFIG_(VFIO_PCI_UNASSIGNED|SAMPLE)'
	;;
arm64)
	what="for arm64 (15 minutes on two cores the first time)"
	arch=arm64 targets=(Image.gz modules)
	;;
arm64-gcc | s390)
	what="no more than the modules for $kind"
	arch=${kind%-gcc} targets=(drivers/{pci/audit,vfio/pci}/ samples/pci_audit/)
	;;
*) die "$usage" ;;
esac
if [ -n "$without" ]; then
	grep -vE "^$without" "${config[0]}" >"$BUILD/linux/$kind.config"
	config[0]=$BUILD/linux/$kind.config
fi
# What the kernel must have; of the first, some options are x86's.
wanted=("${config[@]}")
if [ -n "$arch" ]; then
	export ARCH=$arch
	[[ $kind != *-gcc ]] || export CROSS_COMPILE=aarch64-linux-gnu-
	wanted=("$TOP"/scripts/test-kernel-{builtin,"$arch"}.config)
	config+=("${wanted[@]}")
fi

configure_it() {
	if [ -n "$like" ] && [ ! -e "$objects/.config" ] && [ -e "$BUILD/linux/$like/vmlinux" ]; then
		rm -rf "$objects"
		cp -a "$BUILD/linux/$like" "$objects"
		# The commands name the folder: by the old name, all Rust would be compiled again.
		find "$objects" -name '.*.cmd' -exec sed -i "s|$BUILD/linux/$like\b|$objects|g" {} +
	fi
	mkdir -p "$objects"
	configure "$tree" "$objects" "${config[@]}"
}

key=$(cat "${config[@]}" "$TOP"/src/{drivers/{,vfio/}pci/audit,samples/pci_audit}/Kconfig |
	sha256sum)
if [ "$(cat "$objects/.configured" 2>/dev/null)" != "$tree $key" ]; then
	step "kernel-$kind-config" "configuring the kernel in build/linux/$kind" configure_it
	mapfile -t options < <(cat "${wanted[@]}" | grep -o '^CONFIG_[A-Z0-9_]*' | sort -u)
	for option in "${options[@]}"; do
		line=$(cat "${wanted[@]}" | grep "^$option=" | tail -n 1)
		grep -qx "$line" "$objects/.config" || die "the kernel in $tree cannot have $line"
	done
	! grep -qE "^${without:-none}" "$objects/.config" || die "the kernel has $without all the same"
	echo "$tree $key" >"$objects/.configured"
fi
# What these kernels share is copied. In a first build, ccache costs a twentieth.
export CCACHE_DISABLE=1
step "kernel-$kind" "building the kernel, $what" kmake "$objects" "${targets[@]}"
