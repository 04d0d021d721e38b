#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series.sh [--save-stage]: make the mail-ready series in build/series from the tree as it is: src/
# and patches/linux.
#
# Each patch of patches/linux is one of the series. Its header says with "Sources:" which folders of
# src/ go with it, and with "Without:" what of them a later patch adds. Where an early patch needs
# files as they are before a later one, patches/stages has, under the patch's name, the changes that
# lead there from src/. They are merged as git merges; if that fails, correct the files in
# build/series/stage, and run series.sh --save-stage.
#
# The author is git's user.name and user.email; Cc lines are get_maintainer.pl's. KDIR= is a tree of
# the user's, SERIES= another folder to put it into.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-}
[ -n "$tree" ] || tree=$("$TOP/scripts/fetch-kernel.sh")
tree=$(cd "$tree" && pwd) || die "no kernel tree at ${KDIR:-}"
out=${SERIES:-$BUILD/series}
me=$(git -C "$TOP" config user.email) || true
name=$(git -C "$TOP" config user.name) || true
[ -n "${me:+$name}" ] || die "the series is in your name: git config user.name and user.email first"

if [ "${1:-}" = --save-stage ]; then
	patch=$(cat "$out/stage/.git/stage-of")
	git -C "$out/stage" add -A
	git -C "$out/stage" diff --full-index -U0 --cached HEAD >"$TOP/patches/stages/$patch"
	say "saved patches/stages/$patch"
	exit
fi
[ $# -eq 0 ] || die "usage: series.sh [--save-stage]"

rm -rf "$out"
mkdir -p "$out/sources" "$out/linux"
tree_sources | rsync --copy-links --files-from=- "$TOP/src/" "$out/sources/"

# A repository that knows this one's objects, to merge with.
repository() {
	git -C "$1" init -q -b series
	git -C "$TOP" rev-parse --path-format=absolute --git-path objects >"$1/.git/objects/info/alternates"
	git -C "$1" config user.name "$name"
	git -C "$1" config user.email "$me"
	git -C "$1" add -A
	git -C "$1" commit -q -m "$2"
}

# stage PATCH: print the folder with the sources as they are at this patch.
stage() {
	if ! [ -f "$TOP/patches/stages/$1" ]; then
		echo "$out/sources"
		return
	fi
	rm -rf "$out/stage"
	cp -r "$out/sources" "$out/stage"
	repository "$out/stage" sources
	echo "$1" >"$out/stage/.git/stage-of"
	git -C "$out/stage" apply --3way --unidiff-zero --index "$TOP/patches/stages/$1" >"$out/stage.log" 2>&1 ||
		{ cat "$out/stage.log" >&2; die "patches/stages/$1 does not merge: see the head of scripts/series.sh"; }
	echo "$out/stage"
}

# sources_of FOLDER PATCH: print the files of src/ that go with a patch, as its header says.
sources_of() {
	local sources=() without=()
	read -ra sources < <(sed -n '/^---/q; s/^Sources: //p' "$2") || true
	read -ra without < <(sed -n '/^---/q; s/^Without: //p' "$2") || true
	[ ${#sources[@]} -gt 0 ] || return 0
	(cd "$1" && for prefix in "${sources[@]}"; do [ ! -e "$prefix" ] || find "$prefix" -type f; done) |
		{ grep -v "${without[@]/#/-e^}" -e '^$' || true; } | sort -u
}

git_in() { git -C "$out/linux" "$@"; }

# maintainers: of the commit on top, one a line.
maintainers() {
	git_in show --format= >"$out/diff"
	(cd "$tree" && scripts/get_maintainer.pl --no-git --no-git-fallback --no-rolestats "$out/diff" |
		grep -vF -e "<$me>" -e linux-kernel@vger.kernel.org) || die "get_maintainer.pl finds no maintainer for $1"
}

"$TOP/scripts/graft.sh" --unpatched "$tree" "$out/linux"
version=$(make -s -C "$tree" kernelversion)
repository "$out/linux" "Linux $version"
git_in tag base
for patch in "$TOP"/patches/linux/*.patch; do
	file=$(basename "$patch")
	patch -d "$out/linux" -p1 -F0 -s --no-backup-if-mismatch <"$patch" || die "$file does not apply"
	folder=$(stage "$file")
	sources_of "$folder" "$patch" >"$out/files"
	rsync --files-from="$out/files" "$folder" "$out/linux"
	git_in add -A
	{
		sed -n 's/^Subject: \[PATCH[^]]*\] //p' "$patch"
		sed -n '/^$/,/^---$/p' "$patch" | sed '/^---$/d'
	} >"$out/message"
	git_in commit -q -F "$out/message"
	maintainers "$file" | sed 's/^/Cc: /' >"$out/cc"
	mapfile -t trailers < <(sed 's/^/--trailer=/' "$out/cc")
	git_in commit -q --amend --no-edit "${trailers[@]}" --trailer="Signed-off-by: $name <$me>"
	cat "$out/cc" >>"$out/cc.all"
done

left=$(diff -rq "$out/sources" "$out/linux" | grep -v "^Only in $out/linux" || true)
[ -z "$left" ] || die "these files of src/ are in no patch, or not as they are:"$'\n'"$left"

# The cover letter's text, with the figures of this tree but for those of the livepatch, which is
# not in the series.
figures=$(sed -n '/^\.\. table begins/,/^\.\. table ends/p' "$TOP/Documentation/performance.rst" |
	grep -E '^(\||\+=)' | grep -vE '^\| (stock|livepatch)' | sed 's/^/  /') || true
[ -n "$figures" ] || die "there is no table in Documentation/performance.rst: UPDATE=1 make bench writes it"
{
	sed '/^@BENCHMARK@$/,$d' "$TOP/patches/cover-letter.txt"
	echo "$figures"
	sed '1,/^@BENCHMARK@$/d' "$TOP/patches/cover-letter.txt"
} >"$out/cover"
git_in config branch.series.description "$(cat "$out/cover")"
git_in format-patch -q --cover-letter --cover-from-description=subject --subject-prefix="RFC PATCH" --no-signature -o "$out" base
# The recipients of any patch get the cover letter.
sort -u "$out/cc.all" | awk 'NR == FNR { cc = cc $0 "\n"; next } /^$/ && cc { printf "%s", cc; cc = "" } 1' - \
	"$out/0000-cover-letter.patch" >"$out/cover" && mv "$out/cover" "$out/0000-cover-letter.patch"
rm -rf "$out/cover" "$out/cc" "$out/cc.all" "$out/diff" "$out/files" "$out/message" "$out/stage.log" "$out/stage" "$out/sources"
say "the series for Linux $version is in ${out#"$TOP/"}"
