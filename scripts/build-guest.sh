#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the root file system of the guest inside the VM: busybox and one script, in build/guest/initramfs.cpio.gz.
. "$(dirname "$0")/lib.sh"

busybox=$(command -v busybox) || die "busybox is missing: run scripts/setup.sh first"
out=$BUILD/guest/initramfs.cpio.gz
if [ "$out" -nt "$busybox" ] && [ "$out" -nt "$TOP/scripts/guest-init/init" ] && [ "$out" -nt "$0" ]; then
	exit 0
fi
! ldd "$busybox" >/dev/null 2>&1 || die "$busybox is not static: install busybox-static"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$BUILD/guest" "$root"/{bin,dev,proc,sys}
install "$busybox" "$root/bin/busybox"
install "$TOP/scripts/guest-init/init" "$root/init"
# Not piped: grep would end at the first match, and busybox sometimes of that.
applets=$("$busybox" --list)
for applet in sh mount dd od reboot; do
	grep -qx "$applet" <<<"$applets" || die "$busybox has no $applet"
	ln -s busybox "$root/bin/$applet"
done
(cd "$root" && find . -exec touch -d @0 {} + && find . | LC_ALL=C sort |
	cpio --quiet -o -H newc -R 0:0 --reproducible | gzip -9n) >"$out.new"
mv "$out.new" "$out"
