#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The gates that need no virtual machine. "lab.sh check" makes KTAP of what it says.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

tree=${KDIR:-$BUILD/linux/src}
cd "$TOP"
toolchain
# shellcheck source=lint-kernel.sh
. scripts/lint-kernel.sh

mapfile -t rust < <(find src rust-bindings kunit -name '*.rs' -type f)
mapfile -t c < <(find src rust-bindings kunit tools -name '*.[ch]' -type f ! -path '*/trace/*' \
	! -path '*/bpf/*' ! -name other_event.h)
mapfile -t trace < <(find src tools \( -path '*/trace/*.h' -o -name other_event.h \) -type f)
mapfile -t bpf < <(find tools -path '*/bpf/*.[ch]' -type f)

# Patches have no sign-off before they are mailed, and name no maintainers; the lines of a sample
# record cannot be broken.
checkpatch() { "$tree/scripts/checkpatch.pl" --root="$tree" --no-tree --strict --terse \
	--show-types --no-summary "$@"; }
checkpatch_series() {
	local patch rc=0
	# By standard input: it takes a file that git knows for a source file.
	for patch in patches/linux/*.patch; do
		checkpatch --ignore MISSING_SIGN_OFF,FILE_PATH_CHANGES,COMMIT_LOG_LONG_LINE - <"$patch" || rc=1
	done
	return $rc
}
# An exported function of Rust has no definition in C that EXPORT_SYMBOL could follow. checkpatch
# knows neither types of ours nor the form of trace headers. Of Rust it judges what rustfmt leaves,
# such as the length of comments.
checkpatch_files() {
	local types=$BUILD/typedefs rc=0
	sed -n 's/^typedef .*[ *]\([a-z_]*\)(.*/\1/p' "${c[@]}" >"$types"
	checkpatch --typedefsfile "$types" --ignore EXPORT_SYMBOL,MACRO_ARG_REUSE --file "${c[@]}" \
		"${rust[@]}" || rc=1
	checkpatch --ignore OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT --file "${trace[@]}" || rc=1
	# A BPF program declares what it knows of the kernel, and what its loader sets.
	checkpatch --ignore VOLATILE,AVOID_EXTERNS,NEW_TYPEDEFS,CAMELCASE --file "${bpf[@]}" || rc=1
	return $rc
}

# A rustup clippy brings a rustc of its own, which then has to build the dependencies too.
clippy() {
	local arguments=(clippy --workspace --all-targets --quiet -- -D warnings)
	if [ -x /usr/bin/cargo-clippy ]; then
		CARGO_TARGET_DIR=$BUILD/target-clippy host_cargo "${arguments[@]}"
	else
		env -u RUSTC CARGO_TARGET_DIR="$BUILD/target-clippy" cargo "${arguments[@]}"
	fi
}

# Everything in Documentation/, with the kernel's extensions, so that what goes into a kernel tree
# is parsed as it is there.
documentation() {
	local out=$BUILD/documentation
	rm -rf "$out"
	mkdir -p "$out/conf"
	# As in a kernel tree, with the samples that it quotes.
	cp -r Documentation src/samples "$out/"
	cat >"$out/conf/conf.py" <<-END
		import sys
		sys.path[:0] = ["$tree/Documentation/sphinx", "$tree/tools/lib/python"]
		project = "vfio-pci-audit"
		extensions = ["kerneldoc"]
		kerneldoc_bin = "$tree/tools/docs/kernel-doc"
		kerneldoc_srctree = "$TOP/src"
		root_doc = "index"
		exclude_patterns = []
	END
	srctree=$tree "$BUILD/venv/bin/sphinx-build" -q -W --keep-going -E -b dummy -c "$out/conf" \
		"$out/Documentation" "$out/out"
}

# Lines have at most 100 characters, except for tables, sample records, JSON and formats of events,
# fixtures, what the documentation quotes, and the pages and logs in the tool's sources.
columns() {
	local exempt='\s*(//! )?[|+]|.*(type=PCI msg=|TP_printk|r#")'
	! LC_ALL=C.UTF-8 git grep -nP "^(?!$exempt).{101,}" -- . ':!LICENSE' ':!Cargo.lock' \
		':!patches' ':!README.md' ':!*.rst' ':!tools/fuzz/corpus' \
		':!tools/vfio-pci-audit'
}

# Of dependencies: licenses, sources, versions; and advisories, if their database can be had.
deny() { host_cargo deny --log-level error "$@"; }

plan 16
check "no line is longer than 100 columns" columns
check "shellcheck finds nothing in scripts" shellcheck -x scripts/*.sh scripts/guest/*
check "kernel Rust is formatted as the kernel's is" rustfmt --check --edition 2021 --config-path \
	"$tree/.rustfmt.toml" "${rust[@]}"
check "host Rust is formatted" host_cargo fmt --all --check
check "checkpatch --strict finds nothing in the series" checkpatch_series
check "checkpatch --strict finds nothing in C and Rust files" checkpatch_files
check "kernel-doc finds nothing in headers" "$tree/scripts/kernel-doc" -none -Werror \
	src/include/linux/*.h
check "Documentation/ is parsed by Sphinx without a warning" documentation
check "what kbuild builds can be built outside the tree" lint_copy
if driver=$(find_clippy); then
	check "kernel code builds without a warning (W=1)" kernel_warnings CLIPPY=1 CLIPPY_DRIVER="$driver"
	check "clippy finds nothing in kernel Rust" grep -q clippy-driver \
		"$lint"/drivers/pci/audit/.pci_audit.o.cmd
else
	check "kernel code builds without a warning (W=1)" kernel_warnings
	skip "clippy finds nothing in kernel Rust" "no clippy-driver of $("$RUSTC" --version)"
fi
check "sparse finds nothing in C files" sparse_c
check "rustdoc finds nothing in kernel Rust" kernel_rustdoc
if [ -x /usr/bin/cargo-clippy ] || cargo clippy --version >/dev/null 2>&1; then
	check "clippy finds nothing in host Rust" clippy
else
	skip "clippy finds nothing in host Rust" "this system has no cargo clippy"
fi
if command -v cargo-deny >/dev/null; then
	check "cargo-deny finds nothing in licenses, sources and versions of dependencies" \
		deny check --hide-inclusion-graph bans licenses sources
	if deny fetch db >/dev/null 2>&1; then
		check "cargo-deny finds no advisory on a dependency" deny check --hide-inclusion-graph advisories
	else
		skip "cargo-deny finds no advisory on a dependency" \
			"the advisory database cannot be fetched from here"
	fi
else
	skip "cargo-deny finds nothing in licenses, sources and versions of dependencies" \
		"cargo-deny is missing: scripts/setup.sh deny installs it"
	skip "cargo-deny finds no advisory on a dependency" \
		"cargo-deny is missing: scripts/setup.sh deny installs it"
fi
