// SPDX-License-Identifier: GPL-2.0

//! Lines of a stream, in a buffer that never grows.

use std::io::{self, Read};

/// The most bytes of one line. A record of the kernel has 8970 at most, and auditd adds less than
/// that.
pub const LONGEST: usize = 64 << 10;

const BUFFER: usize = 1 << 20;

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its newline.
    Whole(&'a [u8]),
    /// A line that is longer than any record.
    TooLong(Long),
}

/// How many bytes are kept of a line that is too long.
pub const KEPT: usize = 8;

/// A line that was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    /// Its first bytes.
    pub start: [u8; KEPT],
    /// How many bytes it has, without its newline.
    pub length: u64,
}

impl Long {
    /// Begin with so many bytes that it is too long.
    fn new(line: &[u8]) -> Self {
        let mut start = [0; KEPT];
        start.copy_from_slice(&line[..KEPT]);
        Self {
            start,
            length: line.len() as u64,
        }
    }
}

/// Why the lines ended before the stream did.
#[derive(Debug)]
pub struct Broken {
    /// How many lines were read before.
    pub after: u64,
    /// What reading said.
    pub cause: io::Error,
}

/// The lines of a stream, one after the other.
pub struct Lines<R> {
    from: R,
    buffer: Vec<u8>,
    /// What is in the buffer and was not handed out.
    start: usize,
    end: usize,
    /// The end of the part of that which has no newline.
    looked: usize,
    number: u64,
    /// The line that goes on, if the start of it was thrown away.
    too_long: Option<Long>,
    ended: bool,
}

impl<R: Read> Lines<R> {
    /// Those of a stream.
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            looked: 0,
            number: 0,
            too_long: None,
            ended: false,
        }
    }

    /// The next line, numbered from 1; nothing at the end.
    #[allow(clippy::should_implement_trait)] // It lends from the buffer, which an iterator cannot.
    pub fn next(&mut self) -> Result<Option<(u64, Line<'_>)>, Broken> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.looked..self.end]) {
                let newline = self.looked + at;
                let line = self.start..newline;
                self.start = newline + 1;
                self.looked = self.start;
                self.number += 1;
                return Ok(Some((self.number, self.line(line))));
            }
            if self.ended {
                return Ok(self.rest());
            }
            self.fill()?;
        }
    }

    /// The line of which this is the end, or all.
    fn line(&mut self, end: std::ops::Range<usize>) -> Line<'_> {
        let end = &self.buffer[end];
        match self.too_long.take() {
            None if end.len() <= LONGEST => Line::Whole(end),
            None => Line::TooLong(Long::new(end)),
            Some(long) => Line::TooLong(Long {
                length: long.length + end.len() as u64,
                ..long
            }),
        }
    }

    /// What comes behind the last newline.
    fn rest(&mut self) -> Option<(u64, Line<'_>)> {
        let line = self.start..self.end;
        self.start = self.end;
        self.looked = self.end;
        if self.too_long.is_none() && line.is_empty() {
            return None;
        }
        self.number += 1;
        Some((self.number, self.line(line)))
    }

    /// Make room, and read more.
    fn fill(&mut self) -> Result<(), Broken> {
        let part = &self.buffer[self.start..self.end];
        match &mut self.too_long {
            Some(long) => long.length += part.len() as u64,
            None if part.len() > LONGEST => self.too_long = Some(Long::new(part)),
            None => {}
        }
        if self.too_long.is_some() {
            self.end = self.start;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        self.looked = self.end;
        loop {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => {
                    return Err(Broken {
                        after: self.number,
                        cause,
                    })
                }
            }
            return Ok(());
        }
    }
}

/// Hand every line, numbered from 1, to `each`; how many there were.
pub fn for_each(from: impl Read, mut each: impl FnMut(u64, Line<'_>)) -> Result<u64, Broken> {
    let mut lines = Lines::new(from);
    while let Some((number, line)) = lines.next()? {
        each(number, line);
    }
    Ok(lines.number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives a few bytes at a time, as a pipe may.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let some = self.1.min(self.0.len()).min(buffer.len());
            let (now, later) = self.0.split_at(some);
            buffer[..some].copy_from_slice(now);
            self.0 = later;
            Ok(some)
        }
    }

    /// The lines of a text, or what is left of them.
    fn lines(text: &[u8], drip: usize) -> Vec<Result<Vec<u8>, Long>> {
        let mut lines = Vec::new();
        let count = for_each(Drip(text, drip), |number, line| {
            assert_eq!(number as usize, lines.len() + 1);
            lines.push(match line {
                Line::Whole(line) => Ok(line.to_vec()),
                Line::TooLong(long) => Err(long),
            });
        })
        .unwrap();
        assert_eq!(count as usize, lines.len());
        lines
    }

    proptest! {
        #[test]
        fn the_same_as_splitting(text in "[a\n]{0,60}", drip in 1usize..20) {
            let split = text.split('\n');
            let mut expected: Vec<_> = split.map(|line| Ok(line.as_bytes().to_vec())).collect();
            // What comes behind the last newline is a line only if there is something.
            if expected.last() == Some(&Ok(Vec::new())) {
                expected.pop();
            }
            prop_assert_eq!(lines(text.as_bytes(), drip), expected);
        }
    }

    #[test]
    fn long_lines_are_told_and_those_around_them_read() {
        for length in [LONGEST, LONGEST + 1, BUFFER, 3 * BUFFER + 5] {
            let start = *b"12345678";
            let line = [&start[..], &vec![b'x'; length - KEPT]].concat();
            let expected = match length <= LONGEST {
                true => Ok(line.clone()),
                false => Err(Long {
                    start,
                    length: length as u64,
                }),
            };
            let text = [b"a\n", &line[..], b"\nb\nc"].concat();
            for drip in [1000, BUFFER, 5 * BUFFER] {
                let read = lines(&text, drip);
                assert_eq!(read.len(), 4);
                assert_eq!(read[1], expected);
                assert_eq!(read[3], Ok(b"c".to_vec()));
            }
            let read = lines(&text[..length + 2], 777);
            assert_eq!(read[1..], [expected]);
        }
    }

    #[test]
    fn an_error_says_where() {
        struct Fails;
        impl Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("x"))
            }
        }
        let broken = for_each((&b"a\nb\nc"[..]).chain(Fails), |_, _| ()).unwrap_err();
        assert_eq!(broken.after, 2);
    }
}
