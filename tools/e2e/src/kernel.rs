// SPDX-License-Identifier: GPL-2.0

//! What the kernel shows and takes: module parameters, messages, the driver of a device.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use rustix::fs::OFlags;
use vfio_client::{sysfs, Bdf};

/// Which session a record is of: its number, or nothing where it is `?`.
///
/// Callers of the generic service have none, and ends of several sessions that are told together have more than one.
pub(crate) type Session = Option<u64>;

/// Where the policy's parameters are.
const PARAMETERS: &str = "/sys/module/vfio_pci_audit/parameters";

/// Blocks reads.
pub(crate) const BLOCK_READ: &str = "block_pci_unassigned_read";
/// Blocks writes.
pub(crate) const BLOCK_WRITE: &str = "block_pci_unassigned_write";
/// Exempts devices.
pub(crate) const ALLOW_IDS: &str = "uaccess_allow_ids";
/// Records per second.
pub(crate) const RATE: &str = "audit_rate";
/// Records at once.
pub(crate) const BURST: &str = "audit_burst";

/// All parameters, with what they are when nobody has set them.
pub(crate) const DEFAULTS: [(&str, &str); 5] = [
    (BLOCK_READ, "N"),
    (BLOCK_WRITE, "N"),
    (ALLOW_IDS, ""),
    (RATE, "1"),
    (BURST, "24"),
];

/// The file of a parameter.
pub(crate) fn parameter_file(name: &str) -> PathBuf {
    Path::new(PARAMETERS).join(name)
}

/// Whether the policy is there at all.
pub(crate) fn has_policy() -> bool {
    Path::new(PARAMETERS).exists()
}

/// What root may see of sessions, a line for each.
pub(crate) const SESSIONS: &str = "/sys/kernel/debug/vfio_pci_audit/sessions";

/// A session that is open, or an end that could not be told yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The device.
    pub(crate) device: String,
    /// Whether it is open.
    pub(crate) open: bool,
    /// Its number, or nothing where it is `?`.
    pub(crate) session: Session,
    /// Reads and writes.
    pub(crate) accesses: u64,
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

/// What the policy shows of sessions; nothing where it is not there.
pub(crate) fn sessions() -> Result<Vec<Shown>> {
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

/// Whether the policy has sessions, open ones or such as still have something to say.
pub(crate) fn has_sessions() -> bool {
    fs::read_to_string(SESSIONS).is_ok_and(|lines| !lines.is_empty())
}

/// Whether a module is there.
pub(crate) fn has_module(name: &str) -> bool {
    Path::new("/sys/module").join(name).exists()
}

/// Read a parameter.
pub(crate) fn parameter(name: &str) -> Result<String> {
    let file = parameter_file(name);
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    Ok(text.trim_end_matches('\n').to_owned())
}

/// Write bytes to a parameter with one system call. The error is the kernel's.
pub(crate) fn write_parameter(name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(parameter_file(name))?;
    match file.write(bytes)? {
        all if all == bytes.len() => Ok(()),
        part => Err(io::Error::other(format!(
            "took {part} of {} bytes",
            bytes.len()
        ))),
    }
}

/// Set a parameter as echo(1) would. The newline also makes the empty value reach the kernel at all.
pub(crate) fn set_parameter(name: &str, value: &str) -> Result<()> {
    write_parameter(name, format!("{value}\n").as_bytes())
        .with_context(|| format!("{name}={value:?}"))
}

/// Check that the kernel refuses a value with EINVAL and keeps what it had.
pub(crate) fn expect_refusal(name: &str, value: &str) -> Result<()> {
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

/// The kernel's messages from now on.
pub(crate) struct Messages(File);

impl Messages {
    /// Begin here.
    pub(crate) fn follow() -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open("/dev/kmsg")
            .context("/dev/kmsg")?;
        file.seek(SeekFrom::End(0))?;
        Ok(Self(file))
    }

    /// What was said since; each message with its level in front, as /dev/kmsg has it.
    pub(crate) fn read(&mut self) -> Result<Vec<String>> {
        let mut messages = Vec::new();
        let mut buffer = [0; 8192];
        loop {
            match self.0.read(&mut buffer) {
                Ok(0) => return Ok(messages),
                Ok(len) => messages.push(String::from_utf8_lossy(&buffer[..len]).into_owned()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(messages),
                // Messages were overwritten before they were read; go on with those that are left.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
                Err(error) => return Err(error).context("/dev/kmsg"),
            }
        }
    }
}

/// Whether a message means that the kernel is broken.
pub(crate) fn is_complaint(message: &str) -> bool {
    ["BUG:", "Oops", "WARNING:", "general protection"]
        .iter()
        .any(|word| message.contains(word))
}

/// Give a device to vfio-pci.
pub(crate) fn bind(bdf: Bdf) -> Result<()> {
    bind_to(bdf, "vfio-pci")
}

/// Take a device from its driver.
pub(crate) fn unbind(bdf: Bdf) -> Result<()> {
    let file = sysfs::path(bdf).join("driver/unbind");
    fs::write(&file, bdf.to_string()).with_context(|| file.display().to_string())
}

/// Give a device to a driver.
pub(crate) fn bind_to(bdf: Bdf, wanted: &str) -> Result<()> {
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
