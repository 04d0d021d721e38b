#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# debian13.sh COMMAND...: run a command with the compilers that Debian 13 builds its kernels with:
# right here on Debian 13, elsewhere in a Debian 13 that is made for it in build/stock/trixie. The
# repository is at the same place in there. debian13.sh --list prints the packages that it takes.
#
# The mounts are in a namespace of the command's own, and go with it, however it ends.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

packages=(bc bindgen bison cpio file flex gcc-14 gcc-14-for-host kmod libclang-19-dev libelf-dev \
	libssl-dev make pahole perl
	python3 rust-src rustc xz-utils zstd)
if [ "$*" = --list ]; then
	printf '%s\n' "${packages[@]}"
	exit
fi
if [ "$(debian_release)" = 13 ]; then
	install_packages "${packages[@]}"
	exec "$@"
fi

root=$BUILD/stock/trixie
key=$(echo "${packages[*]}" | sha256sum | cut -c1-16)
if [ "$(cat "$root.done" 2>/dev/null)" != "$key" ]; then
	if [ -n "$(debian_release)" ]; then install_packages mmdebstrap; fi
	command -v mmdebstrap >/dev/null || die "mmdebstrap is missing, which makes a Debian 13"
	private_apt trixie deb trixie || die "no Debian mirror in the system's apt sources"
	as_root rm -rf "$root" "$root.done"
	mkdir -p "$root"
	# An index past its date is signed all the same; and nothing in there needs to outlive a
	# power cut.
	step stock-debian13 "installing Debian 13's compilers in build/stock/trixie" as_root \
		mmdebstrap --mode=root --variant=minbase \
		--aptopt='Acquire::Check-Valid-Until "false"' --dpkgopt=force-unsafe-io \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--include="$(IFS=,; echo "${packages[*]}")" trixie "$root" \
		"$BUILD/apt/trixie/debian.sources"
	echo "$key" >"$root.done"
fi
# shellcheck disable=SC2016
as_root unshare --mount --propagation private bash -c '
	set -e
	root=$1 top=$2 build=$3 user=$4
	shift 4
	mkdir -p "$root$top" "$root$build"
	mount --bind "$top" "$root$top"
	[ "${build#"$top"/}" != "$build" ] || mount --bind "$build" "$root$build"
	mount -t proc proc "$root/proc"
	exec chroot --userspec="$user" "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LC_ALL=C \
		TOP="$top" BUILD="$build" "$@"
' debian13 "$root" "$TOP" "$BUILD" "$(id -u):$(id -g)" "$@"
