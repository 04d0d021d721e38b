#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# install-stock.sh [RELEASE]: have dkms build the modules for a kernel, the running one unless told
# otherwise, and for every later one, and have them loaded at boot. Existing configuration stays.
# install-stock.sh --remove: undo it. The modules stay loaded, and the configuration.
# install-stock.sh --stage FOLDER: only put what dkms wants there.
#
# Needs root, Debian 13, and dkms with the kernel's headers installed.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

stage() {
	mkdir -p "$1"
	cp -r "$TOP"/{Kbuild,Kconfig,dkms.conf,src,rust-bindings,kunit,patches,scripts} "$1/"
	# A machine that builds modules for a new kernel builds no program for that.
	"$TOP/scripts/lab.sh" help >/dev/null
	install -m 755 "$BUILD/target/debug/lab" "$1/lab"
}
if [ "${1:-}" = --stage ]; then
	stage "${2:?usage: install-stock.sh --stage FOLDER}"
	exit
fi

[ "$(debian_release)" = 13 ] || die "dkms builds on the machine itself, and only Debian 13 has" \
	"the compilers of its kernels"
[ "$(id -u)" -eq 0 ] || die "this needs root"
command -v dkms >/dev/null || die "dkms is missing: apt install dkms"
version=$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' "$TOP/dkms.conf")
name=vfio-pci-audit dest=/usr/src/vfio-pci-audit-$version

if [ "${1:-}" = --remove ]; then
	dkms remove "$name/$version" --all
	rm -rf "$dest" /var/cache/vfio-pci-audit
	say "removed; so that boot does not miss the modules: rm /etc/modules-load.d/$name.conf" \
		"/etc/modprobe.d/$name.conf"
	exit
fi
release=${1:-$(uname -r)}
[ -e "/lib/modules/$release/build" ] || die "no headers of $release: apt install" \
	"linux-headers-$release"

if [ -n "$(dkms status "$name/$version")" ]; then
	dkms remove "$name/$version" --all
fi
rm -rf "$dest"
stage "$dest"
dkms add "$name/$version"
dkms build "$name/$version" -k "$release" || die "not for $release:" \
	"$(sed -n 's/^error: //p' /var/cache/vfio-pci-audit/last-error | head -n 1)"
dkms install "$name/$version" -k "$release"
for kind in modules-load modprobe; do
	[ -e "/etc/$kind.d/$name.conf" ] ||
		install -D -m 644 "$TOP/packaging/$kind.conf" "/etc/$kind.d/$name.conf"
done
say "installed for $release: now \"modprobe vfio_pci_audit\", or with the next boot; parameters" \
	"are in /etc/modprobe.d/$name.conf"
