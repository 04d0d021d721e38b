#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What grafting does to a kernel tree, and what the option does to the code when it is off. Prints KTAP.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=$(mktemp -d "$BUILD/tree.XXXXXX")
trap 'rm -rf "$tree" "$tree.orig"' EXIT
graft() { "$TOP/scripts/graft.sh" "$@"; }

# The files that matter, as they were: grafting looks at nothing else.
source=${KDIR:-$BUILD/linux/src}
mkdir -p "$tree/drivers/vfio" "$tree/drivers/pci"
cp "$source/Kbuild" "$source/Makefile" "$tree/"
cp -r "$source/drivers/vfio/pci" "$tree/drivers/vfio/"
graft --unpatched "$source" "$tree"
rm -rf "$tree/drivers/vfio/pci/audit"
cp -r "$tree" "$tree.orig"

unchanged() { diff -r "$tree.orig" "$tree"; }
again() { cp -r "$tree" "$tree.once" && graft "$tree" && diff -r "$tree.once" "$tree" && rm -rf "$tree.once"; }
one_copy() {
	for file in drivers/pci/audit/record.rs drivers/vfio/pci/audit/session.rs include/linux/pci_audit.h; do
		cmp "$TOP/src/$file" "$tree/$file" || return 1
	done
}
refuses() {
	sed -i 's/vfio_pci_config_rw_single/renamed/' "$tree/drivers/vfio/pci/vfio_pci_config.c"
	cp -r "$tree" "$tree.changed"
	graft "$tree" >"$tree.out" 2>&1 && return 1
	grep -q 'does not apply.*nothing was changed' "$tree.out" || { cat "$tree.out"; return 1; }
	diff -r "$tree.changed" "$tree" && rm -rf "$tree.changed" "$tree.out"
}
# Where the compiler put a string is no part of the code.
same_code() {
	for kind in unpatched off; do
		llvm-objdump-19 -d -r --no-show-raw-insn "$BUILD/linux/$kind/vfio_pci_config.o" | tail -n +3 |
			sed 's/\(\.rodata\.str[0-9.]*\)+0x[0-9a-f]*/\1/' >"$tree.$kind"
		[ "$(wc -l <"$tree.$kind")" -gt 1000 ] || return 1
	done
	cmp "$tree.unpatched" "$tree.off" && rm "$tree.unpatched" "$tree.off"
}
other_code() {
	! cmp -s "$BUILD/linux/unpatched/vfio_pci_config.o" "$BUILD/linux/m/drivers/vfio/pci/vfio_pci_config.o"
}

echo "TAP version 13"
echo "1..8"
check "the series and the sources go into a tree" graft "$tree"
check "sources in the tree are those of the repository" one_copy
check "grafting again changes nothing" again
check "both can be taken out again" graft --remove "$tree"
check "the tree is as it was before" unchanged
check "a tree that a patch does not apply to gets an error and stays as it is" refuses
check "with the option off, vfio_pci_config.o has the code of the unpatched file" same_code
check "with the option on, it has not" other_code
