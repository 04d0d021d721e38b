#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build the packages of make deb-tool, have lintian judge them, and install, use and remove them in
# fresh systems of Debian 12 and 13, which are made in build/deb-tool. "lab.sh check" makes KTAP of
# what it says.
#
# A package needs the C library of the system that it is built on, or a newer one: on Debian 13,
# Debian 12 is left out. DKMS builds modules on Debian 13 only, which has the compilers.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

"$TOP/scripts/setup.sh" deb-tool
mapfile -t packages < <("$TOP/scripts/deb-tool.sh")
sample=$TOP/tools/vfio-pci-audit/tests/data/guest.log
expected=$BUILD/deb-tool/report

# fresh SUITE PACKAGE...: a fresh system of a suite in build/deb-tool, with packages installed.
fresh() {
	local suite=$1 root=$BUILD/deb-tool/$1 package hooks=()
	shift
	private_apt "$suite" deb "$suite" || return 1
	for package; do
		hooks+=(--customize-hook="copy-in $package /root")
	done
	mkdir -p "$root"
	# An index past its date is signed all the same; and nothing in there needs to outlive a
	# power cut.
	# shellcheck disable=SC2016
	as_root mmdebstrap --mode=root --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io "${hooks[@]}" \
		--customize-hook="copy-in $sample /root" \
		--customize-hook='export DEBIAN_FRONTEND=noninteractive
			chroot "$1" sh -c "apt-get install --yes /root/*.deb"' \
		"$suite" "$root" "$BUILD/apt/$suite/debian.sources"
}
within() {
	as_root chroot "$BUILD/deb-tool/$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ \
		LC_ALL=C.UTF-8 "${@:2}"
}

tool_works() {
	within "$1" vfio-pci-audit report --utc "/root/$(basename "$sample")" |
		diff "$expected" - || return 1
	# shellcheck disable=SC2016
	within "$1" bash -ec '
		. /usr/share/bash-completion/completions/vfio-pci-audit
		complete -p vfio-pci-audit
		zcat /usr/share/man/man1/vfio-pci-audit.1.gz | grep "SH EXAMPLES"
		for command in status map report advise export watch; do
			zcat "/usr/share/man/man1/vfio-pci-audit-$command.1.gz" | grep "SH SYNOPSIS"
		done'
}
dkms_knows() {
	within "$1" dkms status | grep '^vfio-pci-audit/.*: added' &&
		within "$1" ls /etc/modules-load.d/vfio-pci-audit.conf /etc/modprobe.d/vfio-pci-audit.conf
}
nothing_is_left() {
	local left
	within "$1" dpkg --purge "${@:2}" || return 1
	left=$(within "$1" find /etc /usr /var/lib/dkms -name 'vfio-pci-audit*')
	[ -z "$left" ] || { echo "left: $left" && return 1; }
}

for package in "${packages[@]}"; do
	case $(basename "$package") in
	vfio-pci-audit_*) tool=$package ;;
	vfio-pci-audit-dkms_*) dkms=$package ;;
	esac
done
"$BUILD/target/release/vfio-pci-audit" report --utc "$sample" >"$expected"

plan 8
check "lintian finds no error in the packages" lintian --fail-on error --tag-display-limit 0 \
	"${packages[@]}"
if [ "$(debian_release)" = 13 ]; then
	for what in installs works "can be removed"; do
		skip "the tool $what on Debian 12" "packages that were built on Debian 13 are not for it"
	done
else
	check "the tool installs on Debian 12" fresh bookworm "$tool"
	check "the tool works on Debian 12" tool_works bookworm
	check "the tool can be removed from Debian 12" nothing_is_left bookworm vfio-pci-audit
fi
check "the tool and the modules' sources install on Debian 13" fresh trixie "$tool" "$dkms"
check "the tool works on Debian 13" tool_works trixie
check "dkms has the modules' sources on Debian 13" dkms_knows trixie
check "both can be removed from Debian 13" nothing_is_left trixie vfio-pci-audit vfio-pci-audit-dkms
