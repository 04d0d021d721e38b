// SPDX-License-Identifier: GPL-2.0

//! Fields of `journalctl -o export` that are no text.

/// What is wrong with a log that ends before such a field does.
pub(crate) const CUT_OFF: &str = "the log ends within a field that is no text: it was cut off or \
                                  changed, and nothing behind the start of the field was read";

/// Such a field, which is passed over.
///
/// Behind a line with its name come its length in eight bytes, the least significant first, its
/// bytes, and a newline. Any user may have chosen them, so that they may look like the ends of
/// lines, like other fields and like other entries.
#[derive(Default)]
pub(crate) struct Bytes {
    length: Vec<u8>,
    /// How many came behind the length.
    seen: u64,
}

impl Bytes {
    /// Take some bytes that come next, up to the end of a line at most: the first of them, eight
    /// if there are as many, and how many there are. Whether the field goes on behind them.
    pub(crate) fn take(&mut self, first: &[u8], count: u64) -> bool {
        let head = first.len().min(size_of::<u64>() - self.length.len());
        self.length.extend_from_slice(&first[..head]);
        self.seen += count - head as u64;
        match self.length.first_chunk() {
            // The newline is one more.
            Some(length) => self.seen <= u64::from_le_bytes(*length),
            None => true,
        }
    }
}
