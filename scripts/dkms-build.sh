#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# dkms-build.sh RELEASE: what dkms runs, in its copy of the sources, for each kernel: both modules
# into this folder. What is fetched and prepared for a kernel stays in /var/cache/vfio-pci-audit.
set -euo pipefail

cd "$(dirname "$0")/.."
release=${1:?usage: dkms-build.sh RELEASE}
export BUILD=/var/cache/vfio-pci-audit
mkdir -p "$BUILD"

# Report to the system's log too: dkms has a log of its own that is easily overlooked.
loud() {
	local reason
	reason=$(sed -n 's/^error: //p' "$BUILD/last-error" | head -n 1)
	cat "$BUILD/last-error" >&2
	logger -t vfio-pci-audit -p daemon.err \
		"kernel $release will run WITHOUT vfio_pci_audit, unassigned PCI config space" \
		"unwatched: ${reason:-see $BUILD/log}" || true
	exit 1
}
stock=$(scripts/build-stock.sh "$release" 2>"$BUILD/last-error") || loud
find "$stock/modules" -name '*.ko' -exec cp -t . {} +
