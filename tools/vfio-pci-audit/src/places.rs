// SPDX-License-Identifier: GPL-2.0

//! Where the accesses of one session went, for pages that are asked about some sessions.

use std::ops::Range;

use crate::record::{Kind, Op, Record};

/// The most places of one session. Drivers use a few registers again and again.
pub const MAX_PLACES: usize = 64;

/// The accesses to exactly these bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// What they did.
    pub op: Op,
    /// Whether they were allowed.
    pub allowed: bool,
    /// The bytes.
    pub range: Range<usize>,
    /// How many have a record; none if these are bytes of which it is only known that they were
    /// touched.
    pub recorded: u64,
}

/// Where the accesses of one session went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// Each place once.
    pub spots: Vec<Spot>,
    /// How many records are of places beyond [`MAX_PLACES`].
    pub left_out: u64,
}

impl Places {
    /// Note a record.
    pub fn add(&mut self, record: &Record<'_>) {
        let (op, range, count) = match record.kind {
            Kind::Access { op, offset, size } => (op, offset..offset + size, 1),
            Kind::Touched { op, offset, size } => (op, offset..offset + size, 0),
            Kind::Open | Kind::Close(_) | Kind::Suppressed { .. } => return,
        };
        let Some(allowed) = record.res else {
            return;
        };
        let same = |spot: &&mut Spot| {
            spot.op == op
                && spot.allowed == allowed
                && spot.range == range
                && (spot.recorded > 0) == (count > 0)
        };
        if let Some(spot) = self.spots.iter_mut().find(same) {
            spot.recorded += count;
        } else if self.spots.len() == MAX_PLACES {
            self.left_out += 1;
        } else {
            self.spots.push(Spot {
                op,
                allowed,
                range,
                recorded: count,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record;

    fn places(texts: &[String]) -> Places {
        let mut places = Places::default();
        for text in texts {
            let line = format!("type=PCI msg=audit(5.000:1): device=\"0000:01:00.0\" {text}");
            places.add(&record::parse(line.as_bytes()).unwrap().unwrap());
        }
        places
    }

    #[test]
    fn each_place_once() {
        let access = |op: &str, offset: usize, res: u8| {
            format!("op={op} offset={offset:#x} size=4 session=1 res={res}")
        };
        let touched = "op=touched access=read offset=0x40 size=4 session=1 res=1".to_owned();
        let found = places(&[
            access("read", 0x40, 1),
            access("read", 0x40, 1),
            access("read", 0x40, 0),
            access("write", 0x40, 1),
            access("read", 0x44, 1),
            touched,
        ]);
        let counts: Vec<_> = found.spots.iter().map(|spot| spot.recorded).collect();
        assert_eq!(counts, [2, 1, 1, 1, 0]);
        assert_eq!(found.left_out, 0);
        let many: Vec<_> = (0..MAX_PLACES + 3)
            .map(|at| access("read", 4 * at, 1))
            .collect();
        let found = places(&many);
        assert_eq!((found.spots.len(), found.left_out), (MAX_PLACES, 3));
    }
}
