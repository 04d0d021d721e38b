#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Print what the modules of the kernel in build/linux/m take: their sizes, and large stack frames.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

cd "$BUILD/linux/m/drivers"
modules=(pci/audit/pci-audit.ko vfio/pci/audit/vfio-pci-audit.ko)
printf '\n%s\n\n' "Sizes of the modules, in bytes:"
/usr/lib/llvm-19/bin/llvm-size "${modules[@]}"
printf '\n%s\n\n' "Stack frames of 100 bytes and more:"
objdump -d "${modules[@]}" | "${KDIR:-$BUILD/linux/src}/scripts/checkstack.pl" x86_64 |
	sed 's/^0x[0-9a-f]* //'
