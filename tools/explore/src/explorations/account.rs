// SPDX-License-Identifier: GPL-2.0

//! The account that the log gives.

use crate::{
    audit::Taken,
    session::{
        record::{Record, SessionRecord},
        totals::Totals,
    },
};

/// Checks that `log` has `accesses` accesses, each with a record of its own or in the counts of a
/// report, and that the ends say so.
pub(super) fn check(log: &[Taken], accesses: u64) {
    let mut records = 0;
    let mut suppressed = 0;
    let mut lost = 0;
    let mut ends = Totals::default();

    for taken in log {
        let Taken::Session(SessionRecord { record, .. }) = taken else {
            records += 1;
            continue;
        };
        match record {
            Record::Suppressed {
                count, lost: more, ..
            } => {
                suppressed += count;
                lost += more;
            }
            Record::Close(totals) => {
                ends.reads += totals.reads;
                ends.writes += totals.writes;
                ends.records += totals.records;
                ends.suppressed += totals.suppressed;
                ends.lost += totals.lost;
            }
            Record::Open | Record::Touched(..) => (),
        }
    }

    let sums = (records, suppressed, lost);
    assert_eq!((ends.records, ends.suppressed, ends.lost), sums, "{log:#?}");
    assert_eq!(ends.reads + ends.writes, accesses, "{log:#?}");
    assert_eq!(records + suppressed + lost, accesses, "{log:#?}");
}

/// How many records of the ends of sessions `log` has.
pub(super) fn ends(log: &[Taken]) -> usize {
    let is_end = |taken: &&Taken| {
        matches!(
            taken,
            Taken::Session(SessionRecord {
                record: Record::Close(_),
                ..
            })
        )
    };

    log.iter().filter(is_end).count()
}
