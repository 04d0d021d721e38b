// SPDX-License-Identifier: GPL-2.0

//! What the guest's root user can be asked for, as lines for its shell.

use anyhow::{bail, ensure, Context, Result};

/// Where the guest's kernel shows a device.
fn sysfs(device: &str) -> String {
    format!("/sys/bus/pci/devices/{device}")
}

/// Something to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Action {
    /// Write bytes of the device's configuration space in one system call.
    Poke { offset: u64, value: u64, size: u32 },
    /// Read bytes in one system call.
    Peek { offset: u64, size: u32 },
    /// Load a module, with parameters.
    Load(String),
    /// The same, and it has to take the device.
    Driver(String),
    /// Open a character device, by its numbers, and keep it open.
    Hold(u32, u32),
    /// Give the device's network interface this address, and wait for its link.
    Address(String),
    /// Have an answer from there.
    Ping(String),
    /// Write a number to a block of 512 bytes of the device's disk, and read it from there.
    Disk { block: u64, value: u64 },
}

impl Action {
    /// From words such as `poke=0x2f8:0xff:1`.
    pub(super) fn parse(words: &str) -> Result<Self> {
        let (verb, rest) = words
            .split_once('=')
            .with_context(|| format!("{words}: an action is written VERB=WHAT"))?;
        let numbers = |count: usize| -> Result<Vec<u64>> {
            let numbers: Vec<_> = rest.split(':').map(number).collect::<Result<_>>()?;
            ensure!(
                numbers.len() == count,
                "{words}: {verb} takes {count} numbers, with : between them"
            );
            Ok(numbers)
        };
        let plain = || -> Result<String> {
            let fine = |c: char| c.is_ascii_alphanumeric() || " ._=-:".contains(c);
            ensure!(
                !rest.is_empty() && rest.chars().all(fine),
                "{words}: {rest:?} has other characters than letters and digits"
            );
            Ok(rest.to_owned())
        };
        Ok(match verb {
            "poke" => {
                let numbers = numbers(3)?;
                Self::Poke {
                    offset: numbers[0],
                    value: numbers[1],
                    size: size(numbers[2])?,
                }
            }
            "peek" => {
                let numbers = numbers(2)?;
                Self::Peek {
                    offset: numbers[0],
                    size: size(numbers[1])?,
                }
            }
            "hold" => {
                let numbers = numbers(2)?;
                Self::Hold(u32::try_from(numbers[0])?, u32::try_from(numbers[1])?)
            }
            "disk" => {
                let numbers = numbers(2)?;
                Self::Disk {
                    block: numbers[0],
                    value: numbers[1],
                }
            }
            "load" => Self::Load(plain()?),
            "driver" => Self::Driver(plain()?),
            "address" => Self::Address(plain()?),
            "ping" => Self::Ping(plain()?),
            _ => bail!(
                "unknown action {verb}: use poke, peek, load, driver, hold, address, ping or disk"
            ),
        })
    }

    /// The line that does it, which prints what is found.
    pub(super) fn line(&self, device: &str) -> String {
        let device = sysfs(device);
        let config = format!("{device}/config");
        match self {
            Self::Poke {
                offset,
                value,
                size,
            } => {
                let bytes = value.to_le_bytes();
                let bytes: String = bytes[..*size as usize]
                    .iter()
                    .map(|byte| format!("\\0{byte:03o}"))
                    .collect();
                format!(
                    "printf %b '{bytes}' | dd of={config} bs={size} count=1 seek={offset} \
                     oflag=seek_bytes conv=notrunc 2>&-"
                )
            }
            Self::Peek { offset, size } => format!(
                "set -- $(dd if={config} bs={size} count=1 skip={offset} iflag=skip_bytes 2>&- | \
                 od -An -v -tx1) && [ $# = {size} ] && say \"$*\""
            ),
            Self::Load(words) => format!("modprobe {words}"),
            // Some probe in a thread of their own.
            Self::Driver(name) => format!(
                "modprobe {name} && {} && [ -e {device}/driver ]",
                wait_until(&format!("[ -e {device}/driver ]"))
            ),
            Self::Hold(major, minor) => {
                let node = format!("/dev/{major}.{minor}");
                format!(
                    "mknod {node} c {major} {minor} && true <{node} && {{ sleep 1000000 3<{node} \
                     & }}"
                )
            }
            Self::Address(address) => format!(
                "cd {device}/net/* && ip addr add {address}/24 dev ${{PWD##*/}} && ip link set \
                 ${{PWD##*/}} up && {} && [ \"$link\" = 1 ]",
                wait_until("read -r link <carrier && [ $link = 1 ]")
            ),
            Self::Ping(address) => format!("ping -c 3 -W 10 {address}"),
            // No other disk is there. Of QEMU 10 it has a subsystem: then it is not in the device's
            // folder, since for the kernel there may be several ways to it.
            //
            // When its last user closes a disk, the kernel drops what it has cached of it: what is
            // read after that comes from the device.
            Self::Disk { block, value } => format!(
                "{} && IFS=: read -r major minor <$1 && \
                 {{ [ -e /dev/disk ] || mknod /dev/disk b $major $minor; }} && echo {value} | \
                 dd of=/dev/disk bs=512 seek={block} conv=sync,fsync 2>&- && set -- $(dd \
                 if=/dev/disk bs=512 skip={block} count=1 2>&-) && {{ [ \"$*\" = {value} ] || \
                 {{ echo it holds \"$*\"; false; }}; }}",
                wait_until("set -- /sys/block/nvme*n1/dev && [ -e $1 ]")
            ),
        }
    }

    /// What is said of it when it is done; `printed` is what its line has found.
    pub(super) fn answer(&self, printed: &str) -> String {
        match self {
            Self::Poke { offset, value, .. } => format!("wrote {value:#x} at {offset:#x}"),
            Self::Peek { offset, .. } => {
                let value: String = printed.split(' ').rev().collect();
                format!("read 0x{value} at {offset:#x}")
            }
            Self::Load(words) => format!("load {words}"),
            Self::Driver(name) => format!("driver {name}"),
            Self::Hold(major, minor) => format!("holds {major}:{minor}"),
            Self::Address(address) => format!("address {address}"),
            Self::Ping(address) => format!("answer from {address}"),
            Self::Disk { block, value } => format!("block {block} holds {value}"),
        }
    }
}

/// Has the shell wait a minute for a condition; a guest in an emulated machine is slow. It goes on
/// all the same then.
fn wait_until(condition: &str) -> String {
    format!(
        "{{ tries=60; until {condition} || [ $tries = 0 ]; do sleep 1; tries=$((tries-1)); done; }}"
    )
}

/// In decimal, or in hexadecimal with 0x before it.
fn number(text: &str) -> Result<u64> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.with_context(|| format!("{text:?} is not a number"))
}

fn size(bytes: u64) -> Result<u32> {
    ensure!(
        (1..=8).contains(&bytes),
        "1 to 8 bytes at once, and not {bytes}"
    );
    Ok(bytes as u32)
}

/// The line that lists the guest's devices as `ADDRESS 0xVENDOR:0xDEVICE`, also those that were
/// plugged in lately.
pub(super) const DEVICES: &str = "echo 1 >/sys/bus/pci/rescan; for dir in /sys/bus/pci/devices/*; \
    do read -r vendor <$dir/vendor; read -r device <$dir/device; say \"${dir##*/} \
    $vendor:$device\"; done";

/// The address of a device among those that [`DEVICES`] lists.
pub(super) fn find(listed: &str, (vendor, device): (u16, u16)) -> Option<&str> {
    let wanted = format!("0x{vendor:04x}:0x{device:04x}");
    listed
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(address, id)| (id == wanted).then_some(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "0000:01:00.0";

    #[test]
    fn bytes_are_written_the_lowest_first() {
        let poke = Action::parse("poke=0x2f8:0xff01:2").unwrap();
        let line = poke.line(DEVICE);
        assert!(
            line.starts_with("printf %b '\\0001\\0377' | dd of=/sys/bus/pci/devices/0000:01:00.0/"),
            "{line}"
        );
        assert!(line.contains(" bs=2 count=1 seek=760 "), "{line}");
        assert_eq!(poke.answer(""), "wrote 0xff01 at 0x2f8");
    }

    #[test]
    fn bytes_are_read_the_highest_last() {
        let peek = Action::parse("peek=760:4").unwrap();
        assert!(peek.line(DEVICE).contains(" bs=4 count=1 skip=760 "));
        assert_eq!(peek.answer("11 22 33 44"), "read 0x44332211 at 0x2f8");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            "poke",
            "poke=1:2",
            "poke=1:2:9",
            "peek=0xg:1",
            "load=a;b",
            "load=",
            "dance=1",
            "hold=4294967296:1",
            "disk=8",
        ] {
            assert!(Action::parse(words).is_err(), "{words}");
        }
    }

    #[test]
    fn parameters_follow_a_module() {
        let load = Action::parse("load=i6300esb heartbeat=2000").unwrap();
        assert_eq!(load.line(DEVICE), "modprobe i6300esb heartbeat=2000");
    }

    #[test]
    fn a_device_is_found_by_its_numbers() {
        let listed = "0000:00:00.0 0x8086:0x29c0\n0000:01:00.0 0x8086:0x10d3\n";
        assert_eq!(find(listed, (0x8086, 0x10d3)), Some(DEVICE));
        assert_eq!(find(listed, (0x8086, 0x10)), None);
    }
}
