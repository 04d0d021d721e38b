#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# series.sh: make the mail-ready series in build/series from the tree as it is: src/ and
# patches/linux.
#
# Each patch of patches/linux is one of the series. Its header says with "Sources:" which folders of
# src/ go with it, and with "Without:" what of them a later patch adds. src/ has every file as it is
# after the last patch. If a later patch changes a file that an earlier one adds, its changes are in
# patches/linux as those of the kernel's files are. They are reverted to get the file as it is in
# the earlier patch. If one of them does not fit its file any more, correct it in the patch.
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

[ $# -eq 0 ] || die "usage: series.sh"

rm -rf "$out"
mkdir -p "$out/sources" "$out/linux"
tree_sources | rsync --copy-links --files-from=- "$TOP/src/" "$out/sources/"

# The sources as they are before any patch changes them.
cp -r "$out/sources" "$out/added"
mapfile -t patches < <(printf '%s\n' "$TOP"/patches/linux/*.patch)
for ((n = ${#patches[@]} - 1; n >= 0; n--)); do
	output=$(part_of_patch own "${patches[n]}" |
		patch -d "$out/added" -p1 -R -r - --no-backup-if-mismatch) ||
		die "${patches[n]#"$TOP/"} has changes that do not fit src/, correct them there:"$'\n'"$output"
done

# sources_of PATCH: print the files of src/ that go with a patch, as its header says.
sources_of() {
	local sources=() without=()
	read -ra sources < <(sed -n '/^---/q; s/^Sources: //p' "$1") || true
	read -ra without < <(sed -n '/^---/q; s/^Without: //p' "$1") || true
	[ ${#sources[@]} -gt 0 ] || return 0
	(cd "$out/added" && for prefix in "${sources[@]}"; do
		[ ! -e "$prefix" ] || find "$prefix" -type f
	done) |
		{ grep -v "${without[@]/#/-e^}" -e '^$' || true; } | sort -u
}

git_in() { git -C "$out/linux" "$@"; }

# maintainers: of the commit on top, one a line.
maintainers() {
	git_in show --format= >"$out/diff"
	(cd "$tree" && scripts/get_maintainer.pl --no-git --no-git-fallback --no-rolestats "$out/diff" |
		grep -vF -e "<$me>" -e linux-kernel@vger.kernel.org) ||
		die "get_maintainer.pl finds no maintainer for $1"
}

"$TOP/scripts/graft.sh" --unpatched "$tree" "$out/linux"
version=$(make -s -C "$tree" kernelversion)
git_in init -q -b series
git_in config user.name "$name"
git_in config user.email "$me"
git_in add -A
git_in commit -q -m "Linux $version"
git_in tag base
for patch in "${patches[@]}"; do
	file=$(basename "$patch")
	sources_of "$patch" | rsync --ignore-existing --files-from=- "$out/added" "$out/linux"
	part_of_patch glue "$patch" | patch -d "$out/linux" -p1 -F0 -s --no-backup-if-mismatch ||
		die "$file does not apply"
	part_of_patch own "$patch" | patch -d "$out/linux" -p1 -s --no-backup-if-mismatch ||
		die "$file does not apply"
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
[ -n "$figures" ] || die "there is no table in Documentation/performance.rst: UPDATE=1 make" \
	"bench writes it"
{
	sed '/^@BENCHMARK@$/,$d' "$TOP/patches/cover-letter.txt"
	echo "$figures"
	sed '1,/^@BENCHMARK@$/d' "$TOP/patches/cover-letter.txt"
} >"$out/cover"
git_in config branch.series.description "$(cat "$out/cover")"
git_in format-patch -q --cover-letter --cover-from-description=subject \
	--subject-prefix="RFC PATCH" --no-signature -o "$out" base
# The recipients of any patch get the cover letter.
sort -u "$out/cc.all" | awk \
	'NR == FNR { cc = cc $0 "\n"; next } /^$/ && cc { printf "%s", cc; cc = "" } 1' - \
	"$out/0000-cover-letter.patch" >"$out/cover" && mv "$out/cover" "$out/0000-cover-letter.patch"
rm -rf "$out/cover" "$out/cc" "$out/cc.all" "$out/diff" "$out/message" "$out/added" "$out/sources"
say "the series for Linux $version is in ${out#"$TOP/"}"
