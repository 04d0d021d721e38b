#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# setup.sh [WHAT...]: install what is missing for
#
#	lab     building the lab, which all else is done with
#	stock   building modules for a stock kernel
#	vm      running anything in the VM: audit userspace, host tools, virtme-ng
#	kernel  building a kernel: LLVM, the kernel's Rust, bindgen
#	check   judging the sources: linters, coverage, Sphinx, DuckDB
#	deny    judging the host tools' dependencies: cargo-deny, minutes to build
#	arm64   compiling for arm64 with GCC, and QEMU for it
#	deb     making Debian packages of a kernel
#	deb-tool  making and judging Debian packages of the operator's tool
#
# Without a word, vm and kernel are meant. --list WHAT... prints packages, of scripts/packages.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

list=
[ "${1:-}" != --list ] || { list=1; shift; }
[ $# -gt 0 ] || set -- vm kernel
release=$(debian_release)
# listed KIND: what scripts/packages has for this purpose and kind.
listed() { sed -n "s/^$what${1:+ $1}: //p" "$TOP/scripts/packages" | xargs -r -n 1; }
packages=() missing=()
for what; do
	grep -q "^$what:" "$TOP/scripts/packages" || die "setup.sh knows nothing of $what"
	mapfile -t -O ${#packages[@]} packages < <(listed "" && listed "$release")
	for tool in $(listed tools); do
		command -v "$tool" >/dev/null || missing+=("$tool")
	done
done
[ -z "$list" ] || { printf '%s\n' "${packages[@]}"; exit; }
case $release in
12 | 13) install_packages "${packages[@]}" ;;
*) [ ${#missing[@]} -eq 0 ] || die "set-up is automatic on Debian 12 and 13 only; please install:" \
	"${missing[*]}" ;;
esac

# Not optimised: building takes far longer than these programs ever run.
cargo_install() {
	CARGO_PROFILE_DEV_DEBUG=0 host_cargo install --locked --force --debug --root "$BUILD" "$@"
}
venv() {
	[ -x "$BUILD/venv/bin/pip" ] || python3 -m venv "$BUILD/venv"
	"$BUILD/venv/bin/pip" install --disable-pip-version-check "$1"
}
bindgen_is_new() {
	printf '%s\n' 0.71.1 "$(bindgen --version 2>/dev/null | cut -d' ' -f2)" | sort -CV
}

toolchain
mkdir -p "$BUILD/bin"
for what; do
	case $what in
	vm) [ -x "$BUILD/venv/bin/vng" ] ||
		step virtme-ng "installing virtme-ng 1.42" venv virtme-ng==1.42 ;;
	kernel)
		# The patches of the series share most of their objects. Found first in PATH, ccache
		# looks for the compiler behind it.
		! ccache=$(command -v ccache) || ln -sf "$ccache" "$BUILD/bin/clang-19"
		bindgen_is_new || "$TOP/scripts/fetch-bindgen.sh" || step bindgen \
			"building bindgen 0.72.1" cargo_install bindgen-cli --version 0.72.1 ;;
	check)
		# Coverage is read by the tools of the very LLVM that rustc was built with: llvm-19
		# on Debian 13, another on Debian 12.
		llvm=llvm-$(/usr/bin/rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
		[ -z "$release" ] || [ -z "$(apt-cache madison "$llvm" 2>/dev/null)" ] || install_packages "$llvm"
		[ -x "$BUILD/venv/bin/sphinx-build" ] ||
			step sphinx "installing Sphinx 8.2.3" venv sphinx==8.2.3
		[ -d "$(echo "$BUILD"/venv/lib/python3*/site-packages/duckdb)" ] ||
			step duckdb "installing DuckDB 2.0.1" venv duckdb==2.0.1
		;;
	deny)
		command -v cargo-deny >/dev/null || step cargo-deny "building cargo-deny 0.18.3" \
			cargo_install --no-default-features cargo-deny --version 0.18.3
		;;
	esac
done
