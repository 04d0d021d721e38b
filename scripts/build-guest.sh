#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-guest.sh BZIMAGE: build the guest that runs inside the VM: its root file system is busybox
# and one script. Inside the VM, which is emulated, its kernel takes minutes to boot. So it is
# booted here, and saved in build/guest/state for the VM to go on with.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=guest/machine.sh
. "$TOP/scripts/guest/machine.sh"

kernel=${1:?usage: build-guest.sh BZIMAGE}
out=$BUILD/guest
busybox=$(command -v busybox) || die "busybox is missing: run scripts/setup.sh first"
key=$(sha256sum "$kernel" "$busybox" "$TOP"/scripts/guest/* "$0" && qemu-system-x86_64 --version)
[ "$(cat "$out/key" 2>/dev/null)" != "$key" ] || exit 0
! ldd "$busybox" >/dev/null 2>&1 || die "$busybox is not static: install busybox-static"

work=$(mktemp -d "$BUILD/guest.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$out" "$root"/{bin,dev,proc,sys}
install "$busybox" "$root/bin/busybox"
install "$TOP/scripts/guest/init" "$root/init"
# Not piped: grep would end at the first match, and busybox sometimes of that.
applets=$("$busybox" --list)
for applet in sh mount stty sleep dd od reboot; do
	grep -qx "$applet" <<<"$applets" || die "$busybox has no $applet"
	ln -s busybox "$root/bin/$applet"
done
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -9n) >"$work/initramfs"

# What was started last has the guest say so in this file.
is_up() {
	until grep -q '^guest: up' "$1" 2>/dev/null; do
		kill -0 $! 2>/dev/null || return 1
		sleep 0.2
	done
}
boot() {
	mkfifo "$work/monitor.in" "$work/monitor.out"
	exec 3<>"$work/monitor.in" 4<>"$work/monitor.out"
	timeout 300 qemu-system-x86_64 "${guest_machine[@]}" -kernel "$kernel" -initrd \
		"$work/initramfs" \
		-append "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable pty.legacy_count=0 8250.nr_uarts=1 pcie_ports=compat" \
		-serial "file:$work/console" -chardev "pipe,id=monitor,path=$work/monitor" -mon \
		monitor &
	is_up "$work/console" || { cat "$work/console"; return 1; }
	# It has said that it is up, and sleeps.
	sleep 0.3
	# The monitor takes the second command when the first is done.
	printf '%s\n' "migrate \"exec:cat >$work/state\"" quit >&3
	wait $! || return
	rm "$work"/monitor.*
	[ -s "$work/state" ]
}
goes_on() {
	timeout 20 qemu-system-x86_64 "${guest_machine[@]}" -incoming "exec:cat '$work/state'" \
		-serial "file:$work/goes-on" -monitor none &
	is_up "$work/goes-on" || return
	kill $!
	wait $! || true
}
# One in a dozen was saved where QEMU 7.2 retries the same instruction for ever; likely so while it
# writes to the console.
boot_and_try() {
	local try
	for try in 1 2 3; do
		rm -f "$work/console" "$work/goes-on"
		boot || return
		! goes_on || return 0
		echo "saved where it does not go on from, time $try"
	done
	return 1
}
step guest "booting the guest that goes on inside the VM" boot_and_try
mv "$work/state" "$out/state"
echo "$key" >"$out/key"
