#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# fetch-image.sh SUITE: fetch the kernel of a suite of Debian's, such as bookworm or trixie, as it
# is, to boot it in the VM, into build/stock/SUITE-kernel/image, and print that folder's parent. Of
# its modules those are unpacked that the VM's devices and VFIO need.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

suite=${1:-}
[[ $suite =~ ^[a-z]+$ ]] || die "usage: fetch-image.sh SUITE"
dest=$BUILD/stock/$suite-kernel
image=$dest/image
if [ -e "$dest/.fetched" ]; then
	echo "$dest"
	exit
fi

private_apt "image-$suite" deb "$suite" || die "no Debian mirror in the system's apt sources"
step image-index "reading the index of $suite" apt-get "${apt_private[@]}" update
package=$(apt-cache "${apt_private[@]}" show linux-image-amd64 |
	sed -nE 's/^Depends:.* ?(linux-image-[^ ,]+).*/\1/p' | head -n 1)
[ -n "$package" ] || die "$suite has no linux-image-amd64"
release=${package#linux-image-}
rm -rf "$dest"
mkdir -p "$dest/debs" "$image"
download() {
	cd "$dest/debs"
	apt-get "${apt_private[@]}" -o APT::Sandbox::User=root download "$package"
}
step image-download "downloading $package" download

modules=$image/usr/lib/modules/$release
unpack() {
	local folder=lib/modules
	dpkg-deb -c "$dest"/debs/*.deb >"$dest/list"
	! grep -q ' \./usr/lib/modules/' "$dest/list" || folder=usr/lib/modules
	local kernel=./$folder/$release/kernel
	dpkg-deb --fsys-tarfile "$dest"/debs/*.deb | tar -x -C "$image" --wildcards \
		"./boot/vmlinuz-*" "./boot/config-*" "./$folder/$release/modules.*" \
		"$kernel/"{arch,crypto,lib,virt,net/9p}"/*" \
		"$kernel/fs/"{9p,fscache,fuse,netfs,overlayfs}"/*" \
		"$kernel/drivers/"{char,iommu,nvme,vfio,virtio,net/ethernet/intel/e1000e}"/*" ||
		# No kernel has all of these folders; what is needed is looked for below.
		true
	if [ $folder = lib/modules ]; then
		mkdir -p "$image/usr"
		mv "$image/lib" "$image/usr/lib"
	fi
	# What boots the VM reads none that are packed.
	find "$modules" -name '*.ko.xz' -print0 | xargs -0 -r -P "$JOBS" -n 16 xz -d
	mv "$image/boot/vmlinuz-$release" "$modules/vmlinuz"
	mv "$image/boot/config-$release" "$modules/config"
	ln -sfn usr/lib "$image/lib"
	depmod -b "$image" "$release"
	[ -e "$modules/kernel/drivers/vfio/pci/vfio-pci-core.ko" ]
	rm -rf "$dest"/{debs,list} "${image:?}/boot"
}
step image-unpack "unpacking $package" unpack
touch "$dest/.fetched"
echo "$dest"
