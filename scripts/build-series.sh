#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build every patch of the series in build/series, with the option off and on, in a tree and an
# object folder of its own under build/linux/series. Only the folders that the series touches are
# built, and that their symbols fit is checked without linking the kernel: 10 minutes on two cores
# the first time, most of it the kernel crate, and 5 later. "lab.sh check" makes KTAP of what it
# says.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
commits=$BUILD/series/linux
folder=$BUILD/linux/series
objects=$folder/objects
toolchain
[ -d "$commits/.git" ] || die "there is no series: run scripts/series.sh"

# A copy of links to the files that stay as they are. rsync replaces a link by a file.
copy() {
	rm -rf "$folder/tree"
	mkdir -p "$folder"
	cp -as "$(cd "$tree" && pwd)" "$folder/tree"
	[ ! -d "$folder/tree/.vfio-pci-audit" ] || "$TOP/scripts/graft.sh" --remove "$folder/tree"
}
# checkout COMMIT: bring the copy to it; what stays the same keeps its date, and is not built again.
checkout() {
	git -C "$commits" checkout -q "$1"
	rsync -r --checksum --exclude .git "$commits/" "$folder/tree/"
	git -C "$commits" diff --name-only --diff-filter=A "$1" series | (cd "$folder/tree" &&
		xargs -r rm -f)
}
# configure on|off
configure() {
	mkdir -p "$objects"
	cat "$TOP/scripts/test-kernel.config" >"$objects/fragment"
	[ "$1" = on ] || echo CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=n >>"$objects/fragment"
	[ "$1" = off ] || echo CONFIG_PCI_AUDIT_KUNIT_TEST=y >>"$objects/fragment"
	make -C "$folder/tree" "O=$objects" "LLVM=$LLVM" "RUSTC=$RUSTC" tinyconfig >/dev/null
	(cd "$objects" && "$folder/tree/scripts/kconfig/merge_config.sh" -m -O . .config fragment \
		>/dev/null)
	make -C "$objects" "LLVM=$LLVM" "RUSTC=$RUSTC" olddefconfig >/dev/null
	[ "$1" = "$(grep -q ^CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=y "$objects/.config" &&
		echo on || echo off)" ]
}
# Whatever our modules and VFIO want of each other is there.
symbols_fit() {
	local missing
	missing=$(comm -23 <(symbols --undefined-only) <(symbols --defined-only))
	[ -z "$missing" ] || { echo "no definition of: $missing"; return 1; }
}
symbols() {
	find "$objects/drivers/vfio" "$objects/drivers/pci" -name '*.o' -exec llvm-nm \
		--format=just-symbols "$1" {} + 2>/dev/null |
		grep -E '^(vfio_)?pci_audit|^vfio_pci_config' | sort -u
}
# build on|off COMMIT
build() {
	local output
	checkout "$2"
	configure "$1" || { echo "the option cannot be $1"; return 1; }
	find "$objects/drivers/vfio" "$objects/drivers/pci" -name '*.o' -delete 2>/dev/null || true
	output=$(kmake "$objects" drivers/vfio/ drivers/pci/ 2>&1) || { echo "$output" |
		tail -n 30; return 1; }
	! grep -E -A 12 '^(warning|error)|[0-9]: (warning|error):' <<<"$output" || return 1
	symbols_fit
}

mapfile -t list < <(git -C "$commits" rev-list --reverse base..series)
step series-tree "copying the kernel tree" copy
plan $((2 * ${#list[@]}))
for option in off on; do
	for commit in "${list[@]}"; do
		start=$SECONDS
		check "with the option $option: $(git -C "$commits" log -1 --format=%s "$commit")" \
			build $option "$commit"
		say "    $((SECONDS - start)) s"
	done
done
git -C "$commits" checkout -q series
