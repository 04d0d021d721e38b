// SPDX-License-Identifier: GPL-2.0

//! The lines of an audit log, and the PCI records among them, as values.
//!
//! Read are records as auditd writes them, raw or enriched, and as `ausearch --raw` and `ausearch`
//! print them. A daemon that does not know the type writes `UNKNOWN[1340]`, and some write numbers.
//! What else records are found in is undone by [`forms`](crate::forms) first.

use std::str;

pub use pci_audit_core::access::Op;
pub use pci_audit_core::totals::Totals;
use pci_config::Bdf;

use crate::fields::Fields;
pub use crate::holder::Holder;
use crate::printable::is_printable;
pub use crate::virt::Virt;

/// One PCI record. It borrows from its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The machine that it is from, where the daemon was told to say so.
    pub node: Option<&'a str>,
    /// The identity of the boot that it is from, where journald says it.
    pub boot: Option<&'a str>,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// Audit's number of the event.
    pub serial: u64,
    /// The device.
    pub device: Bdf,
    /// The session that it belongs to, as far as it says.
    pub session: SessionField,
    /// `res=`, where the record has one: whether the access was allowed.
    pub res: Option<bool>,
    /// What it tells.
    pub kind: Kind,
    /// All fields, exactly as the kernel wrote them.
    pub text: &'a str,
}

/// What a record says of the session that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionField {
    /// Nothing, as kernels did before sessions had numbers: sessions of a device follow each other.
    Unsaid,
    /// That there is none: the access was reported by another driver than VFIO.
    None,
    /// Its number, which is not given twice while the module is loaded.
    Number(u64),
}

/// What a record tells. Ranges lie in configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An access.
    Access {
        /// What it did.
        op: Op,
        /// The first byte.
        offset: usize,
        /// How many bytes, at least one.
        size: usize,
    },
    /// The first access of a session is about to happen.
    Open,
    /// The end of a session.
    Close(Totals),
    /// Accesses that have no record of their own.
    Suppressed {
        /// What they did.
        op: Op,
        /// How many were over the limit.
        count: u64,
        /// How many audit refused.
        lost: u64,
        /// How many [`Kind::Touched`] follow.
        ranges: u64,
    },
    /// One range that they touched.
    Touched {
        /// What they did.
        op: Op,
        /// The first byte.
        offset: usize,
        /// How many bytes, at least one.
        size: usize,
    },
}

impl Kind {
    /// What the accesses did that it tells of, if it tells of any.
    pub fn op(&self) -> Option<Op> {
        match *self {
            Self::Access { op, .. } | Self::Suppressed { op, .. } | Self::Touched { op, .. } => {
                Some(op)
            }
            Self::Open | Self::Close(_) => None,
        }
    }
}

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither a record nor one of the lines that ausearch prints between them.
    #[error("not an audit record")]
    NotARecord,
    /// Bytes that are no text, or characters that neither the kernel nor a daemon writes.
    #[error("not text, or with characters that no record has")]
    NotText,
    /// The stamp behind `msg=` is not that of the kernel.
    #[error(
        "no audit(SECONDS.MILLISECONDS:SERIAL): after msg= (of ausearch -i, only dates of the C \
         locale and such as 2025-05-20 can be read)"
    )]
    Stamp,
    /// A field that is needed is not there: the line may have been cut off.
    #[error("no {0}=")]
    Missing(&'static str),
    /// A field is repeated.
    #[error("duplicate {0}=")]
    Twice(&'static str),
    /// A field is not what it should be.
    #[error("invalid {0}={1}")]
    Value(&'static str, String),
}

/// The separator before the fields that auditd itself adds.
const INTERPRETED: u8 = 0x1d;

/// A record of a type that matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A device.
    Pci(Record<'a>),
    /// A virtual machine, by libvirt.
    Virt(Virt<'a>),
    /// The machine was booted.
    Boot {
        /// Which, where the daemon was told to say so.
        node: Option<&'a str>,
        /// The identity of this boot, where journald says it.
        boot: Option<&'a str>,
        /// When, in milliseconds since 1970.
        time: u64,
    },
}

impl Event<'_> {
    /// The machine that it is from, where the daemon was told to say so.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::Pci(record) => record.node,
            Self::Virt(virt) => virt.node,
            Self::Boot { node, .. } => *node,
        }
    }

    /// When, in milliseconds since 1970.
    pub fn time(&self) -> u64 {
        match self {
            Self::Pci(record) => record.time,
            Self::Virt(virt) => virt.time,
            Self::Boot { time, .. } => *time,
        }
    }
}

/// The types that matter here, by number and name.
const TYPES: [(u16, &str); 6] = [
    (1340, "PCI"),
    (2500, "VIRT_CONTROL"),
    (2501, "VIRT_RESOURCE"),
    (2502, "VIRT_MACHINE_ID"),
    (1127, "SYSTEM_BOOT"),
    (2000, "KERNEL"),
];

/// The name of a type that matters here, as any program writes it: `PCI`, `UNKNOWN[1340]`,
/// `unknown[1340]`, `AUDIT1340` or `1340`.
pub(crate) fn kind(said: &str) -> Option<&'static str> {
    let number = said
        .strip_prefix("UNKNOWN[")
        .or_else(|| said.strip_prefix("unknown["))
        .and_then(|rest| rest.strip_suffix(']'))
        .or_else(|| said.strip_prefix("AUDIT"))
        .unwrap_or(said);
    let number = number.parse::<u16>().ok();
    TYPES
        .into_iter()
        .find(|(of, name)| Some(*of) == number || said.eq_ignore_ascii_case(name))
        .map(|(_, name)| name)
}

/// The name of a type that matters here, by its number.
pub(crate) fn kind_of(number: u16) -> Option<&'static str> {
    let found = TYPES.into_iter().find(|(of, _)| *of == number);
    found.map(|(_, name)| name)
}

/// Whether a line may be of a type that matters here, by as few of its bytes behind `type=` as it
/// takes.
#[inline]
pub(crate) fn may_matter(rest: &[u8]) -> bool {
    match rest.first() {
        Some(b'P') => rest.starts_with(b"PCI "),
        Some(b'S') => rest.starts_with(b"SYSTEM_BOOT "),
        Some(b'K') => rest.starts_with(b"KERNEL "),
        Some(b'V' | b'U' | b'1' | b'2') => true,
        _ => false,
    }
}

/// Whether a line that begins with `type=` is of a type that matters here.
pub(crate) fn matters(line: &[u8]) -> bool {
    line.strip_prefix(b"type=").and_then(typed).is_some()
}

/// The type that matters here of what is behind `type=`, and the rest.
fn typed(rest: &[u8]) -> Option<(&'static str, &[u8])> {
    if !may_matter(rest) {
        return None;
    }
    let end = memchr::memchr(b' ', rest)?;
    let kind = kind(str::from_utf8(&rest[..end]).ok()?)?;
    Some((kind, &rest[end + 1..]))
}

/// Read one line, without its newline. Nothing if it is a record of another type, or something that
/// ausearch prints between records.
///
/// Lines of other types are only looked at as far as it takes to know them.
pub fn event(line: &[u8]) -> Result<Option<Event<'_>>, Error> {
    let Head { node, boot, rest } = match head(line) {
        Some(head) => head,
        None if is_between(line) => return Ok(None),
        None => return Err(Error::NotARecord),
    };
    let Some((kind, rest)) = typed(rest) else {
        return match is_record(rest) {
            true => Ok(None),
            false => Err(Error::NotARecord),
        };
    };
    let end = memchr::memchr(INTERPRETED, rest).unwrap_or(rest.len());
    let rest = str::from_utf8(&rest[..end]).map_err(|_| Error::NotText)?;
    let (node, boot) = (text(node)?, text(boot)?);
    let rest = rest.trim_ascii_end();
    // The kernel writes in hexadecimal what has such characters. They may not get to a terminal.
    match is_printable(rest) && [node, boot].into_iter().flatten().all(is_printable) {
        true => read(kind, (node, boot), rest),
        false => Err(Error::NotText),
    }
}

/// Read a line as [`event`] does, if it is of a device.
pub fn parse(line: &[u8]) -> Result<Option<Record<'_>>, Error> {
    Ok(match event(line)? {
        Some(Event::Pci(record)) => Some(record),
        _ => None,
    })
}

/// Whether a line is a record of a type that does not matter here, as far as that is seen at once.
#[inline]
pub(crate) fn is_other(line: &[u8]) -> bool {
    /// Names of types are shorter.
    const LONGEST: usize = 32;

    let Some(rest) = line.strip_prefix(b"type=") else {
        return false;
    };
    if may_matter(rest) {
        return false;
    }
    let start = &rest[..rest.len().min(LONGEST)];
    let space = start.iter().position(|byte| *byte == b' ');
    space.is_some_and(|at| rest[at + 1..].starts_with(b"msg="))
}

/// Whether a line is a record of any type.
pub(crate) fn is_plain(line: &[u8]) -> bool {
    head(line).is_some_and(|head| is_record(head.rest))
}

/// A record that begins with `node=NAME boot=IDENTITY type=`, of which all but the last may be left
/// out, and what comes behind that.
struct Head<'a> {
    node: Option<&'a [u8]>,
    boot: Option<&'a [u8]>,
    rest: &'a [u8],
}

fn head(line: &[u8]) -> Option<Head<'_>> {
    let (node, rest) = word(line, b"node=")?;
    let (boot, rest) = word(rest, b"boot=")?;
    let rest = rest.strip_prefix(b"type=")?;
    Some(Head { node, boot, rest })
}

/// The word behind a key, if the line begins with that, and what comes behind it.
fn word<'a>(line: &'a [u8], key: &[u8]) -> Option<(Option<&'a [u8]>, &'a [u8])> {
    let Some(rest) = line.strip_prefix(key) else {
        return Some((None, line));
    };
    let end = memchr::memchr(b' ', rest)?;
    Some((Some(&rest[..end]), &rest[end + 1..]))
}

/// What ausearch prints besides records.
pub(crate) fn is_between(line: &[u8]) -> bool {
    line.is_empty() || line == b"----" || line == b"<no matches>" || line.starts_with(b"time->")
}

/// Whether a record of any type goes on like this behind `type=`.
fn is_record(rest: &[u8]) -> bool {
    memchr::memchr(b' ', rest).is_some_and(|end| {
        let behind = &rest[end + 1..];
        behind.starts_with(b"msg=") || behind.starts_with(b"audit(")
    })
}

fn text(word: Option<&[u8]>) -> Result<Option<&str>, Error> {
    let text = word.map(str::from_utf8).transpose();
    text.map_err(|_| Error::NotText)
}

/// Read what comes behind the type of a record, which is from a machine and a boot of it.
fn read<'a>(
    kind: &str,
    (node, boot): (Option<&'a str>, Option<&'a str>),
    rest: &'a str,
) -> Result<Option<Event<'a>>, Error> {
    let (stamp, text) = rest
        .strip_prefix("msg=")
        .unwrap_or(rest)
        .strip_prefix("audit(")
        .and_then(|rest| rest.split_once("):"))
        .ok_or(Error::Stamp)?;
    let (time, serial) = read_stamp(stamp).ok_or(Error::Stamp)?;
    let text = text.trim_ascii_start();
    match kind {
        "PCI" => {}
        // The kernel's first record of all; nothing else is known to be of that type.
        "KERNEL" if !text.contains("state=initialized") => return Ok(None),
        "SYSTEM_BOOT" | "KERNEL" => return Ok(Some(Event::Boot { node, boot, time })),
        kind => return Ok(Virt::parse(kind, (node, boot), time, text).map(Event::Virt)),
    }
    let fields = Fields::parse(text)?;
    Ok(Some(Event::Pci(Record {
        node,
        boot,
        time,
        serial,
        device: fields.device()?,
        session: fields.session()?,
        res: fields.res()?,
        kind: fields.kind()?,
        text,
    })))
}

/// `1747758000.123:456`: milliseconds and the event's number.
fn read_stamp(stamp: &str) -> Option<(u64, u64)> {
    let (time, serial) = stamp.split_once(':')?;
    let (seconds, milliseconds) = time.split_once('.')?;
    let milliseconds = (milliseconds.len() == 3).then_some(milliseconds)?;
    let seconds = number(seconds)?.checked_mul(1000)?;
    Some((seconds.checked_add(number(milliseconds)?)?, number(serial)?))
}

/// Decimal digits and nothing else.
pub(crate) fn number(digits: &str) -> Option<u64> {
    // parse() would take a sign.
    digits
        .bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| digits.parse().ok())?
}

/// The fields of a text in their order.
///
/// A word that is no field belongs to the value before it: AppArmor's `subj=` has a space in it.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (key, value) = rest.split_once('=')?;
        let key = key.trim_ascii_start();
        let mut end = 0;
        loop {
            end = match memchr::memchr(b' ', &value.as_bytes()[end..]) {
                Some(at) => end + at,
                None => value.len(),
            };
            let after = value[end..].trim_ascii_start();
            let word = after.split(' ').next().unwrap_or_default();
            if after.is_empty() || word.contains('=') {
                break;
            }
            end += 1;
        }
        rest = &value[end..];
        Some((key, &value[..end]))
    })
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
