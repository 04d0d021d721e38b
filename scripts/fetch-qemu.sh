#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-qemu.sh: where the system's QEMU cannot give a guest a device by iommufd, as Debian 12's,
# fetch that of its backports into build/qemu, for the inner guest. The system's stays as it is.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

dest=$BUILD/qemu
[ ! -e "$dest/.fetched" ] || exit 0
! qemu-system-x86_64 -object help 2>/dev/null | grep -qw iommufd || exit 0
if [ "$(debian_release)" != 12 ] || ! private_apt qemu deb bookworm-backports; then
	say "no QEMU with iommufd is to be had here: what needs it is skipped"
	exit
fi
fetch() {
	apt-get "${apt_private[@]}" update
	unpack_packages "$dest" qemu-system-x86 qemu-system-common qemu-system-data seabios
	"$dest/usr/bin/qemu-system-x86_64" --version
}
rm -rf "$dest"
step qemu "fetching QEMU from bookworm-backports" fetch
touch "$dest/.fetched"
