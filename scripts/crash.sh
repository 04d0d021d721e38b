#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# crash.sh [ARGUMENT...]: have machines die in QEMU after a guest's write, and see whether the guest
# is named; arguments are those of tools/crash. What the machines say is in build/crash.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

exec "$BUILD/target/debug/crash" --kernel "$BUILD/linux/m/arch/x86/boot/bzImage" --top "$TOP" \
	--build "$BUILD" "$@"
