#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-kernel.sh m|y|novfio|debug: graft into the kernel tree and build the test kernel in
# build/linux/m, with VFIO as modules, in build/linux/y, with everything built in and KUnit, in
# build/linux/novfio, without VFIO, or in build/linux/debug, with VFIO as modules and every checker
# of mistakes (test-kernel-debug.config). KDIR= is a tree of the user's; without it one is fetched.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

kind=${1:?usage: build-kernel.sh m|y|novfio|debug}
tree=${KDIR:-}
[ -n "$tree" ] || tree=$("$TOP/scripts/fetch-kernel.sh")
tree=$(cd "$tree" && pwd) || die "no kernel tree at ${KDIR:-}"
"$TOP/scripts/graft.sh" "$tree"

objects=$BUILD/linux/$kind
config=("$TOP/scripts/test-kernel.config")
case $kind in
m) ;;
y) config+=("$TOP/scripts/test-kernel-builtin.config") ;;
novfio)
	grep -v '^CONFIG_VFIO' "$TOP/scripts/test-kernel.config" >"$BUILD/linux/novfio.config"
	config=("$BUILD/linux/novfio.config")
	;;
debug) config+=("$TOP/scripts/test-kernel-debug.config") ;;
*) die "usage: build-kernel.sh m|y|novfio|debug" ;;
esac

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
	cat "${config[@]}" | grep -o '^CONFIG_[A-Z0-9_]*' | sort -u | while read -r option; do
		wanted=$(cat "${config[@]}" | grep "^$option=" | tail -n 1)
		grep -qx "$wanted" "$objects/.config" ||
			die "the kernel in $tree cannot have $wanted"
	done
	[ "$kind" != novfio ] || ! grep -q '^CONFIG_VFIO=' "$objects/.config" ||
		die "the kernel without VFIO has it"
	echo "$tree $key" >"$objects/.configured"
fi
case $kind in
m)
	step kernel-m "building the kernel, VFIO as modules (10 minutes on two cores the first time)" \
		kmake "$objects" bzImage modules
	;;
novfio) step kernel-novfio "building the kernel, without VFIO" kmake "$objects" bzImage modules ;;
y) step kernel-y "building the kernel, VFIO and KUnit built in" kmake "$objects" bzImage modules ;;
debug)
	step kernel-debug \
		"building the kernel that looks for mistakes (20 minutes on two cores the first time)" \
		kmake "$objects" bzImage modules
	;;
esac
