#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-bindgen.sh: where the system's bindgen is too old for the kernel, as Debian 12's, fetch that
# of Debian 13 into build/bindgen, with the C library that it wants, and have build/bin/bindgen run
# it. Building one takes 80 processor seconds, and what is built so is not optimised: it takes three
# times as long over the kernel's headers. Fails where there is none to fetch.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

dest=$BUILD/bindgen
if [ "$(debian_release)" != 12 ] || ! private_apt bindgen deb trixie; then exit 1; fi
fetch() {
	apt-get "${apt_private[@]}" update
	unpack_packages "$dest" bindgen libc6
	cat >"$BUILD/bin/bindgen" <<-'EOF'
		#!/bin/sh
		# Written by fetch-bindgen.sh. The system's libraries follow: libclang is among them.
		folder=$(dirname "$0")/../bindgen
		lib=$(echo "$folder"/usr/lib/*-linux-gnu)
		exec "$lib"/ld-linux*.so.* --library-path "$lib:/usr/lib/${lib##*/}" \
		    "$folder/usr/bin/bindgen" "$@"
	EOF
	chmod +x "$BUILD/bin/bindgen"
	"$BUILD/bin/bindgen" --version
}
rm -rf "$dest"
mkdir -p "$BUILD/bin"
step bindgen "fetching bindgen from Debian 13" fetch
