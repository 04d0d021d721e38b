#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# setup.sh [WHAT...]: install what is missing for
#
#	stock   building modules for a stock kernel
#	vm      running anything in the VM: audit userspace, host tools, virtme-ng
#	kernel  building a kernel: LLVM, the kernel's Rust, bindgen
#	check   judging the sources: linters, coverage, Sphinx
#	deny    judging the host tools' dependencies: cargo-deny, which takes four minutes of one
#	        processor to build
#	deb     making Debian packages of a kernel
#
# Without a word, vm and kernel are meant.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

[ $# -gt 0 ] || set -- vm kernel
release=$(debian_release)
packages=() tools=()
for what; do
	case $what in
	stock)
		packages+=(ca-certificates curl dpkg-dev git kmod procps xz-utils)
		tools+=(dpkg-deb git xz)
		;;
	vm)
		packages+=(autoconf automake build-essential busybox-static ca-certificates cpio curl dpkg-dev
			git iproute2 kmod libcap-ng-dev
			libtool pkg-config procps python3 python3-venv qemu-system-x86 uuid-dev xz-utils)
		tools+=(autoconf busybox cargo cpio git libtool python3 qemu-system-x86_64 rustc)
		case $release in
		12) packages+=(cargo-web rustc-web) ;;
		13) packages+=(cargo rustc) ;;
		esac
		;;
	kernel)
		packages+=(bc bison build-essential ccache clang-19 cpio dpkg-dev flex git kmod libclang-19-dev
			libelf-dev libssl-dev lld-19
			llvm-19 rsync xz-utils)
		tools+=(bc bindgen bison clang-19 cpio flex git ld.lld-19 rustc rustfmt)
		case $release in
		12) packages+=(cargo-web rust-web-src rustc-web rustfmt-web) ;;
		13) packages+=(bindgen rust-src rustc rustfmt) ;;
		esac
		;;
	check)
		packages+=(python3-venv shellcheck sparse)
		tools+=(cargo-clippy python3 shellcheck sparse)
		case $release in
		12) packages+=(rust-web-clippy) ;;
		13) packages+=(rust-clippy) ;;
		esac
		;;
	deny) ;;
	deb) packages+=(debhelper libdw-dev) ;;
	*) die "usage: setup.sh [stock] [vm] [kernel] [check] [deny] [deb]" ;;
	esac
done

case $release in
12 | 13) install_packages "${packages[@]}" ;;
*)
	missing=()
	for tool in "${tools[@]}"; do
		command -v "$tool" >/dev/null || [[ " ${missing[*]} " == *" $tool "* ]] || missing+=("$tool")
	done
	[ ${#missing[@]} -eq 0 ] || die "set-up is automatic on Debian 12 and 13 only; please install:" \
		"${missing[*]}"
	;;
esac

cargo_install() { host_cargo install --locked --force --root "$BUILD" "$@"; }

venv() {
	[ -x "$BUILD/venv/bin/pip" ] || python3 -m venv "$BUILD/venv"
	"$BUILD/venv/bin/pip" install --disable-pip-version-check "$1"
}

bindgen_is_new() {
	[ "$(printf '%s\n' 0.71.1 "$(bindgen --version 2>/dev/null | cut -d' ' -f2)" | sort -V |
		head -n 1)" = 0.71.1 ]
}

toolchain
mkdir -p "$BUILD/bin"
for what; do
	case $what in
	vm) [ -x "$BUILD/venv/bin/vng" ] ||
		step virtme-ng "installing virtme-ng 1.42" venv virtme-ng==1.42 ;;
	kernel)
		# Kernels of several configurations share most of their objects. Found first in
		# PATH, ccache looks for the compiler behind it.
		if ccache=$(command -v ccache); then
			ln -sf "$ccache" "$BUILD/bin/clang-19"
		fi
		bindgen_is_new || step bindgen "building bindgen 0.72.1" cargo_install bindgen-cli --version \
			0.72.1
		;;
	check)
		# Coverage is read by the tools of the very LLVM that rustc was built with: llvm-19
		# on Debian 13, another on Debian 12.
		llvm=llvm-$(/usr/bin/rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
		if [ -n "$release" ] && [ -n "$(apt-cache madison "$llvm" 2>/dev/null)" ]; then
			install_packages "$llvm"
		fi
		[ -x "$BUILD/venv/bin/sphinx-build" ] || step sphinx "installing Sphinx 8.2.3" venv sphinx==8.2.3
		;;
	deny)
		command -v cargo-deny >/dev/null ||
			CARGO_PROFILE_DEV_DEBUG=0 step cargo-deny "building cargo-deny 0.18.3, unoptimised" \
				cargo_install --debug --no-default-features cargo-deny --version 0.18.3
		;;
	esac
done
