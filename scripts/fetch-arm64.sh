#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-arm64.sh: fetch what a root file system for arm64 is made of, and what the selftests there
# are linked with, into build/arm64. The system's packages stay as they are.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

dest=$BUILD/arm64
[ ! -e "$dest/.fetched" ] || exit 0
# Of the release whose C library the cross compiler has.
suite=trixie
[ "$(debian_release)" != 12 ] || suite=bookworm
private_apt arm64 deb "$suite" || die "no Debian mirror in the system's apt sources"
apt_private+=(-o APT::Architecture=arm64 -o APT::Architectures=arm64)
fetch() {
	apt-get "${apt_private[@]}" update
	unpack_packages "$dest" busybox-static uuid-dev
}
rm -rf "$dest"
step arm64-packages "fetching busybox and libuuid for arm64" fetch
touch "$dest/.fetched"
