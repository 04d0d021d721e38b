// SPDX-License-Identifier: GPL-2.0

//! The order in which logs are read: that of time, whatever order they are named in.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;

use crate::forms;
use crate::input::Source;
use crate::lines::{Line, Lines};

/// How much of a log is looked at for its first time.
const ENOUGH: u64 = 64 << 10;

/// A log, and when it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The log.
    pub source: Source,
    /// The time of its first record, in milliseconds since 1970; nothing if it cannot be looked
    /// into before it is read.
    pub first: Option<u64>,
}

/// Sort logs by time, and leave out duplicates, whose names are returned, too.
pub fn order(sources: &[Source]) -> (Vec<Ordered>, Vec<String>) {
    let mut seen = Vec::new();
    let mut ordered = Vec::new();
    let mut again = Vec::new();
    for source in sources {
        let file = file_of(source);
        if file.is_some() && seen.contains(&file) {
            again.push(source.name());
            continue;
        }
        seen.push(file);
        ordered.push(Ordered {
            first: file.and_then(|_| first(source)),
            source: source.clone(),
        });
    }
    // What cannot be looked into comes last, since what is in it can then be compared with the
    // others.
    ordered.sort_by_key(|log| log.first.unwrap_or(u64::MAX));
    (ordered, again)
}

/// What tells a plain file from others. Pipes may be read once only.
fn file_of(source: &Source) -> Option<(u64, u64)> {
    let Source::File(path) = source else {
        return None;
    };
    let data = fs::metadata(path).ok()?;
    data.is_file().then(|| (data.dev(), data.ino()))
}

fn first(source: &Source) -> Option<u64> {
    let stream = source.open(|raw| raw).ok()?;
    let mut lines = Lines::new(stream.take(ENOUGH));
    while let Ok(Some((_, line))) = lines.next() {
        if let Line::Whole(line) = line {
            if let Some(time) = forms::time(line) {
                return Some(time);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_their_first_record() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            Source::File(path)
        };
        let new = at("a", "nonsense\ntype=PCI msg=audit(300.000:1): x\n");
        let old = at("b", "type=PCI msg=audit(100.000:1): x\n");
        let none = at("c", "nonsense\n");
        let gone = Source::File(folder.path().join("d"));
        let all = [
            Source::Standard,
            none.clone(),
            new.clone(),
            gone.clone(),
            old.clone(),
            new.clone(),
        ];
        let (ordered, again) = order(&all);
        let sources: Vec<_> = ordered.iter().map(|log| log.source.clone()).collect();
        assert_eq!(sources, [old, new.clone(), Source::Standard, none, gone]);
        assert_eq!(ordered[1].first, Some(300_000));
        assert_eq!(again, [new.name()]);
    }
}
