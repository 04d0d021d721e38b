// SPDX-License-Identifier: GPL-2.0

//! Accesses to every byte of configuration space, with a transcript to compare.

use std::fmt::Write;

use crate::{Device, Digest, Error, Rng};

/// The sizes of access that drivers use. Each is tried at every offset, aligned or not.
pub const SIZES: [usize; 3] = [1, 2, 4];

/// A byte that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The byte's offset.
    pub offset: usize,
    /// The size of the access.
    pub size: usize,
    /// The value.
    pub value: u8,
}

/// All bytes that were read, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript(Vec<Seen>);

impl Transcript {
    /// Adds the bytes of an access at `offset`.
    pub fn add(&mut self, offset: usize, bytes: &[u8]) {
        self.0
            .extend(bytes.iter().enumerate().map(|(i, value)| Seen {
                offset: offset + i,
                size: bytes.len(),
                value: *value,
            }));
    }

    /// All bytes, in order.
    pub fn seen(&self) -> &[Seen] {
        &self.0
    }

    /// A digest of all bytes.
    pub fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        for seen in &self.0 {
            digest.add(&(seen.offset as u16).to_le_bytes());
            digest.add(&[seen.size as u8, seen.value]);
        }
        digest
    }

    /// Formats one line per byte.
    pub fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, seen| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:03x}/{} {:02x}", seen.offset, seen.size, seen.value);
            text
        })
    }
}

/// Reads a byte, a word and a dword at every offset, then the whole space at once.
pub fn read(device: &Device) -> Result<Transcript, Error> {
    let mut transcript = Transcript::default();
    for size in SIZES {
        for offset in 0..=device.size() - size {
            transcript.add(offset, &device.read_vec(offset as u64, size)?);
        }
    }
    transcript.add(0, &device.read_vec(0, device.size())?);
    Ok(transcript)
}

/// Writes a byte, a word and a dword at every offset that `wanted` accepts, and reads each back.
///
/// This writes to registers that reset or suspend the device, so it may be in another state
/// afterwards.
pub fn write(
    device: &Device,
    seed: u64,
    wanted: impl Fn(usize, usize) -> bool,
) -> Result<Transcript, Error> {
    let mut transcript = Transcript::default();
    let mut rng = Rng::new(seed, 0);
    let mut bytes = [0; 4];
    for size in SIZES {
        for offset in 0..=device.size() - size {
            // Drawn in any case, so that skipped offsets do not change the later values.
            rng.fill(&mut bytes);
            if wanted(offset, size) {
                device.write(offset as u64, &bytes[..size])?;
                transcript.add(offset, &device.read_vec(offset as u64, size)?);
            }
        }
    }
    Ok(transcript)
}
