#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The gates that need no virtual machine. Prints KTAP.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
objects=$BUILD/linux/m
cd "$TOP"
toolchain

mapfile -t rust < <(find src rust-bindings kunit -name '*.rs' -type f)
mapfile -t c < <(find src rust-bindings -name '*.[ch]' -type f)

# Patches carry no sign-off before somebody mails them, and name no maintainers; the lines of a sample record cannot be broken.
checkpatch() { "$tree/scripts/checkpatch.pl" --root="$tree" --no-tree --strict --terse --show-types --no-summary "$@"; }
checkpatch_series() {
	local patch rc=0
	# By standard input: it takes a file that git knows for a source file.
	for patch in patches/linux/*.patch; do
		checkpatch --ignore MISSING_SIGN_OFF,FILE_PATH_CHANGES,COMMIT_LOG_LONG_LINE - <"$patch" || rc=1
	done
	return $rc
}
# An exported function of Rust has no definition in C that EXPORT_SYMBOL could follow.
checkpatch_files() { checkpatch --ignore EXPORT_SYMBOL --file "${c[@]}"; }

# Touch the crate roots, so that both modules are built anew, and look for a word from the compiler.
build_without_warning() {
	local output
	find "$tree/drivers/pci/audit" "$tree/drivers/vfio/pci/audit" \( -name '*_main.rs' -o -name 'exports.c' \) -exec touch {} +
	output=$(kmake "$objects" W=1 drivers/pci/audit/ drivers/vfio/pci/audit/ 2>&1) || { echo "$output"; return 1; }
	! grep -E -A 12 '^(warning|error)|[0-9]: (warning|error):' <<<"$output"
}
# Debian 12 has no clippy for its rustc; a rustup one brings a rustc of its own, which then has to build the dependencies too.
clippy() { env -u RUSTC CARGO_TARGET_DIR="$BUILD/target-clippy" cargo clippy --workspace --all-targets --quiet -- -D warnings; }

echo "TAP version 13"
echo "1..8"
check "shellcheck finds nothing in scripts" shellcheck -x scripts/*.sh
check "kernel Rust is formatted as the kernel's is" rustfmt --check --edition 2021 --config-path "$tree/.rustfmt.toml" "${rust[@]}"
check "host Rust is formatted" host_cargo fmt --all --check
check "checkpatch --strict finds nothing in the series" checkpatch_series
check "checkpatch --strict finds nothing in C files" checkpatch_files
check "kernel-doc finds nothing in headers" "$tree/scripts/kernel-doc" -none -Werror src/include/linux/pci_audit.h
check "both modules build without a warning (W=1)" build_without_warning
if cargo clippy --version >/dev/null 2>&1; then
	check "clippy finds nothing in host Rust" clippy
else
	echo "ok $((count + 1)) - clippy finds nothing in host Rust # SKIP this system has no cargo clippy"
fi
