// SPDX-License-Identifier: GPL-2.0

//! Fields of `journalctl -o export` that are no text.

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
    /// Take some bytes that come next, up to the end of a line at most. Whether the field goes on
    /// behind them.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> bool {
        let head = bytes.len().min(size_of::<u64>() - self.length.len());
        self.length.extend_from_slice(&bytes[..head]);
        self.seen += (bytes.len() - head) as u64;
        match self.length.first_chunk() {
            // The newline is one more.
            Some(length) => self.seen <= u64::from_le_bytes(*length),
            None => true,
        }
    }
}
