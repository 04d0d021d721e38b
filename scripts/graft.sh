#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# graft.sh TREE: put the sources and the C glue into a kernel tree. Again is harmless, and brings a
# tree up to date. graft.sh --remove TREE: take both out, leaving the tree as it was. graft.sh
# --unpatched TREE FOLDER: copy the files that the glue changes into FOLDER, as they were.
#
# Changes that the series makes to files of its own are not applied: src/ has them as they are after
# the last patch.
#
# A note in the tree says what was put there: the files that were added, and the patches as they
# were applied.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

verb=add
case ${1:-} in --remove | --unpatched)
	verb=${1#--}
	shift
	;;
esac
tree=${1:?usage: graft.sh [--remove | --unpatched] TREE [FOLDER]}
if ! [ -f "$tree/Kbuild" ] || ! [ -d "$tree/drivers/vfio/pci" ]; then
	die "$tree is not a Linux kernel tree"
fi
tree=$(cd "$tree" && pwd)
note=$tree/.vfio-pci-audit

# apply TREE PATCH [-R], without fuzz and without leaving anything behind.
apply() { patch -d "$1" -p1 -F0 -s --no-backup-if-mismatch -r - "${@:3}" <"$2"; }

# Patches build on each other: what was applied last is reverted first.
apply_all() { for patch in "$series"/*.patch; do apply "$1" "$patch" || return 1; done; }
revert_all() {
	[ -d "$note/patches" ] || return 0
	for patch in $(printf '%s\n' "$note"/patches/*.patch |
		sort -r); do apply "$1" "$patch" -R || return 1; done
}

# copy_unpatched FOLDER: the files that the glue changes, as they were without it.
copy_unpatched() {
	(cd "$tree" && cat "$series"/*.patch "$note"/patches/*.patch 2>/dev/null |
		sed -n 's,^--- a/,,p' |
		sort -u | xargs -r ls -d 2>/dev/null | xargs -r cp --parents -t "$1")
	revert_all "$1"
}

same_patches() { diff -rq "$series" "$note/patches" >/dev/null 2>&1; }

# Patches are applied and reverted on copies, and only what differs goes into the tree: it is never
# left half patched, and a header that stays the same has not half of the kernel compiled again.
# glue apply|revert
glue() {
	copy_unpatched "$copies" && { [ "$1" = revert ] || apply_all "$copies"; } || return 1
	rsync --recursive --checksum "$copies/" "$tree/"
	rm -rf "$note/patches"
}

remove_sources() {
	[ -f "$note/files" ] || return 0
	(cd "$tree" && xargs -r rm -f <"$note/files" && xargs -r -n 1 dirname <"$note/files" |
		sort -ru |
		xargs -r rmdir --ignore-fail-on-non-empty -p 2>/dev/null) || true
	rm "$note/files"
}

copies=$(mktemp -d) series=$(mktemp -d) list=$(mktemp)
trap 'rm -rf "$copies" "$series" "$list"' EXIT
for patch in "$TOP"/patches/linux/*.patch; do
	part_of_patch glue "$patch" >"$series/$(basename "$patch")"
done

if [ "$verb" = unpatched ]; then
	copy_unpatched "${2:?usage: graft.sh --unpatched TREE FOLDER}"
	exit
fi
if [ "$verb" = remove ]; then
	[ -d "$note" ] || die "nothing was grafted into $tree"
	glue revert || die "$tree was changed since the series was applied; nothing was removed"
	remove_sources
	rmdir "$note"
	say "removed from $tree"
	exit
fi

tree_sources >"$list"

if [ ! -d "$note" ]; then
	while read -r file; do
		[ ! -e "$tree/$file" ] || die "$tree has a $file of its own; nothing was changed"
	done <"$list"
	mkdir "$note"
fi
if ! same_patches; then
	if ! output=$(glue apply 2>&1); then
		say "$output"
		rmdir "$note" 2>/dev/null || true
		die "the series does not apply to $tree (Linux $(make -s -C "$tree" \
			kernelversion)); nothing was changed"
	fi
	cp -r "$series" "$note/patches"
fi
# A file that the sources no longer have goes from the tree too.
if [ -f "$note/files" ]; then
	comm -13 "$list" "$note/files" | (cd "$tree" && xargs -r rm -f)
fi
cp "$list" "$note/files"
(cd "$TOP/src" && rsync --copy-links --checksum --files-from="$list" . "$tree")
