// SPDX-License-Identifier: GPL-2.0

//! The machine of the inner guest, the same where it is booted and where it goes on.

use std::path::PathBuf;

use crate::paths::Paths;

/// The system's QEMU.
pub(crate) const SYSTEM: &str = "qemu-system-x86_64";

/// What emulates it: the system's, unless scripts/fetch-qemu.sh has found that one too old.
pub(crate) fn program(paths: &Paths) -> PathBuf {
    let fetched = paths.build.join("qemu/usr/bin/qemu-system-x86_64");
    if fetched.exists() {
        fetched
    } else {
        PathBuf::from(SYSTEM)
    }
}

/// What that is told, with a PCI Express port for the device to come.
///
/// Time passes with the instructions it executes (32 ns each): by the clock on the wall, a guest
/// that is emulated by an emulated machine does little else than serve its timer's interrupts.
/// Without a power controller at the port, a device is there as soon as it is plugged in.
pub(super) fn arguments() -> impl Iterator<Item = &'static str> {
    [
        "-machine q35,i8042=off,sata=off,smbus=off -accel tcg -icount shift=5 -cpu qemu64,+rdrand \
         -m 192",
        "-nodefaults -display none -no-reboot",
        "-device pcie-root-port,id=port1,power_controller_present=off",
    ]
    .into_iter()
    .flat_map(|words| words.split(' '))
}
