// SPDX-License-Identifier: GPL-2.0

//! The order in which logs are read: that of time, whatever order they are named in.

use std::fs;
use std::os::unix::fs::MetadataExt;

use jiff::tz::TimeZone;

use crate::forms;
use crate::input::Source;
use crate::lines::{Line, Lines};

/// Sort logs by time, and leave out duplicates, whose names are returned, too. `zone` is where
/// `ausearch -i` was run.
pub fn order(sources: &[Source], zone: &TimeZone) -> (Vec<Source>, Vec<String>) {
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
        let time = source.is_file().then(|| first(source, zone)).flatten();
        ordered.push((time, source.clone()));
    }
    // A file without any time stays in front of the file that it was named in front of.
    let mut next = u64::MAX;
    for (key, source) in ordered.iter_mut().rev() {
        next = key.unwrap_or(next);
        // What cannot be looked into comes last, since what is in it can then be compared with the
        // others.
        *key = source.is_file().then_some(next);
    }
    ordered.sort_by_key(|(key, _)| key.unwrap_or(u64::MAX));
    (
        ordered.into_iter().map(|(_, source)| source).collect(),
        again,
    )
}

/// What tells a plain file from others. Pipes may be read once only.
fn file_of(source: &Source) -> Option<(u64, u64)> {
    let Source::File(path) = source else {
        return None;
    };
    let data = fs::metadata(path).ok()?;
    data.is_file().then(|| (data.dev(), data.ino()))
}

/// The time of the first record; it may come behind any number of other lines.
fn first(source: &Source, zone: &TimeZone) -> Option<u64> {
    let mut lines = Lines::new(source.open(|raw| raw).ok()?);
    while let Ok(Some((_, line))) = lines.next() {
        if let Line::Whole(line) = line {
            if let Some(time) = forms::time(line, zone) {
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
        let words = at("d", "type=PCI msg=audit(01/01/1970 00:03:20.000:1) : x\n");
        let gone = Source::File(folder.path().join("e"));
        let all = [
            Source::Standard,
            none.clone(),
            new.clone(),
            gone.clone(),
            old.clone(),
            new.clone(),
            words.clone(),
        ];
        let (sources, again) = order(&all, &TimeZone::UTC);
        assert_eq!(
            sources,
            [old, words, none, new.clone(), Source::Standard, gone]
        );
        assert_eq!(again, [new.name()]);
    }

    #[test]
    fn a_record_may_come_behind_any_number_of_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("syslog");
        let other = "Nov 30 00:53:20 h cron[1]: hello\n".repeat(5000);
        fs::write(
            &path,
            other + "Nov 30 00:53:20 h kernel: audit: type=1340 audit(5.000:1): x\n",
        )
        .unwrap();
        assert_eq!(first(&Source::File(path), &TimeZone::UTC), Some(5000));
    }
}
