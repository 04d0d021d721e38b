#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-kernel.sh KIND: graft into the kernel tree and build the test kernel in build/linux/KIND: m,
# with VFIO as modules, y, with everything built in and KUnit, novfio, without VFIO, debug, with
# VFIO as modules and every checker of mistakes, or arm64, as y for that architecture; or only the
# modules built in, arm64-gcc by GCC, or s390, which is big-endian. KDIR= is a tree of the user's;
# without it one is fetched.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

usage="usage: build-kernel.sh m|y|novfio|debug|arm64|arm64-gcc|s390"
kind=${1:?$usage}
tree=${KDIR:-}
[ -n "$tree" ] || tree=$("$TOP/scripts/fetch-kernel.sh")
tree=$(cd "$tree" && pwd) || die "no kernel tree at ${KDIR:-}"
"$TOP/scripts/graft.sh" "$tree"

objects=$BUILD/linux/$kind
config=("$TOP/scripts/test-kernel.config")
arch='' targets=(bzImage modules)
case $kind in
m) what="VFIO as modules (10 minutes on two cores the first time)" ;;
y)
	what="VFIO and KUnit built in"
	config+=("$TOP/scripts/test-kernel-builtin.config")
	;;
novfio)
	what="without VFIO"
	grep -v '^CONFIG_VFIO' "$TOP/scripts/test-kernel.config" >"$BUILD/linux/novfio.config"
	config=("$BUILD/linux/novfio.config")
	;;
debug)
	what="looking for mistakes (20 minutes on two cores the first time)"
	config+=("$TOP/scripts/test-kernel-debug.config")
	targets+=(KCOV_INSTRUMENT_{pci_audit,vfio_pci_audit,vfio_pci_config}.o=y)
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
# What the kernel must have; of the first, some options are x86's.
wanted=("${config[@]}")
if [ -n "$arch" ]; then
	export ARCH=$arch
	[[ $kind != *-gcc ]] || export CROSS_COMPILE=aarch64-linux-gnu-
	wanted=("$TOP"/scripts/test-kernel-{builtin,"$arch"}.config)
	config+=("${wanted[@]}")
	# Where ours is compiled by other compilers, warnings count.
	targets+=(KCFLAGS=)
fi

configure_it() {
	mkdir -p "$objects"
	# Most of what the other kernel compiled is the same in this one.
	if [[ $kind = @(y|novfio) ]] && [ ! -e "$objects/.config" ] &&
		[ -e "$BUILD/linux/m/vmlinux" ]; then
		rm -rf "$objects"
		cp -a "$BUILD/linux/m" "$objects"
	fi
	configure "$tree" "$objects" "${config[@]}"
}

key=$(cat "${config[@]}" "$TOP"/src/drivers/pci/audit/Kconfig \
	"$TOP"/src/drivers/vfio/pci/audit/Kconfig "$TOP"/src/samples/pci_audit/Kconfig | sha256sum)
if [ "$(cat "$objects/.configured" 2>/dev/null)" != "$tree $key" ]; then
	step "kernel-$kind-config" "configuring the kernel in build/linux/$kind" configure_it
	cat "${wanted[@]}" | grep -o '^CONFIG_[A-Z0-9_]*' | sort -u | while read -r option; do
		line=$(cat "${wanted[@]}" | grep "^$option=" | tail -n 1)
		grep -qx "$line" "$objects/.config" || die "the kernel in $tree cannot have $line"
	done
	[ "$kind" != novfio ] || ! grep -q '^CONFIG_VFIO=' "$objects/.config" ||
		die "the kernel without VFIO has it"
	echo "$tree $key" >"$objects/.configured"
fi
# What these kernels share is copied. In a first build, ccache costs a twentieth.
export CCACHE_DISABLE=1
step "kernel-$kind" "building the kernel, $what" kmake "$objects" "${targets[@]}"
