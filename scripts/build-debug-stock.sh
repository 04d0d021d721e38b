#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build a kernel that looks for mistakes, with VFIO as it is, and the modules for it as those for a
# kernel of Debian's are, the livepatch among them, in build/stock/debug.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

"$TOP/scripts/build-kernel.sh" debug-stock
objects=$BUILD/linux/debug-stock dest=$BUILD/stock/debug

modules() {
	local kind install=("INSTALL_MOD_PATH=$dest/image" DEPMOD=/sbin/depmod modules_install)
	local ours=("M=$TOP" "MO=$dest/modules" MODULES_CONFIG=)
	rm -rf "$dest/image"
	mkdir -p "$dest"/{modules,replace,faults}
	kmake "$objects" "${install[@]}"
	kmake "$objects" "${ours[@]}" modules
	kmake "$objects" "${ours[@]}" "${install[@]}"
	for kind in replace faults; do
		kmake "$objects" "M=$TOP/tools/modules/$kind" "MO=$dest/$kind" modules
	done
}
step kernel-debug-stock-modules "building the livepatch for it" modules
