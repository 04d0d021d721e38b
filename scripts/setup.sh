#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Install what building and testing need: packages of the distribution, bindgen, virtme-ng, Sphinx.
#
# setup.sh --stock: without what it takes to build a kernel. setup.sh --deb: also what it takes to make Debian packages.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

common=(
	autoconf automake bc bison build-essential busybox-static ca-certificates ccache clang-19 cpio curl
	dpkg-dev flex git kmod libcap-ng-dev libclang-19-dev libelf-dev libssl-dev libtool lld-19 llvm-19 mmdebstrap
	pkg-config python3 python3-venv qemu-system-x86 rsync shellcheck sparse uuid-dev xz-utils iproute2 procps
)
[ "${1:-}" != --deb ] || common+=(debhelper libdw-dev)
case $(debian_release) in
12) packages=("${common[@]}" rustc-web rust-web-src cargo-web rustfmt-web rust-web-clippy) ;;
13) packages=("${common[@]}" rustc rust-src cargo rustfmt rust-clippy bindgen) ;;
*)
	packages=()
	for tool in clang-19 ld.lld-19 rustc cargo rustfmt bindgen qemu-system-x86_64 bc bison flex cpio \
		autoconf libtool python3 shellcheck busybox; do
		command -v "$tool" >/dev/null || packages+=("$tool")
	done
	[ ${#packages[@]} -eq 0 ] || die "set-up is automatic on Debian 12 and 13 only; please install: ${packages[*]}"
	;;
esac

[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"

# Coverage is read by the tools of the very LLVM that rustc was built with: llvm-19 on Debian 13, another on Debian 12.
llvm=llvm-$(/usr/bin/rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
if [ ${#packages[@]} -gt 0 ] && [ -n "$(apt-cache madison "$llvm" 2>/dev/null)" ]; then
	install_packages "$llvm"
fi

toolchain
mkdir -p "$BUILD/bin"
# Kernels of several configurations share most of their objects. Found first in PATH, ccache looks for the compiler behind it.
if ccache=$(command -v ccache); then
	ln -sf "$ccache" "$BUILD/bin/clang-19"
fi
if [ "${1:-}" != --stock ] && ! [ "$(printf '%s\n' 0.71.1 "$(bindgen --version 2>/dev/null | cut -d' ' -f2)" | sort -V | head -n 1)" = 0.71.1 ]; then
	step bindgen "building bindgen 0.72.1" env RUSTC=/usr/bin/rustc /usr/bin/cargo install --locked --force \
		--root "$BUILD" bindgen-cli --version 0.72.1
fi
if ! [ -x "$BUILD/venv/bin/vng" ]; then
	step virtme-ng "installing virtme-ng 1.42" sh -c \
		"python3 -m venv '$BUILD/venv' && '$BUILD/venv/bin/pip' install --disable-pip-version-check virtme-ng==1.42"
fi
if ! [ -x "$BUILD/venv/bin/sphinx-build" ]; then
	step sphinx "installing Sphinx 8.2.3" "$BUILD/venv/bin/pip" install --disable-pip-version-check sphinx==8.2.3
fi
