#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# deb.sh [--small]: build Debian packages of the kernel with the series and the option on, into
# build/deb. The configuration is the running kernel's, or CONFIG=FILE; --small is that of the
# tests, in build/deb-small. KDIR= is a tree of the user's; without it one is fetched. Prints the
# image package's path.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

dest=$BUILD/deb base=${CONFIG:-} fragments=()
case ${1:-} in
'') ;;
--small)
	dest=$BUILD/deb-small base=tinyconfig fragments=("$TOP/scripts/test-kernel.config")
	;;
*) die "usage: deb.sh [--small]" ;;
esac
objects=$dest/objects

tree=${KDIR:-}
[ -n "$tree" ] || tree=$("$TOP/scripts/fetch-kernel.sh")
tree=$(cd "$tree" && pwd) || die "no kernel tree at ${KDIR:-}"

running=/boot/config-$(uname -r)
if [ -z "$base" ] && [ -r "$running" ]; then
	base=$running
elif [ -z "$base" ] && [ -r /proc/config.gz ]; then
	base=/proc/config.gz
fi
[ -n "$base" ] || die "the running kernel's configuration is neither at $running nor at" \
	"/proc/config.gz; give one with CONFIG=FILE"
[ "$base" = tinyconfig ] || [ -r "$base" ] || die "no kernel configuration at $base"

"$TOP/scripts/graft.sh" "$tree"

config() { "$tree/scripts/config" --file "$objects/.config" "$@"; }
is() { grep -qxE "CONFIG_$1=$2" "$objects/.config"; }
configure_it() {
	mkdir -p "$objects"
	case $base in
	tinyconfig) configure "$tree" "$objects" "${fragments[@]}" ;;
	*.gz) zcat "$base" >"$objects/.config" ;;
	*) cp "$base" "$objects/.config" ;;
	esac
	config --enable AUDIT --enable RUST --enable VFIO_PCI_UNASSIGNED_ACCESS_AUDIT
	is VFIO '[ym]' || config --module VFIO
	is VFIO_PCI '[ym]' || config --module VFIO_PCI
	# Symbol versions of Rust code come from debug information.
	! is MODVERSIONS y || config --disable GENKSYMS --enable GENDWARFKSYMS
	# A distribution's keys are not here.
	config --set-str SYSTEM_TRUSTED_KEYS '' --set-str SYSTEM_REVOCATION_KEYS ''
	make -C "$tree" "O=$objects" "LLVM=$LLVM" "RUSTC=$RUSTC" olddefconfig
}

toolchain
# A new configuration, not new sources: what is in the folder already is made use of.
key=$tree$(cat "${fragments[@]}" "$TOP"/src/drivers/pci/audit/Kconfig \
	"$TOP"/src/drivers/vfio/pci/audit/Kconfig \
	"$([ "$base" = tinyconfig ] && echo /dev/null || echo "$base")" | sha256sum)
if [ "$(cat "$dest/.configured" 2>/dev/null)" != "$key" ]; then
	# What is there is of another configuration from here on, also if this one is refused.
	rm -f "$dest/.configured"
	step deb-config "configuring, from $base" configure_it
	for option in AUDIT RUST VFIO_PCI VFIO_PCI_UNASSIGNED_ACCESS_AUDIT; do
		is $option '[ym]' || die "$base with CONFIG_$option: some other option is against it;" \
			"\"make -C $objects menuconfig\"," \
			"then \"/\" and $option, shows which"
	done
	echo "$key" >"$dest/.configured"
fi

# The release tells these packages from those of the distribution. The one with debug information
# takes gigabytes.
export DEB_BUILD_PROFILES="${DEB_BUILD_PROFILES-pkg.linux-upstream.nokerneldbg}"
find "$dest" -maxdepth 1 -name 'linux-*' -delete
step deb "building packages in build/${dest#"$BUILD/"} (as long as the configuration takes)" \
	kmake "$objects" LOCALVERSION=-pci-audit bindeb-pkg
find "$dest" -maxdepth 1 -name '*.deb' -printf '    %p\n' | sort >&2
find "$dest" -maxdepth 1 -name 'linux-image-*.deb' ! -name '*-dbg_*'
