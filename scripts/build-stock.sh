#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# build-stock.sh [--image] [RELEASE]: build both modules for a kernel of Debian's as it is, in
# build/stock/RELEASE/modules, and print that folder's parent. RELEASE, which the environment may
# give too, is what uname -r says; the default is the running kernel if it is such a one, else the
# newest in backports. --image fetches the kernel itself too, to boot it.
#
# MODULES_CONFIG chooses further modules, as in "CONFIG_SAMPLE_PCI_AUDIT_C=m": see Kconfig. With
# --image, which is for tests, these are the samples.
#
# Debian's headers come without the Rust crates, which are built here from Debian's source, with its
# configuration and compilers.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

image=
if [ "${1:-}" = --image ]; then
	image=1
	shift
fi
release=${1:-${RELEASE:-}}

# What is installed needs no mirror, which may be away when dkms calls.
# shellcheck disable=SC2016
installed() { { dpkg-query -W -f='${db:Status-Status} ${Version}' "$1" 2>/dev/null || true; } |
	sed -n 's/^installed //p'; }
index=
read_index() {
	[ -z "$index" ] || return 0
	private_apt stock deb trixie trixie-backports ||
		die "no Debian mirror in the system's apt sources"
	step stock-index "reading the index of trixie-backports" apt-get "${apt_private[@]}" update
	index=1
}
# Rust came to Debian's kernels with 7.
releases() {
	apt-cache "${apt_private[@]}" pkgnames linux-headers- |
		sed -nE 's/^linux-headers-([0-9.]+\+deb13-(cloud-)?amd64)$/\1/p' |
		grep '^[7-9]' | sort -V
}
available() {
	apt-cache "${apt_private[@]}" show "$1" 2>/dev/null |
		awk '/^Version: / && !seen++ { print $2 }' || true
}

running=$(uname -r)
if [ -z "$release" ] && [[ $running =~ ^[7-9].*\+deb13- ]] &&
	[ -n "$(installed "linux-headers-$running")" ]; then
	release=$running
fi
if [ -z "$release" ]; then
	read_index
	release=$(releases | grep -xF "$running" || releases | grep -v cloud | tail -n 1)
fi
series=$(echo "$release" | cut -d. -f1,2)
version=$(installed "linux-headers-$release")
source_version=$(installed "linux-source-$series")
# What was fetched once is not asked for again.
if [ -e "$BUILD/stock/$release/.prepared" ]; then
	version=$(<"$BUILD/stock/$release/.prepared") source_version=$version
fi
if [ -z "$version" ] || [ "$source_version" != "$version" ]; then
	read_index
	version=${version:-$(available "linux-headers-$release")}
	source_version=$(available "linux-source-$series")
fi
[[ -n $version && $release == *+deb13-* ]] ||
	die "Debian 13 and its backports have no kernel $release with Rust: take one of these with" \
		"RELEASE=: $(releases | xargs)"
[ "$source_version" = "$version" ] ||
	die "kernel $release is of $version, and the mirror has ${source_version:-no}" \
		"linux-source-$series: upgrade to the newest kernel of backports, and build for that"

dest=$BUILD/stock/$release
objects=$dest/objects
mkdir -p "$dest" "$BUILD/stock/debs"
dest=$(cd "$dest" && pwd)

# unpack PACKAGE FOLDER: fetch a package, apt checks it against the signed index, and unpack it.
fetch() { (cd "$BUILD/stock/debs" &&
	apt-get "${apt_private[@]}" -o APT::Sandbox::User=root download "$1=$version"); }
unpack() {
	[ ! -e "$dest/.$1" ] || return 0
	read_index
	step "stock-download" "downloading $1 $version" fetch "$1"
	dpkg-deb -x "$BUILD"/stock/debs/"$1"_*.deb "$2"
	rm "$BUILD"/stock/debs/"$1"_*.deb
	touch "$dest/.$1"
}

headers=/usr/src/linux-headers-$release
if [ "$(installed "linux-headers-$release")" != "$version" ]; then
	unpack "linux-headers-$release" "$dest/headers"
	headers=$dest/headers$headers
fi
# What Kconfig says of the options a kernel needs, before anything else is fetched.
grep -o 'CONFIG_[A-Z_]*=[ym]' "$TOP/Kconfig" | sort -u | while read -r option; do
	grep -qx "$option" "$headers/.config" ||
		die "kernel $release lacks $option: take another with RELEASE=, or rebuild the kernel with" \
			"the patch series"
done
exports() { awk -v name="$1" '$2 == name { found = 1 } END { exit !found }' \
	"$headers/Module.symvers"; }
! exports vfio_pci_audit_config_rw ||
	die "kernel $release has vfio_pci_audit of its own: there is nothing to build"
exports vfio_pci_config_rw_single ||
	die "kernel $release exports no vfio_pci_config_rw_single(): take another with RELEASE=, or" \
		"rebuild the kernel with the patch series"

# What no module is built from stays packed.
unpack_source() {
	local tarball=/usr/src/linux-source-$series.tar.xz
	[ ! -d "$dest/package" ] || tarball=$dest/package$tarball
	rm -rf "$dest/source"
	mkdir -p "$dest/source"
	tar -xf "$tarball" -C "$dest/source" --strip-components=1 --wildcards \
		--exclude='*/drivers/gpu/drm/*.[ch]' \
		--exclude='*/drivers/net/*.[ch]' --exclude='*/drivers/media/*.[ch]' \
		--exclude='*/sound/*.[ch]' \
		--exclude='*/Documentation/*/*' --exclude='*/tools/testing/*' \
		--exclude='*/arch/*/boot/dts/*'
	rm -rf "$dest/package" "$dest/.linux-source-$series"
}
# prepare.in13 runs where Debian 13's compilers are.
configure() {
	mkdir -p "$objects"
	cp "$headers/.config" "$objects/.config"
	# Only Debian can sign with Debian's key.
	"$dest/source/scripts/config" --file "$objects/.config" -d MODULE_SIG_ALL --set-str \
		MODULE_SIG_KEY "" --set-str SYSTEM_TRUSTED_KEYS ""
	in13 olddefconfig
	# No type information is made of a module without the kernel's own, and so the tool for it
	# is not needed.
	in13 CONFIG_DEBUG_INFO_BTF= prepare modules_prepare scripts/module.lds
	cp "$headers/Module.symvers" "$objects/"
}
in13() {
	"$TOP/scripts/debian13.sh" make -C "$dest/source" O="$objects" -j"$JOBS" \
		CC=x86_64-linux-gnu-gcc-14 \
		KERNELRELEASE="$release" "$@"
}
if [ ! -e "$dest/.prepared" ]; then
	[ "$(installed "linux-source-$series")" = "$version" ] ||
		unpack "linux-source-$series" "$dest/package"
	step stock-unpack "unpacking the source of $release" unpack_source &
	# Has the compilers installed at the same time, with a word about it.
	"$TOP/scripts/debian13.sh" true
	wait $!
	step stock-prepare "preparing $release: its Rust crates and build tools" configure
	echo "$version" >"$dest/.prepared"
fi

# The name of a Rust symbol has a hash of its crate in it: compiler, options and content. The kernel
# has to export what our crates were built to call.
crates() {
	nm "$objects"/rust/*.o | awk '$2 ~ /[TRDB]/ && $3 ~ /^_R/ { print $3 }' |
		sort -u >"$dest/built"
	awk '$2 ~ /^_R/ { print $2 }' "$headers/Module.symvers" | sort -u >"$dest/exported"
	[ -s "$dest/exported" ] && comm -23 "$dest/exported" "$dest/built" >"$dest/missing" &&
		[ ! -s "$dest/missing" ]
}
crates || die "the Rust crates that were built are not those of kernel $release: $(wc -l \
	<"$dest/missing") of the $(wc -l <"$dest/exported") symbols \
that it exports are missing, such as $(head -n 1 "$dest/missing"). Debian built it with another \
compiler than Debian 13 has now: \
upgrade to the newest kernel of backports, and build for that"
say "    crates: all $(wc -l <"$dest/exported") Rust symbols that $release exports have the same" \
	"hash here"

[ -z "$image" ] ||
	MODULES_CONFIG=${MODULES_CONFIG:-CONFIG_SAMPLE_PCI_AUDIT_C=m CONFIG_SAMPLE_PCI_AUDIT_RUST=m}
step stock-modules "building the modules for $release" in13 M="$TOP" MO="$dest/modules" \
	"MODULES_CONFIG=${MODULES_CONFIG:-}" modules
if [ -n "$image" ]; then
	step stock-replace "building a livepatch that replaces others, for the tests" \
		in13 M="$TOP/tools/modules/replace" MO="$dest/replace" modules
	step stock-faults "building the modules of the faults, for the tests" \
		in13 M="$TOP/tools/modules/faults" MO="$dest/faults" modules
	unpack "linux-base-$release" "$dest/image"
	unpack "linux-binary-$release" "$dest/image"
	unpack "linux-modules-$release" "$dest/image"
	# Only a VM without these devices boots it, and depmod reads every module.
	kernel=$dest/image/usr/lib/modules/$release/kernel
	rm -rf "$kernel/sound" "$kernel"/drivers/net/{ethernet/mellanox,wireless} \
		"$kernel"/drivers/{gpu,hid,hwmon,iio,infiniband,input,media,scsi,usb}
	ln -sfn usr/lib "$dest/image/lib"
	mkdir -p "$dest/image/lib/modules/$release/updates"
	rm -f "$dest/image/lib/modules/$release/updates"/*.ko
	find "$dest/modules" -name '*.ko' ! -path '*/samples/*' \
		-exec cp -t "$dest/image/lib/modules/$release/updates/" {} +
	depmod -b "$dest/image" "$release"
fi
say "    modules: build/stock/$release/modules"
echo "$dest"
