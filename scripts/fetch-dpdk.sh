#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-dpdk.sh: fetch the distribution's DPDK, with the libraries that it takes, into build/dpdk,
# for the scenario that has it drive a device. Nothing is installed.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

dest=$BUILD/dpdk
[ ! -e "$dest/.fetched" ] || exit 0
case $(debian_release) in
12) suite=bookworm ;;
13) suite=trixie ;;
*) die "DPDK is taken from Debian 12 or 13" ;;
esac
private_apt dpdk deb "$suite" || die "no Debian mirror in the system's apt sources"
fetch() {
	local packages
	apt-get "${apt_private[@]}" update
	# The libraries that apt would install with it; those of Mellanox are in ibverbs-providers.
	mapfile -t packages < <(apt-get "${apt_private[@]}" -s install --no-install-recommends dpdk-dev |
		sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -E '^(lib|dpdk-dev$|ibverbs-providers$)' |
		grep -v '^lib.*-dev$')
	unpack_packages "$dest" "${packages[@]}"
	[ -x "$dest/usr/bin/dpdk-testpmd" ]
}
rm -rf "$dest"
step dpdk "fetching DPDK of $suite" fetch
touch "$dest/.fetched"
