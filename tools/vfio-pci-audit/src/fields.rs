// SPDX-License-Identifier: GPL-2.0

//! The fields of a PCI record, as values.

use pci_audit_core::access::{Op, Range, CONFIG_SPACE_SIZE};
use pci_audit_core::totals::Totals;
use pci_config::Bdf;

use crate::record::{number, pairs, Error, Kind, SessionField};

/// The fields that a value is made of. Others are the task's, or of kernels to come.
const KEYS: [&str; 16] = [
    "device",
    "session",
    "op",
    "access",
    "offset",
    "size",
    "res",
    "count",
    "lost",
    "ranges",
    "reads",
    "writes",
    "blocked_reads",
    "blocked_writes",
    "records",
    "suppressed",
];

/// Those of a record.
pub(crate) struct Fields<'a>([Option<&'a str>; KEYS.len()]);

impl<'a> Fields<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, Error> {
        let mut fields = [None; KEYS.len()];
        for (key, value) in pairs(text) {
            let Some(index) = KEYS.iter().position(|known| *known == key) else {
                continue;
            };
            if fields[index].replace(value).is_some() {
                return Err(Error::Twice(KEYS[index]));
            }
        }
        Ok(Self(fields))
    }

    fn find(&self, key: &'static str) -> Option<&'a str> {
        let index = KEYS.iter().position(|known| *known == key)?;
        self.0[index]
    }

    fn get(&self, key: &'static str) -> Result<&'a str, Error> {
        self.find(key).ok_or(Error::Missing(key))
    }

    /// A field that has to be there, as `read` understands it.
    fn value<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, Error> {
        let text = self.get(key)?;
        read(text).ok_or_else(|| Error::Value(key, text.chars().take(40).collect()))
    }

    fn number(&self, key: &'static str) -> Result<u64, Error> {
        self.value(key, number)
    }

    pub(crate) fn device(&self) -> Result<Bdf, Error> {
        self.value("device", |text| {
            text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
        })
    }

    pub(crate) fn session(&self) -> Result<SessionField, Error> {
        if self.find("session").is_none() {
            return Ok(SessionField::Unsaid);
        }
        self.value("session", |text| match text {
            "?" => Some(SessionField::None),
            digits => number(digits).map(SessionField::Number),
        })
    }

    pub(crate) fn res(&self) -> Result<Option<bool>, Error> {
        if self.find("res").is_none() {
            return Ok(None);
        }
        self.value("res", |text| match text {
            "1" => Some(Some(true)),
            "0" => Some(Some(false)),
            _ => None,
        })
    }

    fn range(&self) -> Result<(usize, usize), Error> {
        let offset = self.value("offset", |text| {
            let digits = text.strip_prefix("0x")?;
            let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            hex.then(|| usize::from_str_radix(digits, 16).ok())?
        })?;
        let size = self.value("size", |text| {
            let size = usize::try_from(number(text)?).ok()?;
            Range::new(offset, size, CONFIG_SPACE_SIZE).ok()?;
            Some(size)
        })?;
        Ok((offset, size))
    }

    pub(crate) fn kind(&self) -> Result<Kind, Error> {
        let op_text = self.get("op")?;
        if op_text == "open" {
            return Ok(Kind::Open);
        }
        let kind = match op_text {
            "close" => Kind::Close(Totals {
                reads: self.number("reads")?,
                writes: self.number("writes")?,
                blocked_reads: self.number("blocked_reads")?,
                blocked_writes: self.number("blocked_writes")?,
                records: self.number("records")?,
                suppressed: self.number("suppressed")?,
                lost: self.number("lost")?,
            }),
            "suppressed" => Kind::Suppressed {
                op: self.value("access", op)?,
                count: self.number("count")?,
                lost: self.number("lost")?,
                ranges: self.number("ranges")?,
            },
            "touched" => {
                let (offset, size) = self.range()?;
                Kind::Touched {
                    op: self.value("access", op)?,
                    offset,
                    size,
                }
            }
            _ => {
                let op = self.value("op", op)?;
                let (offset, size) = self.range()?;
                Kind::Access { op, offset, size }
            }
        };
        // It comes last: where it is missing, the number before it may have been cut off.
        self.get("res").map(|_| kind)
    }
}

fn op(text: &str) -> Option<Op> {
    match text {
        "read" => Some(Op::Read),
        "write" => Some(Op::Write),
        _ => None,
    }
}
