// SPDX-License-Identifier: GPL-2.0

//! The pages of a ring buffer as they are: what `trace_pipe_raw` of an instance has.
//!
//! The kernel decodes events by their ids, which differ from boot to boot. Here they are found by
//! the number that they begin with, so that nothing has to be loaded and no id be known.

use pci_config::Bdf;

use super::event::{Event, Raw, COMM, MAGIC};

/// Bytes before the records of a page: the time of the first, and how many bytes there are.
const HEADER: usize = 16;
/// What `commit` has besides a length.
const MISSED_EVENTS: u64 = 1 << 31;
const MISSED_STORED: u64 = 1 << 30;

/// Bytes that all events begin with: id, flags, preemption, thread.
const COMMON: usize = 8;
/// The places of the fields, from the start of a record.
const MAGIC_AT: usize = COMMON;
const DOMAIN_AT: usize = 12;
const BUS_AT: usize = 16;
const DEVFN_AT: usize = 17;
const RES_AT: usize = 18;
const OP_AT: usize = 20;
const OFFSET_AT: usize = 24;
const SIZE_AT: usize = 28;
const SESSION_AT: usize = 32;
const PID_AT: usize = 40;
const COMM_AT: usize = 44;
const RECORD: usize = COMM_AT + COMM;

/// What pages have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// The accesses.
    pub events: Vec<Event>,
    /// How many records are not of our event.
    pub other: u64,
    /// How many events were overwritten, as far as that is known.
    pub lost: u64,
    /// What is wrong with records or pages.
    pub bad: Vec<String>,
}

impl Pages {
    /// Read a page.
    pub fn page(&mut self, page: &[u8]) {
        let (Some(time), Some(commit)) = (u64_at(page, 0), u64_at(page, 8)) else {
            self.bad.push("a page without a header".to_owned());
            return;
        };
        let mut length = (commit & 0x000f_ffff) as usize;
        let data = &page[HEADER..];
        if commit & MISSED_EVENTS != 0 {
            // How many, if there was room for that behind the records.
            let stored = commit & MISSED_STORED != 0;
            self.lost += stored.then(|| u64_at(data, length)).flatten().unwrap_or(1);
        }
        if length > data.len() {
            self.bad.push(format!(
                "a page of {} bytes says that it has {length}",
                data.len()
            ));
            length = data.len();
        }
        self.records(&data[..length], time);
    }

    fn records(&mut self, data: &[u8], mut time: u64) {
        const PADDING: u32 = 29;
        const TIME_EXTEND: u32 = 30;
        const TIME_STAMP: u32 = 31;

        let mut at = 0;
        while let Some(head) = u32_at(data, at) {
            let (kind, delta) = (head & 31, u64::from(head >> 5));
            let word = u32_at(data, at + 4).map(u64::from);
            let long = |word: u64| (word << 27) | delta;
            let payload = match (kind, word) {
                (PADDING, _) if delta == 0 => return,
                (PADDING, Some(size)) => {
                    time = time.wrapping_add(delta);
                    at = at.saturating_add(4).saturating_add(size as usize);
                    continue;
                }
                (TIME_EXTEND, Some(word)) => {
                    time = time.wrapping_add(long(word));
                    at += 8;
                    continue;
                }
                (TIME_STAMP, Some(word)) => {
                    // The upper five bits are those of before.
                    time = (time & (0x1f << 59)) | long(word);
                    at += 8;
                    continue;
                }
                // The length is in a word of its own, which it counts.
                (0, Some(size)) => at + 8..at.saturating_add(4).saturating_add(size as usize),
                (1..=28, _) => at + 4..at + 4 + 4 * kind as usize,
                _ => break,
            };
            time = time.wrapping_add(delta);
            let Some(record) = data.get(payload.clone()) else {
                break;
            };
            self.record(record, time);
            at = payload.end.next_multiple_of(4);
        }
        if at < data.len() {
            self.bad
                .push("a page whose records do not end where it says".to_owned());
        }
    }

    fn record(&mut self, record: &[u8], ns: u64) {
        if record.len() < RECORD || u32_at(record, MAGIC_AT) != Some(MAGIC) {
            self.other += 1;
            return;
        }
        match event(record, ns) {
            Ok(event) => self.events.push(event),
            Err(why) => self.bad.push(why),
        }
    }
}

fn event(record: &[u8], ns: u64) -> Result<Event, String> {
    let word = |at| u32_at(record, at).map_or(0, u64::from);
    let comm = &record[COMM_AT..COMM_AT + COMM];
    let end = comm.iter().position(|byte| *byte == 0).unwrap_or(COMM);
    Event::new(&Raw {
        ns,
        device: Bdf::new(
            u32_at(record, DOMAIN_AT).unwrap_or(0),
            record[BUS_AT],
            record[DEVFN_AT],
        ),
        op: word(OP_AT),
        offset: word(OFFSET_AT),
        size: word(SIZE_AT),
        session: u64_at(record, SESSION_AT).unwrap_or(0),
        pid: word(PID_AT),
        comm: &String::from_utf8_lossy(&comm[..end]),
        res: record[RES_AT].into(),
    })
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::record::Op;

    pub(crate) fn event(ns: u64, offset: usize) -> Event {
        Event {
            ns,
            device: "0001:28:05.1".parse().unwrap(),
            op: Op::Write,
            offset,
            size: 4,
            session: Some(1 << 40),
            pid: Some(1502),
            comm: "qemu-system-x86".into(),
            allowed: true,
        }
    }

    /// The record of an event, as the kernel writes it.
    fn record(event: &Event, id: u16) -> Vec<u8> {
        let mut record = vec![0; 64];
        record[..2].copy_from_slice(&id.to_le_bytes());
        record[4..8].copy_from_slice(&77u32.to_le_bytes());
        record[8..12].copy_from_slice(&MAGIC.to_le_bytes());
        record[12..16].copy_from_slice(&1u32.to_le_bytes());
        record[16] = 0x28;
        record[17] = (5 << 3) | 1;
        record[18] = event.allowed.into();
        record[20..24].copy_from_slice(&u32::from(event.op == Op::Write).to_le_bytes());
        record[24..28].copy_from_slice(&(event.offset as u32).to_le_bytes());
        record[28..32].copy_from_slice(&(event.size as u32).to_le_bytes());
        record[32..40].copy_from_slice(&event.session.unwrap_or(0).to_le_bytes());
        record[40..44].copy_from_slice(&(event.pid.unwrap_or(0) as u32).to_le_bytes());
        record[44..44 + event.comm.len()].copy_from_slice(event.comm.as_bytes());
        record
    }

    fn head(kind: u32, delta: u32) -> Vec<u8> {
        (kind | (delta << 5)).to_le_bytes().to_vec()
    }

    fn page(time: u64, flags: u64, data: &[u8]) -> Vec<u8> {
        let mut page = time.to_le_bytes().to_vec();
        page.extend((data.len() as u64 | flags).to_le_bytes());
        page.extend(data);
        page.resize(4096, 0);
        page
    }

    #[test]
    fn events_are_found_whatever_their_id() {
        let mut data = head(16, 0);
        data.extend(record(&event(0, 0x298), 1480));
        data.extend(head(16, 500));
        data.extend(record(&event(0, 0x29c), 9));
        // Half a second later, which takes a word more.
        data.extend(head(30, 500_000_000 & 0x07ff_ffff));
        data.extend((500_000_000u32 >> 27).to_le_bytes());
        // Discarded.
        data.extend(head(29, 1));
        data.extend(8u32.to_le_bytes());
        data.extend([0; 4]);
        // Of another event, with a length of its own.
        data.extend(head(0, 0));
        data.extend(132u32.to_le_bytes());
        data.extend([7; 128]);
        data.extend(head(16, 3));
        data.extend(record(&event(0, 0x2a0), 9));
        data.extend(head(31, 9));
        data.extend(0u32.to_le_bytes());
        data.extend(head(16, 0));
        data.extend(record(&event(0, 0x2a4), 9));
        let mut pages = Pages::default();
        pages.page(&page(1000, 0, &data));
        assert_eq!(
            pages,
            Pages {
                events: vec![
                    event(1000, 0x298),
                    event(1500, 0x29c),
                    event(500_001_504, 0x2a0),
                    event(9, 0x2a4),
                ],
                other: 1,
                ..Pages::default()
            }
        );
    }

    #[test]
    fn what_is_lost_or_damaged_is_said() {
        let mut pages = Pages::default();
        let mut data = head(16, 0);
        data.extend(record(&event(0, 0x298), 1));
        let mut lost = page(0, MISSED_EVENTS | MISSED_STORED, &data);
        lost[HEADER + data.len()..][..8].copy_from_slice(&33u64.to_le_bytes());
        pages.page(&lost);
        assert_eq!(
            (pages.events.len(), pages.lost, pages.bad.len()),
            (1, 33, 0)
        );

        let mut record = record(&event(0, 0x298), 1);
        record[RES_AT] = 9;
        let mut data = head(16, 0);
        data.extend(record);
        pages.page(&page(0, 0, &data));
        pages.page(&page(0, 0, &data[..20]));
        pages.page(&[0; 3]);
        let mut long = page(0, 0, &[]);
        long[8..16].copy_from_slice(&9000u64.to_le_bytes());
        pages.page(&long);
        assert_eq!(
            pages.bad,
            [
                "res=9 makes no sense",
                "a page whose records do not end where it says",
                "a page without a header",
                "a page of 4080 bytes says that it has 9000",
                "a page whose records do not end where it says",
            ]
        );
    }

    proptest::proptest! {
        #[test]
        fn no_page_panics(page in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            Pages::default().page(&page);
        }
    }
}
