# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What lib.sh has for compiling.

# The toolchain of the kernel build. Debian 12's own rustc sits beside a possible rustup one, which
# has no library sources.
toolchain() {
	export LLVM=-19
	# What has a prefix is GCC, for another architecture.
	[ -z "${CROSS_COMPILE:-}" ] || LLVM=
	export RUSTC=/usr/bin/rustc RUSTFMT=/usr/bin/rustfmt
	export PATH="$BUILD/bin:/usr/lib/llvm-19/bin:$PATH"
	# Without ccache's own run of the preprocessor, which costs a fifth of a first build.
	export CCACHE_DIR=${CCACHE_DIR:-$BUILD/ccache} CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
}

# kmake DIR TARGET...: make in the kernel's object folder DIR. Looking for what to warn of takes a
# seventh of the time in which the C of a test kernel is compiled; lint and series look at ours. For
# another architecture, other compilers compile it: there, warnings count.
kmake() {
	local dir=$1 flags=()
	shift
	toolchain
	[[ $dir != "$BUILD"/linux/* || " $*" = *" M="* || -n "${ARCH:-}" ]] || flags=(KCFLAGS=-w)
	make -C "$dir" -j"$JOBS" V="${V:-0}" "LLVM=$LLVM" "RUSTC=$RUSTC" \
		KBUILD_BUILD_TIMESTAMP=1970-01-01 "${flags[@]}" "$@"
}

# configure TREE OBJECTS FRAGMENT...: tinyconfig with fragments.
configure() {
	local tree=$1 objects=$2
	shift 2
	toolchain
	make -C "$tree" O="$objects" "LLVM=$LLVM" "RUSTC=$RUSTC" tinyconfig
	(cd "$objects" && "$tree/scripts/kconfig/merge_config.sh" -m -O . .config "$@")
	make -C "$objects" "LLVM=$LLVM" "RUSTC=$RUSTC" olddefconfig
}

# host_cargo ARGUMENT...: the distribution's cargo where it is installed, so that every machine
# builds with what setup.sh knows.
host_cargo() {
	local cargo=cargo
	[ ! -x /usr/bin/cargo ] || cargo=/usr/bin/cargo
	(cd "$TOP" && PATH=/usr/bin:$PATH RUSTC=/usr/bin/rustc CARGO_TARGET_DIR="$BUILD/target" "$cargo" \
		"$@")
}
