#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deb-tool.sh: build the Debian packages of the operator's tool and of the modules' sources for dkms
# into build/deb-tool, and print their paths.
#
# packaging/debian/rules asks it for parts:
#
#	--program FILE  build the tool, and put it there
#	--needs         print the packages that building the modules takes, as a dependency
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

case ${1:-} in
--program)
	host_cargo build --release --locked -p vfio-pci-audit
	install -D -m 755 "$BUILD/target/release/vfio-pci-audit" "$2"
	exit
	;;
--needs)
	{ "$TOP/scripts/setup.sh" --list stock && "$TOP/scripts/debian13.sh" --list; } | sort -u |
		paste -sd, | sed 's/,/, /g'
	exit
	;;
'') ;;
*) die "usage: deb-tool.sh [--program FILE | --needs]" ;;
esac

dest=$BUILD/deb-tool work=$BUILD/deb-tool/work
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$TOP/Cargo.toml" | head -n 1)
for said in "$(dpkg-parsechangelog -l "$TOP/packaging/debian/changelog" -S Version)" \
	"$(sed -n 's/^PACKAGE_VERSION="\(.*\)"$/\1/p' "$TOP/dkms.conf")"; do
	[ "$said" = "$version" ] ||
		die "Cargo.toml has version $version, and packaging/debian/changelog or dkms.conf $said"
done
rm -rf "$dest"
mkdir -p "$work"
cp -r "$TOP/packaging/debian" "$work/debian"
cd "$work"
# There is no debug information to put into a package of its own.
export TOP DEB_BUILD_OPTIONS="noautodbgsym ${DEB_BUILD_OPTIONS:-}"
step deb-tool "building packages in build/deb-tool" dpkg-buildpackage --build=binary --no-sign
find "$dest" -maxdepth 1 -name '*.deb' | sort
