#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What grafting does to a kernel tree, and what the option does to the code when it is off. Prints
# KTAP.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=$(mktemp -d "$BUILD/tree.XXXXXX")
trap 'rm -rf "$tree" "$tree".*' EXIT
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
again() { cp -r "$tree" "$tree.once" && graft "$tree" && diff -r "$tree.once" "$tree" &&
	rm -rf "$tree.once"; }
# A name for the test: the author of the mailed series is taken from git.
series() {
	GIT_CONFIG_COUNT=2 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=Test GIT_CONFIG_KEY_1=user.email \
		GIT_CONFIG_VALUE_1=test@localhost KDIR=$source SERIES=$tree.series "$TOP/scripts/series.sh" ||
		return 1
	# Each is signed off, and goes to whom it concerns.
	[ "$(grep -l '^Signed-off-by: Test <test@localhost>$' "$tree.series"/*.patch | wc -l)" = \
		"$(find "$TOP"/patches/linux -name '*.patch' | wc -l)" ] &&
		! grep -L '^Cc: ' "$tree.series"/*.patch | grep .
}
series_is_graft() {
	cp -r "$tree.orig" "$tree.am"
	git -C "$tree.am" init -q
	git -C "$tree.am" add -A
	git -C "$tree.am" -c user.name=Test -c user.email=test@localhost commit -q -m before
	git -C "$tree.am" -c user.name=Test -c user.email=test@localhost am -q \
		"$tree.series"/000[1-9]*.patch &&
		diff -r -x .git -x .vfio-pci-audit "$tree.am" "$tree"
}
# The helper that says whether an access is blocked is there first, and no later patch touches its
# file.
# The helper that returns whether an access is blocked, and the policy that it asks.
decision_comes_first() {
	local function file
	for function in 'fn vfio_pci_audit_blocked(' 'pub fn decide(&self'; do
		file=$(grep -rlF "$function" "$TOP/src/drivers/vfio/pci/audit") &&
			[ "$(wc -l <<<"$file")" = 1 ] || return 1
		[ "$(grep -l "^+++ b/${file#"$TOP/src/"}" "$tree.series"/*.patch)" = \
			"$(echo "$tree.series"/0001-*.patch)" ] || return 1
	done
}
one_copy() {
	for file in drivers/pci/audit/record.rs drivers/vfio/pci/audit/session.rs \
		include/linux/pci_audit.h; do
		cmp "$TOP/src/$file" "$tree/$file" || return 1
	done
}
quotes_exist() {
	local doc=$tree/Documentation/driver-api/pci-audit.rst quoted
	quoted=$(sed -n 's,^.. literalinclude:: ,,p' "$doc")
	[ "$(wc -l <<<"$quoted")" -eq 2 ] && (cd "$(dirname "$doc")" && xargs ls <<<"$quoted")
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
	! cmp -s "$BUILD/linux/unpatched/vfio_pci_config.o" \
		"$BUILD/linux/m/drivers/vfio/pci/vfio_pci_config.o"
}
# stock_refused WORDS OPTION...: building for a stock kernel that is configured so ends with these
# words.
stock_refused() {
	local words=$1 objects=$tree.objects output
	shift
	mkdir -p "$objects"
	ln -sfn "$BUILD/linux/m/scripts" "$objects/scripts"
	printf 'CONFIG_%s\n' "$@" >"$objects/.config"
	output=$(make -s -f "$TOP/Kbuild" "src=$TOP" "obj=$objects" "objtree=$objects" 2>&1) && return 1
	echo "$output"
	grep -qF "$words" <<<"$output"
}
good=(64BIT=y PCI=y LIVEPATCH=y RUST=y AUDIT=y KPROBES=y VFIO_PCI_CORE=m)
stock_refusals() {
	stock_refused "has vfio_pci_audit of its own" "${good[@]}" VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=y ||
		return 1
	stock_refused "no CONFIG_LIVEPATCH" "${good[@]/LIVEPATCH=y/}" || return 1
	stock_refused "no CONFIG_RUST" "${good[@]/RUST=y/}" || return 1
	stock_refused "no CONFIG_AUDIT" "${good[@]/AUDIT=y/}" || return 1
	stock_refused "no CONFIG_KPROBES" "${good[@]/KPROBES=y/}" || return 1
	stock_refused "no CONFIG_VFIO_PCI_CORE=m" "${good[@]/CORE=m/CORE=y}" || return 1
	stock_refused "PREEMPT_RT" "${good[@]}" PREEMPT_RT=y || return 1
	stock_refused "no Rust crates" "${good[@]}"
}
# stock_chosen OPTION...: for a kernel with KUnit, these are what is built besides the modules.
stock_chosen() {
	MODULES_CONFIG="$*" stock_refused "no Rust crates" "${good[@]}" DEBUG_FS=y KUNIT=y || return 1
	diff <(sed -nE '/^CONFIG_.*(SAMPLE|KUNIT_TEST)/p' "$tree.objects/.modules.config" | sort) \
		<(printf '%s\n' "$@" | sed '/^$/d' | sort)
}
stock_choices() {
	stock_chosen || return 1
	stock_chosen CONFIG_SAMPLE_PCI_AUDIT_C=m || return 1
	stock_chosen CONFIG_SAMPLE_PCI_AUDIT_{C,RUST}=m CONFIG_PCI_AUDIT_KUNIT_TEST=m \
		CONFIG_VFIO_PCI_AUDIT_KUNIT_TEST=y || return 1
	MODULES_CONFIG=CONFIG_SAMPLE_PCI_AUDIT_C=m stock_refused \
		"cannot have CONFIG_SAMPLE_PCI_AUDIT_C=m:" "${good[@]}" KUNIT=y || return 1
	MODULES_CONFIG=CONFIG_PCI_AUDIT_KUNIT_TEST=m stock_refused \
		"cannot have CONFIG_PCI_AUDIT_KUNIT_TEST=m:" "${good[@]}" || return 1
	MODULES_CONFIG=CONFIG_MISSPELLED=m stock_refused "cannot have CONFIG_MISSPELLED=m:" "${good[@]}"
}

plan 14
check "the series and the sources go into a tree" graft "$tree"
check "sources in the tree are those of the repository" one_copy
check "grafting again changes nothing" again
check "what the documentation quotes is in the tree" quotes_exist
check "a series can be made of the tree" series
check "git am of the series makes the tree that grafting makes" series_is_graft
check "the decision comes with the first patch, and no other touches it" decision_comes_first
check "both can be taken out again" graft --remove "$tree"
check "the tree is as it was before" unchanged
check "a tree that a patch does not apply to gets an error and stays as it is" refuses
check "with the option off, vfio_pci_config.o has the code of the unpatched file" same_code
check "with the option on, it has not" other_code
check "a kernel that the livepatch is not for is refused when it is built, with the reason" \
	stock_refusals
check "samples and KUnit suites can be chosen for a stock kernel that has what they need" \
	stock_choices
