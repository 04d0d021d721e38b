#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-audit.sh SUITE: fetch the source of the newest audit 4.x of a suite of Debian's into
# build/audit-src/SUITE, through a private apt, which verifies it against the signed index.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

suite=${1:?usage: fetch-audit.sh SUITE}
private_apt "audit-$suite" deb-src "$suite" || die "no Debian mirror in the system's apt sources"
apt-get "${apt_private[@]}" update
version=$(apt-cache "${apt_private[@]}" showsrc --only-source audit | sed -n 's/^Version: //p' |
	grep -E '^([0-9]+:)?4\.' | sort -V | tail -n 1 || true)
[ -n "$version" ] || die "the source index of $suite names no audit 4.x"
mkdir -p "$BUILD/audit-src/$suite"
cd "$BUILD/audit-src/$suite"
apt-get "${apt_private[@]}" -o APT::Sandbox::User=root source --tar-only --download-only \
	"audit=$version"
