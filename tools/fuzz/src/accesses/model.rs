// SPDX-License-Identifier: GPL-2.0

//! What the kernel has to decide, byte by byte.

use std::convert::Infallible;
use std::ops::Range;

use pci_audit_core::allow_list::{mark, normalize, parse, Entry, Id};
use pci_audit_core::bitmap::{Bitmap, BITS, EMPTY};
use vfio_client::stream::Op;
use vfio_client::ConfigMap;

/// The policy that should be in force.
pub(super) struct Model {
    blocks_reads: bool,
    blocks_writes: bool,
    list: Vec<Entry>,
    /// Whether auditing is on.
    pub(super) audited: bool,
}

/// As after the start.
impl Default for Model {
    fn default() -> Self {
        Self {
            blocks_reads: false,
            blocks_writes: false,
            list: Vec::new(),
            audited: true,
        }
    }
}

/// Bytes of an access that are alike.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) bytes: Range<usize>,
    /// Whether they may be accessed. `None` if they are assigned, so that nothing is decided.
    pub(super) allowed: Option<bool>,
}

impl Piece {
    pub(super) fn is_blocked(&self) -> bool {
        self.allowed == Some(false)
    }
}

impl Model {
    pub(super) fn set_blocks(&mut self, op: Op, block: bool) {
        match op {
            Op::Read => self.blocks_reads = block,
            Op::Write => self.blocks_writes = block,
        }
    }

    /// Replaces the list by that of a text. Returns whether the text is a list: if not, the old one
    /// stays.
    pub(super) fn set_list(&mut self, text: &[u8]) -> bool {
        let mut list = Vec::new();
        let parsed = parse(text, |entry| {
            list.push(entry);
            Ok::<(), Infallible>(())
        });
        if parsed.is_err() {
            return false;
        }
        let length = normalize(&mut list);
        list.truncate(length);
        self.list = list;
        true
    }

    /// What an access consists of, in order.
    pub(super) fn pieces(
        &self,
        map: &ConfigMap,
        id: (u16, u16),
        op: Op,
        range: Range<usize>,
    ) -> Vec<Piece> {
        let mut excepted: Bitmap = EMPTY;
        mark(&self.list, Id::new(id.0, id.1), 0, &mut excepted);
        let blocks = match op {
            Op::Read => self.blocks_reads,
            Op::Write => self.blocks_writes,
        };
        let mut pieces: Vec<Piece> = Vec::new();
        for byte in range {
            let is_excepted = excepted[byte / BITS] >> (byte % BITS) & 1 != 0;
            let allowed = map.unassigned(byte).then_some(!blocks || is_excepted);
            match pieces.last_mut() {
                Some(last) if last.allowed == allowed => last.bytes.end = byte + 1,
                _ => pieces.push(Piece {
                    bytes: byte..byte + 1,
                    allowed,
                }),
            }
        }
        pieces
    }
}
