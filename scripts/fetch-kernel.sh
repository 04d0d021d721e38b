#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Fetch a Debian kernel source into build/linux/src and print where it is. The system's apt
# configuration stays as it is: the mirror's address is read from it, and everything else is private
# to build/apt.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

dest=$BUILD/linux/src
if [ -e "$dest/.fetched" ]; then
	echo "$dest"
	exit
fi

apt_dir=$BUILD/apt
private_apt backports deb trixie trixie-backports ||
	die "no Debian mirror in the system's apt sources; give a kernel tree with KDIR="

step apt-index "reading the index of trixie-backports" apt-get "${apt_private[@]}" update
newest() { apt-cache "${apt_private[@]}" pkgnames "linux-source-$1" |
	grep -E '^linux-source-[0-9]+\.[0-9]+$' | sort -V | tail -n 1; }
package=$(newest "$KERNEL")
if [ -z "$package" ]; then
	package=$(newest 7.)
	[ -n "$package" ] || die "no linux-source-$KERNEL in trixie-backports; give a kernel tree with" \
		"KDIR="
	say "    linux-source-$KERNEL is gone; taking $package"
fi
cd "$apt_dir"
step kernel-download "downloading $package" apt-get "${apt_private[@]}" -o APT::Sandbox::User=root \
	download "$package"
deb=$(find . -maxdepth 1 -name "${package}_*.deb" | sort -V | tail -n 1)
rm -rf unpacked "$dest"
dpkg-deb -x "$deb" unpacked
mkdir -p "$dest"
step kernel-unpack "unpacking $(basename "$deb")" \
	tar -xf "unpacked/usr/src/$package.tar.xz" -C "$dest" --strip-components=1
rm -rf unpacked "$deb"
say "    kernel: $(make -s -C "$dest" kernelversion)"
touch "$dest/.fetched"
echo "$dest"
