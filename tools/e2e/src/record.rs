// SPDX-License-Identifier: GPL-2.0

//! The lines that `ausearch --raw` prints, as values.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail, Context, Result};
use vfio_client::stream::Op;

/// One PCI record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// When, in milliseconds since 1970.
    pub(crate) time: u64,
    /// Audit's number of the event.
    pub(crate) serial: u64,
    /// The device, without its quotes.
    pub(crate) device: String,
    /// `res=`, where the record has one.
    pub(crate) res: Option<bool>,
    /// What it tells.
    pub(crate) kind: Kind,
    /// All fields, exactly as they were written.
    pub(crate) text: String,
}

/// What a record tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An access.
    Access { op: Op, offset: usize, size: usize },
    /// The first access of a session is about to happen.
    Open,
    /// The end of a session.
    Close(Totals),
    /// Accesses that have no record of their own.
    Suppressed {
        op: Op,
        count: u64,
        lost: u64,
        ranges: u64,
    },
    /// One range that they touched.
    Touched { op: Op, offset: usize, size: usize },
}

/// The totals of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) blocked_reads: u64,
    pub(crate) blocked_writes: u64,
    pub(crate) records: u64,
    pub(crate) suppressed: u64,
    pub(crate) lost: u64,
}

/// The type's name, and the one that a daemon writes which does not know it.
const TYPES: [&str; 2] = ["PCI", "UNKNOWN[1340]"];

/// The separator before the fields that auditd itself adds.
const INTERPRETED: char = '\x1d';

/// Read one line; nothing if it is a record of another type, or none at all.
pub(crate) fn parse(line: &str) -> Result<Option<Record>> {
    let Some(at) = line.find("type=") else {
        return Ok(None);
    };
    let (name, rest) = line[at + 5..].split_once(' ').unwrap_or_default();
    if !TYPES.contains(&name) {
        return Ok(None);
    }
    read(rest)
        .with_context(|| format!("in the record {line:?}"))
        .map(Some)
}

/// Read every PCI record of a text.
pub(crate) fn parse_all(text: &str) -> Result<Vec<Record>> {
    text.lines()
        .filter_map(|line| parse(line).transpose())
        .collect()
}

fn read(rest: &str) -> Result<Record> {
    let (stamp, text) = rest
        .strip_prefix("msg=audit(")
        .and_then(|rest| rest.split_once("): "))
        .ok_or_else(|| anyhow!("no time stamp"))?;
    let text = text.split(INTERPRETED).next().unwrap_or(text).trim_end();
    let (time, serial) = stamp.split_once(':').context("no serial number")?;
    let fields = Fields::parse(text)?;
    let device = fields.get("device")?;
    let device = device
        .strip_prefix('"')
        .and_then(|device| device.strip_suffix('"'))
        .context("the device is not in double quotes")?;
    Ok(Record {
        time: time.replace('.', "").parse()?,
        serial: serial.parse()?,
        device: device.to_owned(),
        res: match fields.get("res") {
            Ok("1") => Some(true),
            Ok("0") => Some(false),
            Ok(other) => bail!("res={other}"),
            Err(_) => None,
        },
        kind: fields.kind()?,
        text: text.to_owned(),
    })
}

struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for word in text.split(' ') {
            let (key, value) = word
                .split_once('=')
                .with_context(|| format!("{word:?} is no field"))?;
            if fields.insert(key, value).is_some() {
                bail!("{key}= is there twice");
            }
        }
        Ok(Self(fields))
    }

    fn get(&self, key: &str) -> Result<&'a str> {
        self.0
            .get(key)
            .copied()
            .with_context(|| format!("no {key}="))
    }

    fn number(&self, key: &str) -> Result<u64> {
        let text = self.get(key)?;
        text.parse().with_context(|| format!("{key}={text}"))
    }

    fn range(&self) -> Result<(usize, usize)> {
        let offset = self.get("offset")?;
        let digits = offset
            .strip_prefix("0x")
            .with_context(|| format!("offset={offset} is not hexadecimal"))?;
        Ok((
            usize::from_str_radix(digits, 16)?,
            self.number("size")?.try_into()?,
        ))
    }

    fn kind(&self) -> Result<Kind> {
        Ok(match self.get("op")? {
            "open" => Kind::Open,
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
                op: op(self.get("access")?)?,
                count: self.number("count")?,
                lost: self.number("lost")?,
                ranges: self.number("ranges")?,
            },
            "touched" => {
                let (offset, size) = self.range()?;
                Kind::Touched {
                    op: op(self.get("access")?)?,
                    offset,
                    size,
                }
            }
            other => {
                let (offset, size) = self.range()?;
                Kind::Access {
                    op: op(other)?,
                    offset,
                    size,
                }
            }
        })
    }
}

fn op(text: &str) -> Result<Op> {
    match text {
        "read" => Ok(Op::Read),
        "write" => Ok(Op::Write),
        other => bail!("{other:?} is no operation"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(fields: &str) -> Result<Record> {
        let line = format!("type=PCI msg=audit(1747758000.123:456): {fields}");
        Ok(parse(&line)?.expect("a PCI record"))
    }

    #[test]
    fn an_access() {
        let text = r#"device="0000:01:00.1" op=write offset=0x298 size=1 res=0"#;
        assert_eq!(
            one(text).unwrap(),
            Record {
                time: 1_747_758_000_123,
                serial: 456,
                device: "0000:01:00.1".into(),
                res: Some(false),
                kind: Kind::Access {
                    op: Op::Write,
                    offset: 0x298,
                    size: 1
                },
                text: text.into(),
            }
        );
    }

    #[test]
    fn the_records_of_a_session() {
        let kind = |fields| one(fields).unwrap().kind;
        assert_eq!(
            kind(r#"device="a" op=open ppid=1 pid=2 comm="x" exe="/x" subj=? res=1"#),
            Kind::Open
        );
        assert_eq!(
            kind(r#"device="a" op=touched access=read offset=0x40 size=96 res=1"#),
            Kind::Touched {
                op: Op::Read,
                offset: 0x40,
                size: 96
            }
        );
        assert_eq!(
            kind(r#"device="a" op=suppressed access=write count=7 lost=1 ranges=2 res=0"#),
            Kind::Suppressed {
                op: Op::Write,
                count: 7,
                lost: 1,
                ranges: 2
            }
        );
        let close = r#"device="a" op=close reads=1 writes=2 blocked_reads=3 blocked_writes=4 records=5 suppressed=6 lost=7 res=1"#;
        assert_eq!(
            kind(close),
            Kind::Close(Totals {
                reads: 1,
                writes: 2,
                blocked_reads: 3,
                blocked_writes: 4,
                records: 5,
                suppressed: 6,
                lost: 7
            })
        );
    }

    #[test]
    fn other_lines_are_passed_over() {
        for line in [
            "",
            "----",
            "<no matches>",
            "type=SYSCALL msg=audit(1.0:1): arch=c000003e",
        ] {
            assert_eq!(parse(line).unwrap(), None);
        }
    }

    #[test]
    fn an_older_daemon_and_one_that_interprets() {
        let line = "node=x type=UNKNOWN[1340] msg=audit(1.000:2): device=\"a\" op=read offset=0x40 size=4 res=1\u{1d}X=\"y z\"";
        let record = parse(line).unwrap().unwrap();
        assert_eq!((record.time, record.serial), (1000, 2));
        assert!(record.text.ends_with("res=1"));
    }

    #[test]
    fn bad_records_are_errors() {
        for fields in [
            "",
            "device=a op=read offset=0x40 size=1 res=1",
            r#"device="a" op=erase offset=0x40 size=1 res=1"#,
            r#"device="a" op=read offset=40 size=1 res=1"#,
            r#"device="a" op=read offset=0x40 size=x res=1"#,
            r#"device="a" op=read offset=0x40 size=1 res=2"#,
            r#"device="a" op=read op=read offset=0x40 size=1 res=1"#,
            r#"device="a" op=close reads=1 res=1"#,
        ] {
            assert!(one(fields).is_err(), "{fields}");
        }
    }

    proptest! {
        #[test]
        fn no_line_panics(line in "(type=PCI )?(msg=audit\\(1\\.0:1\\): )?.{0,80}") {
            let _ = parse(&line);
        }
    }
}
