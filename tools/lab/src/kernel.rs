// SPDX-License-Identifier: GPL-2.0

//! Module parameters, kernel messages, and the driver of a device.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{bail, ensure, Context, Result};
use rustix::fs::OFlags;
use vfio_client::{sysfs, Bdf};

pub use crate::complaints::is_complaint;

/// The session of a record: its number, or `None` for `?`.
///
/// Records of the generic service have no session. An op=close record that covers several sessions
/// has no number either.
pub type Session = Option<u64>;

/// The folder of the policy's parameters.
const PARAMETERS: &str = "/sys/module/vfio_pci_audit/parameters";

/// Blocks reads.
pub const BLOCK_READ: &str = "block_pci_unassigned_read";
/// Blocks writes.
pub const BLOCK_WRITE: &str = "block_pci_unassigned_write";
/// The devices for which nothing is blocked.
pub const ALLOW_IDS: &str = "uaccess_allow_ids";
/// Records per second.
pub const RATE: &str = "audit_rate";
/// Maximum burst of records.
pub const BURST: &str = "audit_burst";

/// All parameters, with their default values.
pub const DEFAULTS: [(&str, &str); 5] = [
    (BLOCK_READ, "N"),
    (BLOCK_WRITE, "N"),
    (ALLOW_IDS, ""),
    (RATE, "1"),
    (BURST, "24"),
];

/// The file of a parameter.
pub fn parameter_file(name: &str) -> PathBuf {
    Path::new(PARAMETERS).join(name)
}

/// Whether the policy module is loaded.
pub fn has_policy() -> bool {
    Path::new(PARAMETERS).exists()
}

/// How many messages a process lost that listens to audit's records; nothing if none does: see
/// net/netlink/af_netlink.c for the columns.
pub fn audit_listener(pid: u32) -> Result<Option<u64>> {
    const AUDIT: &str = "9";
    const READLOG: &str = "00000001";
    const DROPS: usize = 8;

    let table = fs::read_to_string("/proc/net/netlink")?;
    let port = pid.to_string();
    Ok(table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ours = words.get(1..4) == Some(&[AUDIT, &port, READLOG]);
        ours.then(|| words.get(DROPS)?.parse().ok())?
    }))
}

/// The file that shows one session per line, to root only.
pub const SESSIONS: &str = "/sys/kernel/debug/vfio_pci_audit/sessions";

/// An open session, or an op=close that is pending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The device.
    pub device: String,
    /// Whether it is open.
    pub open: bool,
    /// Its number, or nothing where it is `?`.
    pub session: Session,
    /// Numbers of reads and writes.
    pub accesses: u64,
}

impl Shown {
    fn parse(line: &str) -> Option<Self> {
        let words: HashMap<&str, &str> = line
            .split(' ')
            .map(|word| word.split_once('='))
            .collect::<Option<_>>()?;
        let number = |key| words.get(key)?.parse::<u64>().ok();
        Some(Self {
            device: (*words.get("device")?).to_owned(),
            open: match *words.get("state")? {
                "open" => true,
                "closing" => false,
                _ => return None,
            },
            session: match *words.get("session")? {
                "?" => None,
                number => Some(number.parse().ok()?),
            },
            accesses: number("reads")? + number("writes")?,
        })
    }
}

/// The sessions that the policy shows. Empty if its module is not loaded.
pub fn sessions() -> Result<Vec<Shown>> {
    let lines = match fs::read_to_string(SESSIONS) {
        Ok(lines) => lines,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).context(SESSIONS),
    };
    lines
        .lines()
        .map(|line| Shown::parse(line).with_context(|| format!("{SESSIONS} has {line:?}")))
        .collect()
}

/// Whether the policy has sessions that are open or have pending records.
pub fn has_sessions() -> bool {
    fs::read_to_string(SESSIONS).is_ok_and(|lines| !lines.is_empty())
}

/// Whether a module is loaded.
pub fn has_module(name: &str) -> bool {
    Path::new("/sys/module").join(name).exists()
}

/// Read a parameter.
pub fn parameter(name: &str) -> Result<String> {
    let file = parameter_file(name);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// Writes bytes to a parameter with one system call. Returns the kernel's error.
pub fn write_parameter(name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(parameter_file(name))?;
    match file.write(bytes)? {
        all if all == bytes.len() => Ok(()),
        part => Err(io::Error::other(format!(
            "took {part} of {} bytes",
            bytes.len()
        ))),
    }
}

/// Sets a parameter as echo(1) does. Without the newline, an empty value would not reach the
/// kernel.
pub fn set_parameter(name: &str, value: &str) -> Result<()> {
    write_parameter(name, format!("{value}\n").as_bytes())
        .with_context(|| format!("{name}={value:?}"))
}

/// Checks that the kernel refuses a value with EINVAL and keeps the previous one.
pub fn expect_refusal(name: &str, value: &str) -> Result<()> {
    let before = parameter(name)?;
    match write_parameter(name, value.as_bytes()) {
        Ok(()) => bail!(
            "{name}={value:?} was taken, and is now {:?}",
            parameter(name)?
        ),
        Err(error) => ensure!(
            error.kind() == io::ErrorKind::InvalidInput,
            "{name}={value:?} was refused with {error}, not with EINVAL"
        ),
    }
    let after = parameter(name)?;
    ensure!(
        before == after,
        "{name} was {before:?}; after {value:?} had been refused it is {after:?}"
    );
    Ok(())
}

/// How many messages printk_ratelimit() lets the kernel print within [`PRINTK_INTERVAL`].
/// `DEFAULT_RATELIMIT_BURST` of include/linux/ratelimit_types.h.
pub const PRINTK_BURST: usize = 10;

/// `DEFAULT_RATELIMIT_INTERVAL`.
pub const PRINTK_INTERVAL: Duration = Duration::from_secs(5);

/// Sleeps until nothing that was printed before counts against printk_ratelimit().
pub fn wait_for_printk() {
    thread::sleep(PRINTK_INTERVAL + Duration::from_secs(1));
}

/// Kernel messages from a point in time on.
pub struct Messages(File);

impl Messages {
    /// Starts with the next message.
    pub fn follow() -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open("/dev/kmsg")
            .context("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// The messages since then, each with its level in front, as in /dev/kmsg.
    pub fn read(&mut self) -> Result<Vec<String>> {
        let mut messages = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return Ok(messages),
                Ok(len) => messages.push(String::from_utf8_lossy(&buffer[..len]).into_owned()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(messages),
                // Messages were overwritten before they were read. Continue with the oldest one
                // left.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error).context("/dev/kmsg"),
            }
        }
    }
}

/// Binds a device to vfio-pci.
pub fn bind(bdf: Bdf) -> Result<()> {
    bind_to(bdf, "vfio-pci")
}

/// Unbinds a device from its driver.
pub fn unbind(bdf: Bdf) -> Result<()> {
    let file = sysfs::path(bdf).join("driver/unbind");
    fs::write(&file, bdf.to_string()).with_context(|| file.display().to_string())
}

/// Binds a device to a driver.
pub fn bind_to(bdf: Bdf, wanted: &str) -> Result<()> {
    let device = sysfs::path(bdf);
    let write = |file: PathBuf, text: &str| {
        fs::write(&file, text).with_context(|| format!("{text:?} to {}", file.display()))
    };
    write(device.join("driver_override"), wanted)?;
    match sysfs::driver(bdf) {
        Some(driver) if driver == wanted => return Ok(()),
        Some(_) => unbind(bdf)?,
        None => {}
    }
    write(
        PathBuf::from("/sys/bus/pci/drivers_probe"),
        &bdf.to_string(),
    )?;
    match sysfs::driver(bdf) {
        Some(driver) if driver == wanted => Ok(()),
        driver => bail!("{bdf} should be bound to {wanted}, and is bound to {driver:?}"),
    }
}
