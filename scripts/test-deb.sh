#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Build packages as make deb does, of the tests' small configuration, and boot what the image
# package installs. "lab.sh check" makes KTAP of what it says.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

"$TOP/scripts/setup.sh" vm kernel deb
package=$("$TOP/scripts/deb.sh" --small)
root=$BUILD/deb-small/root
rm -rf "$root"
mkdir -p "$root"
dpkg-deb -x "$package" "$root"
release=$(basename "$root"/lib/modules/*)

# In the VM: the package's modules, and a scenario on them.
tried() {
	# shellcheck disable=SC2016
	"$TOP/scripts/vm.sh" --name deb --kernel "$root/boot/vmlinuz-$release" -- \
		env "RELEASE=$release" "ROOT=$root" bash -ec '
			[ "$(uname -r)" = "$RELEASE" ]
			modprobe -d "$ROOT" -a vfio-pci vfio_iommu_type1
			"$BUILD/target/release/e2e" --only policy/toggles-live' | tee "$root.log"
	grep -q '^ok ' "$root.log" && ! grep -q '^not ok ' "$root.log"
}
option_is_on() { grep -qx CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT=y "$root/boot/config-$release"; }
headers() { dpkg-deb -c "$(dirname "$package")"/linux-headers-*.deb |
	grep include/linux/pci_audit.h; }

plan 4
check "the package's kernel is a release of its own" grep -q -- -pci-audit <<<"$release"
check "the option is on in it" option_is_on
check "its headers have pci_audit.h" headers
check "it boots, and its modules block and record" tried
