// SPDX-License-Identifier: GPL-2.0

//! Recognises records that another log has, too: a log that was named twice, a copy of one that has
//! grown since.
//!
//! Where a log has a record of a machine, at a time of which another log that was read has records
//! of that machine, that one is read along with it, as far as the time of the record. So memory
//! does not grow with the logs, and the logs of many machines are not compared with each other.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::io::Read;

use anyhow::Result;
use jiff::tz::TimeZone;

use crate::input::Source;
use crate::log::{Item, LogReader};
use crate::record::Event;
use crate::tally::MAX_DEVICES;
use crate::words::plural;

/// Records of one log overtake each other by less than this, in milliseconds.
const SLACK: u64 = 5000;

/// The most records within that time that are compared.
const MOST: usize = 1 << 18;

/// The most logs that are read along with another one at a time.
const MOST_OPEN: usize = 32;

/// The time of an event, and what tells it from others.
pub fn identity(event: &Event<'_>) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    match event {
        Event::Pci(record) => {
            (record.node, record.serial, record.device, record.session).hash(&mut hasher);
            format!("{:?} {:?}", record.kind, record.res).hash(&mut hasher);
        }
        Event::Virt(virt) => format!("{virt:?}").hash(&mut hasher),
        Event::Boot { node, .. } => node.hash(&mut hasher),
    }
    let time = event.time();
    time.hash(&mut hasher);
    (time, hasher.finish())
}

/// The latest records of one log that may have a record twice.
///
/// journald takes records from audit, and where there is no daemon also from the kernel's log, to
/// which the kernel prints them then.
#[derive(Default)]
pub struct Latest {
    order: VecDeque<u64>,
    known: HashSet<u64>,
}

impl Latest {
    /// How far apart the two may be, in records.
    const MOST: usize = 1 << 16;

    /// Whether this is the first of two.
    pub fn is_new(&mut self, event: &Event<'_>) -> bool {
        let (_, id) = identity(event);
        if !self.known.insert(id) {
            return false;
        }
        if self.order.len() == Self::MOST {
            if let Some(old) = self.order.pop_front() {
                self.known.remove(&old);
            }
        }
        self.order.push_back(id);
        true
    }
}

/// The first and the last time.
type Span = (u64, u64);

/// When a log has events of each machine.
#[derive(Debug, Default)]
pub struct Spans(HashMap<Box<str>, Span>);

impl Spans {
    /// Note an event.
    pub fn add(&mut self, event: &Event<'_>) {
        let (node, time) = (event.node().unwrap_or_default(), event.time());
        if let Some((first, last)) = self.0.get_mut(node) {
            (*first, *last) = (time.min(*first), time.max(*last));
        } else if self.0.len() < MAX_DEVICES {
            // Others have no room in the tally.
            self.0.insert(node.into(), (time, time));
        }
    }
}

/// The logs that were read.
#[derive(Default)]
pub struct Past {
    logs: Vec<Source>,
    /// Which of them has events of a machine, and when.
    by_node: HashMap<Box<str>, Vec<(usize, Span)>>,
}

impl Past {
    /// Note a log, if it can be read once more.
    pub fn add(&mut self, source: &Source, spans: Spans) {
        if !source.is_file() {
            return;
        }
        for (node, span) in spans.0 {
            let of_node = self.by_node.entry(node).or_default();
            of_node.push((self.logs.len(), span));
        }
        self.logs.push(source.clone());
    }
}

/// The logs that are read along with another one, since both may have the same events.
pub struct Shadows<'a> {
    past: &'a Past,
    zone: TimeZone,
    /// Nothing for one that cannot be.
    open: BTreeMap<usize, Option<Shadow>>,
    /// Why there are such.
    complaints: Vec<String>,
}

impl<'a> Shadows<'a> {
    /// None yet.
    pub fn new(past: &'a Past, zone: TimeZone) -> Self {
        Self {
            past,
            zone,
            open: BTreeMap::new(),
            complaints: Vec::new(),
        }
    }

    /// Whether one of them has an event, which comes in the order of the log.
    pub fn have(&mut self, event: &Event<'_>) -> bool {
        let past = self.past;
        let Some(logs) = past.by_node.get(event.node().unwrap_or_default()) else {
            return false;
        };
        let identity = identity(event);
        let time = identity.0;
        let mut found = false;
        // Each of them counts what it has in common with the log.
        for (log, (first, last)) in logs {
            if (*first..=*last).contains(&time) {
                let shadow = self.shadow(*log, *last, time);
                found |= shadow.is_some_and(|shadow| shadow.has(identity));
            }
        }
        found
    }

    fn shadow(&mut self, log: usize, last: u64, time: u64) -> Option<&mut Shadow> {
        if !self.open.contains_key(&log) {
            let shadow = self.room(time).then(|| self.read_along(log)).flatten();
            self.open.insert(log, shadow);
        }
        let shadow = self.open.get_mut(&log)?.as_mut()?;
        shadow.last = shadow.last.max(last);
        Some(shadow)
    }

    /// Whether one more may be read along, at a time.
    fn room(&mut self, time: u64) -> bool {
        let mut reading = 0;
        for shadow in self.open.values_mut().flatten() {
            if shadow.last.saturating_add(SLACK) < time {
                shadow.reader = None;
            }
            reading += usize::from(shadow.reader.is_some());
        }
        if reading >= MOST_OPEN {
            self.complain(format!(
                "more than {MOST_OPEN} logs have records of one machine at the same time: if some \
                 are copies of others, records count twice"
            ));
        }
        reading < MOST_OPEN
    }

    fn read_along(&mut self, log: usize) -> Option<Shadow> {
        let source = self.past.logs.get(log)?;
        match Shadow::new(source, self.zone.clone()) {
            Ok(shadow) => Some(shadow),
            Err(error) => {
                self.complain(format!(
                    "{} cannot be read once more: if others are copies of it, records count \
                     twice: {error:#}",
                    source.name()
                ));
                None
            }
        }
    }

    fn complain(&mut self, why: String) {
        if !self.complaints.contains(&why) {
            self.complaints.push(why);
        }
    }

    /// What a log of a name has in common with them, and what is not known of that.
    pub fn complaints(self, name: &str) -> Vec<String> {
        let shadows = self.open.into_values().flatten();
        let common = shadows.filter(|shadow| shadow.found > 0);
        let common = common.map(|shadow| {
            format!(
                "{name} and {} have {} in common: each is counted once",
                shadow.name,
                plural(shadow.found, "record")
            )
        });
        common.chain(self.complaints).collect()
    }
}

/// A log that was read already, and is read once more beside another one.
struct Shadow {
    /// Its name.
    name: String,
    /// How many records of the other log it has, too.
    found: u64,
    reader: Option<LogReader<Box<dyn Read>>>,
    /// The time of its last event, as far as it is asked for those.
    last: u64,
    /// The latest time that was read.
    ahead: u64,
    /// What was read and is not too old, oldest first, and how often.
    window: VecDeque<(u64, u64)>,
    known: HashMap<u64, u32>,
}

impl Shadow {
    /// Read a log again.
    fn new(source: &Source, zone: TimeZone) -> Result<Self> {
        let stream = source.open(|raw| raw)?;
        Ok(Self {
            name: source.name(),
            found: 0,
            reader: Some(LogReader::new(stream, zone)),
            last: 0,
            ahead: 0,
            window: VecDeque::new(),
            known: HashMap::new(),
        })
    }

    /// Whether it has an event, which comes in the order of the other log.
    fn has(&mut self, (time, identity): (u64, u64)) -> bool {
        self.forget(time.saturating_sub(SLACK));
        self.read(time.saturating_sub(SLACK), time.saturating_add(SLACK));
        let has = self.known.contains_key(&identity);
        self.found += u64::from(has);
        has
    }

    /// Read up to a time, and remember what comes from another one on.
    fn read(&mut self, from: u64, to: u64) {
        let Self {
            reader,
            ahead,
            window,
            known,
            ..
        } = self;
        while *ahead <= to {
            let Some(log) = reader else {
                return;
            };
            let more = log.step(|_, item| {
                if let Item::Event(event) = item {
                    let (time, identity) = identity(&event);
                    *ahead = time.max(*ahead);
                    if time >= from {
                        window.push_back((time, identity));
                        *known.entry(identity).or_default() += 1;
                    }
                }
            });
            if !matches!(more, Ok(true)) {
                *reader = None;
            }
        }
    }

    fn forget(&mut self, before: u64) {
        while let Some((time, identity)) = self.window.front().copied() {
            if time >= before && self.window.len() <= MOST {
                return;
            }
            self.window.pop_front();
            if let Some(count) = self.known.get_mut(&identity) {
                *count -= 1;
                if *count == 0 {
                    self.known.remove(&identity);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn event(node: &'static str, time: u64) -> Event<'static> {
        Event::Boot {
            node: Some(node),
            boot: None,
            time,
        }
    }

    /// A log with a boot of a machine every second.
    struct Log {
        folder: tempfile::TempDir,
        past: Past,
    }

    impl Log {
        fn new(node: &'static str, times: u64) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (mut past, mut spans, mut text) =
                (Past::default(), Spans::default(), String::new());
            for time in 1..=times {
                text += &format!("node={node} type=SYSTEM_BOOT msg=audit({time}.000:1): x\n");
                spans.add(&event(node, time * 1000));
            }
            fs::write(folder.path().join("log"), text).unwrap();
            past.add(&Source::File(folder.path().join("log")), spans);
            Self { folder, past }
        }
    }

    #[test]
    fn only_what_may_be_a_copy_is_read_along() {
        let log = Log::new("a", 100);
        let mut shadows = Shadows::new(&log.past, TimeZone::UTC);
        assert!(!shadows.have(&event("b", 50_000)));
        assert!(!shadows.have(&event("a", 999)));
        assert!(!shadows.have(&event("a", 100_001)));
        assert!(shadows.open.is_empty());
        assert!(shadows.have(&event("a", 50_000)));
        assert!(!shadows.have(&event("a", 50_001)));
        // What is older than the record was read, and not kept.
        let shadow = shadows.open[&0].as_ref().unwrap();
        assert!(shadow.window.len() <= 12, "{:?}", shadow.window);
        let said = shadows.complaints("x");
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("x and "), "{said:?}");
    }

    #[test]
    fn a_log_that_is_gone_is_said() {
        let log = Log::new("a", 10);
        fs::remove_file(log.folder.path().join("log")).unwrap();
        let mut shadows = Shadows::new(&log.past, TimeZone::UTC);
        for time in [5000, 6000] {
            assert!(!shadows.have(&event("a", time)));
        }
        let said = shadows.complaints("x");
        assert_eq!(said.len(), 1);
        assert!(
            said[0].contains("log cannot be read once more: "),
            "{said:?}"
        );
    }
}
