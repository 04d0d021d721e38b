#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# crash.sh [ARGUMENT...]: have machines die in QEMU after a guest's write, and see whether the guest
# is named; arguments are those of tools/crash. What the machines say is in build/crash.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

other_event() {
	rsync -a --checksum "$TOP"/tools/modules/other_event/ "$BUILD/linux/other_event/"
	kmake "$BUILD/linux/m" M="$BUILD/linux/other_event" modules
}
mkdir -p "$BUILD/linux/other_event"
step crash-module "building a module with an event of its own" other_event

exec "$BUILD/target/release/crash" --kernel "$BUILD/linux/m/arch/x86/boot/bzImage" --top "$TOP" \
	--build "$BUILD" "$@"
