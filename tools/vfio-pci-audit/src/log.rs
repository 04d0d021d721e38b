// SPDX-License-Identifier: GPL-2.0

//! One log, as the records in it.

use std::io::{self, Read};

use jiff::tz::TimeZone;

use crate::copies::Latest;
use crate::forms::{Forms, Found, CUT_OFF};
use crate::lines::{self, Broken, Line, Lines};
use crate::record::{self, Error, Event};

/// What a line of a log is.
#[derive(Debug)]
pub enum Item<'a> {
    /// A record that matters here.
    Event(Event<'a>),
    /// A record that matters here, and that the log had already.
    Again,
    /// A record of another type.
    Other,
    /// What ausearch prints between records, or an empty line.
    Between,
    /// A record that matters and cannot be read.
    Bad(String),
    /// No record.
    Foreign(&'a [u8]),
    /// The kernel says that it did not print this many records.
    Unprinted(u64),
    /// The kernel starts, of a machine that the line may name.
    Boot(Option<&'a str>),
}

/// A log that is read line by line.
pub struct LogReader<R> {
    lines: Lines<R>,
    forms: Forms,
    /// How many lines were read.
    pub number: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// Whether there were records as auditd writes them, with nothing around them.
    pub plain: bool,
    latest: Latest,
}

impl<R: Read> LogReader<R> {
    /// Read a stream. `zone` is where `ausearch -i` was run.
    pub fn new(from: R, zone: TimeZone) -> Self {
        Self {
            lines: Lines::new(from),
            forms: Forms::new(zone),
            number: 0,
            bytes: 0,
            plain: false,
            latest: Latest::default(),
        }
    }

    /// Read the next line, and hand what is in it to `each`: it may have no record or several.
    /// False at the end.
    pub fn step(&mut self, mut each: impl FnMut(u64, Item<'_>)) -> Result<bool, Broken> {
        let Some((number, line)) = self.lines.next()? else {
            if self.forms.is_within_bytes() {
                return Err(Broken {
                    after: self.number,
                    cause: io::Error::other(CUT_OFF),
                });
            }
            let found = self.forms.end();
            if !matches!(found, Found::None) {
                hand_over(found, self.number, b"", Some(&mut self.latest), &mut each);
            }
            return Ok(false);
        };
        self.number = number;
        match line {
            Line::Whole(line) => {
                self.bytes += line.len() as u64 + 1;
                // Nearly all lines of nearly all logs are such; no more should be done with them
                // than it takes.
                let is_text = !self.forms.is_within_bytes();
                if is_text && record::is_other(line) {
                    self.plain = true;
                    each(number, Item::Other);
                    return Ok(true);
                }
                // Consoles end lines as terminals want them.
                let text = line.strip_suffix(b"\r").filter(|_| is_text);
                let line = text.unwrap_or(line);
                let found = self.forms.line(line);
                self.plain = self.plain
                    || matches!(found, Found::Record(record) if record::is_plain(record));
                let latest = (!self.plain).then_some(&mut self.latest);
                hand_over(found, number, line, latest, &mut each);
            }
            Line::TooLong(long) if self.forms.is_within_bytes() => {
                self.bytes += long.length + 1;
                self.forms.long_line(&long);
                each(number, Item::Other);
            }
            Line::TooLong(_) => {
                let why = format!("longer than {} bytes", lines::LONGEST);
                each(number, Item::Bad(why));
            }
        }
        Ok(true)
    }
}

/// Hand over what was found in a line. `latest` is there for a log that may have a record twice.
fn hand_over(
    found: Found<'_>,
    number: u64,
    line: &[u8],
    mut latest: Option<&mut Latest>,
    each: &mut impl FnMut(u64, Item<'_>),
) {
    match found {
        Found::Record(record) => each(number, item(record, latest)),
        Found::Records(records) => {
            for record in records.split(|byte| *byte == b'\n') {
                each(number, item(record, latest.as_deref_mut()));
            }
        }
        Found::Other => each(number, Item::Other),
        Found::Unprinted(count) => each(number, Item::Unprinted(count)),
        Found::Boot(node) => each(number, Item::Boot(node)),
        Found::None if record::is_between(line) => each(number, Item::Between),
        Found::None => each(number, Item::Foreign(line)),
    }
}

fn item<'a>(record: &'a [u8], latest: Option<&mut Latest>) -> Item<'a> {
    match record::event(record) {
        Ok(Some(event)) if latest.is_some_and(|latest| !latest.is_new(&event)) => Item::Again,
        Ok(Some(event)) => Item::Event(event),
        Ok(None) => Item::Other,
        Err(Error::NotARecord) => Item::Foreign(record),
        Err(error) => Item::Bad(error.to_string()),
    }
}
