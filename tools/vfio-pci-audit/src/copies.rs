// SPDX-License-Identifier: GPL-2.0

//! Recognises records that another log has, too: a log that was named twice, a copy of one that has
//! grown since.
//!
//! Where a log begins before another one that was read ends, that one is read along with it, as far
//! as the time of the record in question. So memory does not grow with the logs.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::io::Read;

use jiff::tz::TimeZone;

use crate::input::Source;
use crate::log::{Item, LogReader};
use crate::record::Event;

/// Records of one log overtake each other by less than this, in milliseconds.
const SLACK: u64 = 5000;

/// The most records within that time that are compared.
const MOST: usize = 1 << 18;

/// The time of an event, and what tells it from others.
pub fn identity(event: &Event<'_>) -> (u64, u64) {
    let mut hasher = DefaultHasher::new();
    let time = match event {
        Event::Pci(record) => {
            (record.node, record.serial, record.device, record.session).hash(&mut hasher);
            format!("{:?} {:?}", record.kind, record.res).hash(&mut hasher);
            record.time
        }
        Event::Virt(virt) => {
            format!("{virt:?}").hash(&mut hasher);
            virt.time
        }
        Event::Boot { node, time, .. } => {
            node.hash(&mut hasher);
            *time
        }
    };
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

/// A log that was read already, and is read once more beside another one.
pub struct Shadow {
    /// Its name.
    pub name: String,
    /// How many records of the other log it has, too.
    pub found: u64,
    reader: Option<LogReader<Box<dyn Read>>>,
    /// The latest time that was read.
    ahead: u64,
    /// What was read and is not too old, oldest first, and how often.
    window: VecDeque<(u64, u64)>,
    known: HashMap<u64, u32>,
}

impl Shadow {
    /// Read a log again; nothing if that cannot be done.
    pub fn new(source: &Source, zone: TimeZone) -> Option<Self> {
        let stream = source.open(|raw| raw).ok()?;
        Some(Self {
            name: source.name(),
            found: 0,
            reader: Some(LogReader::new(stream, zone)),
            ahead: 0,
            window: VecDeque::new(),
            known: HashMap::new(),
        })
    }

    /// Whether it has an event, which comes in the order of the other log.
    pub fn has(&mut self, (time, identity): (u64, u64)) -> bool {
        self.forget(time.saturating_sub(SLACK));
        self.read_to(time.saturating_add(SLACK));
        let has = self.known.contains_key(&identity);
        self.found += u64::from(has);
        has
    }

    fn read_to(&mut self, time: u64) {
        let Self {
            reader,
            ahead,
            window,
            known,
            ..
        } = self;
        while *ahead <= time {
            let Some(log) = reader else {
                return;
            };
            let more = log.step(|_, item| {
                if let Item::Event(event) = item {
                    let (time, identity) = identity(&event);
                    *ahead = time.max(*ahead);
                    window.push_back((time, identity));
                    *known.entry(identity).or_default() += 1;
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
