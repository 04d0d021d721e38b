// SPDX-License-Identifier: GPL-2.0

//! Which machines logs are of: what advice on a kernel depends on.
//!
//! Records may name their machine. The first line of a log may: what auditd writes when it starts,
//! if it names machines, and `observe`. The system's own log is of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use crate::input::{self, Source};
use crate::scan::Scan;

/// Which machines logs are of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Whether this machine is one of them.
    pub here: bool,
    /// The others, with the kernel that a log's first line names.
    pub elsewhere: BTreeMap<String, Option<String>>,
    /// Whether there are records that do not name their machine.
    pub unsaid: bool,
}

impl Origin {
    /// Of logs that were read, on the machine with the name `this`, whose files are under `root`.
    pub fn of(scan: &Scan, sources: &[Source], this: Option<&str>, root: &Path) -> Self {
        let mut origin = Self::default();
        let nodes: BTreeSet<Option<&str>> = scan.tally.devices().map(|(node, ..)| node).collect();
        for node in nodes.iter().flatten() {
            origin.add(node, None, this);
        }
        if nodes.is_empty() || nodes.contains(&None) {
            let own = input::sources(&[], root).unwrap_or_default();
            for source in sources {
                match (own.contains(source), head(source)) {
                    (true, _) => origin.here = true,
                    (false, Some((node, kernel))) => origin.add(&node, kernel, this),
                    (false, None) => origin.unsaid = true,
                }
            }
        }
        origin
    }

    fn add(&mut self, node: &str, kernel: Option<String>, this: Option<&str>) {
        if Some(node) == this {
            self.here = true;
        } else {
            let known = self.elsewhere.entry(node.to_owned()).or_default();
            *known = known.take().or(kernel);
        }
    }

    /// The machine of records that name none, if it is known to be another one.
    pub fn other(&self) -> Option<&str> {
        let mut others = self.elsewhere.keys();
        let only = others.next().filter(|_| others.next().is_none())?;
        (!self.here && !self.unsaid).then_some(only)
    }
}

/// The names of the machine and of its kernel on the first line of a log.
fn head(source: &Source) -> Option<(String, Option<String>)> {
    /// A line that auditd starts with is shorter.
    const MOST: u64 = 4096;

    if !source.is_file() {
        return None;
    }
    let mut start = Vec::new();
    let stream = source.open(|raw| raw).ok()?;
    stream.take(MOST).read_to_end(&mut start).ok()?;
    let line = start.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?;
    let (node, fields) = line
        .strip_prefix("node=")?
        .split_once(" type=DAEMON_START ")?;
    let mut fields = fields.split(' ');
    let kernel = fields.find_map(|field| field.strip_prefix("kernel="));
    Some((node.to_owned(), kernel.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const RECORD: &str = "type=UNKNOWN[1340] msg=audit(1747758000.123:2): \
        device=\"0000:01:00.0\" op=write offset=0x298 size=1 session=7 res=1\n";

    fn origin(text: &str) -> Origin {
        let root = tempfile::tempdir().unwrap();
        let log = root.path().join("log");
        fs::write(&log, text).unwrap();
        // The folder has no auditd configuration that names this log.
        let sources = [Source::File(log)];
        let scan = Scan::read(&sources, 0);
        assert_eq!(scan.broken, 0, "{:?}", scan.named);
        Origin::of(&scan, &sources, Some("vmhost17"), Path::new("/nowhere"))
    }

    fn elsewhere(kernel: Option<&str>) -> Origin {
        Origin {
            elsewhere: [("other".to_owned(), kernel.map(str::to_owned))].into(),
            ..Origin::default()
        }
    }

    #[test]
    fn records_and_first_lines_name_the_machine() {
        let head = |host: &str| {
            format!(
                "node={host} type=DAEMON_START msg=audit(1747758000.000:1): op=start ver=1 \
                 kernel=6.12.0 res=success\n"
            )
        };
        let here = Origin {
            here: true,
            ..Origin::default()
        };
        let unsaid = Origin {
            unsaid: true,
            ..Origin::default()
        };
        assert_eq!(origin(RECORD), unsaid);
        assert_eq!(origin(&format!("node=vmhost17 {RECORD}")), here);
        assert_eq!(origin(&format!("node=other {RECORD}")), elsewhere(None));
        assert_eq!(origin(&(head("vmhost17") + RECORD)), here);
        assert_eq!(origin(&head("vmhost17")), here);
        assert_eq!(origin(&(head("other") + RECORD)), elsewhere(Some("6.12.0")));
        // Only the first line is looked at: it is of all of the log.
        assert_eq!(origin(&(RECORD.to_owned() + &head("other"))), unsaid);
    }

    #[test]
    fn records_that_name_no_machine_are_of_the_one_that_the_log_names() {
        assert_eq!(elsewhere(None).other(), Some("other"));
        let mixed = Origin {
            here: true,
            ..elsewhere(None)
        };
        assert_eq!(mixed.other(), None);
        assert_eq!(Origin::default().other(), None);
    }

    #[test]
    fn the_systems_own_log_is_of_this_machine() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("var/log/audit");
        fs::create_dir_all(&folder).unwrap();
        let log = folder.join("audit.log");
        fs::write(&log, RECORD).unwrap();
        let sources = [Source::File(log)];
        let scan = Scan::read(&sources, 0);
        assert!(Origin::of(&scan, &sources, None, root.path()).here);
        assert!(Origin::of(&scan, &sources, None, Path::new("/nowhere")).unsaid);
    }
}
