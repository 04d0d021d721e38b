// SPDX-License-Identifier: GPL-2.0

//! Where errors are written, and the lines of kernel logs whatever they are wrapped in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{ensure, Context, Result};
use jiff::tz::TimeZone;
use serde_json::Value;

use super::error::DeviceError;
use super::kernel_log::KernelLog;
use super::moment::{Boot, Moment};
use super::rasdaemon;
use crate::forms::bytes::{Bytes, CUT_OFF};
use crate::input::Source;
use crate::journalctl::Printed;
use crate::prefix;
use crate::record::number;

/// Where pstore shows what it kept, and where systemd moves that and never deletes it.
const PSTORE: &str = "sys/fs/pstore";
const ARCHIVE: &str = "var/lib/systemd/pstore";
/// rasdaemon's database.
const RASDAEMON: &str = "var/lib/rasdaemon/ras-mc_event.db";
/// The most bytes of a line.
const LONGEST: u64 = 1 << 20;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The errors.
    pub errors: Vec<DeviceError>,
    /// The kernel logs, without their errors.
    pub logs: Vec<KernelLog>,
    /// What was read.
    pub names: Vec<String>,
    /// What cannot be read.
    pub complaints: Vec<String>,
}

impl Found {
    fn log(&mut self, mut log: KernelLog) {
        self.errors.append(&mut log.errors);
        self.logs.push(log);
    }

    /// Read a file, or all files of a folder; `-` is standard input.
    pub fn read(&mut self, path: &Path, boot: Option<Boot>, zone: &TimeZone) -> Result<()> {
        if path.is_dir() {
            let mut entries: Vec<PathBuf> = fs::read_dir(path)?
                .filter_map(|entry| Some(entry.ok()?.path()))
                .collect();
            entries.sort();
            for entry in entries {
                if let Err(error) = self.read(&entry, boot, zone) {
                    self.complaints
                        .push(format!("{}: {error:#}", entry.display()));
                }
            }
            return Ok(());
        }
        let name = path.display().to_string();
        self.names.push(name.clone());
        if path.is_file() && rasdaemon::is_database(path)? {
            self.errors.extend(rasdaemon::read(path)?);
            return Ok(());
        }
        let source = match path.to_str() {
            Some("-") => Source::Standard,
            _ => Source::File(path.to_owned()),
        };
        ensure!(!name.ends_with(".enc.z"), "pstore could not decompress it");
        let lines = Lines::new(name, boot, zone.clone());
        let (log, complaint) = lines.all(source.open(|raw| raw)?)?;
        self.log(log);
        let complaint = complaint.map(|what| format!("{}: {what}", path.display()));
        self.complaints.extend(complaint);
        Ok(())
    }

    /// Read what a machine has: the kernel's log of this boot and of the one before, pstore and
    /// rasdaemon's database.
    pub fn system(root: &Path, zone: &TimeZone) -> Self {
        let mut found = Self::default();
        found.try_read(&root.join(PSTORE), Some(Boot::Last), zone);
        found.archive(&root.join(ARCHIVE), booted(root), zone);
        found.try_read(&root.join(RASDAEMON), None, zone);
        if root == Path::new("/") {
            found.journal(Boot::Last, zone);
            if !found.journal(Boot::This, zone) {
                found.command(
                    Command::new("dmesg").arg("--raw"),
                    "dmesg",
                    Boot::This,
                    zone,
                );
            }
        }
        found
    }

    /// Read what systemd moved there: since this machine was booted, what is of the boot before.
    fn archive(&mut self, folder: &Path, booted: Option<SystemTime>, zone: &TimeZone) {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                self.archive(&path, booted, zone);
                continue;
            }
            let written = fs::metadata(&path).and_then(|metadata| metadata.modified());
            let boot = match (written, booted) {
                (Ok(written), Some(booted)) if written < booted => Boot::Earlier,
                _ => Boot::Last,
            };
            self.try_read(&path, Some(boot), zone);
        }
    }

    fn try_read(&mut self, path: &Path, boot: Option<Boot>, zone: &TimeZone) {
        if !path.exists() {
            return;
        }
        if let Err(error) = self.read(path, boot, zone) {
            self.complaints
                .push(format!("{}: {error:#}", path.display()));
        }
    }

    fn journal(&mut self, boot: Boot, zone: &TimeZone) -> bool {
        let (which, name) = match boot {
            Boot::This => ("0", "the journal"),
            Boot::Last | Boot::Earlier => ("-1", "the journal of the last boot"),
        };
        let mut command = Command::new("journalctl");
        // Not only what the kernel said: systemd's last words tell of an orderly end.
        command.args(["--no-pager", "--quiet", "--output=json", "--boot", which]);
        if boot == Boot::This {
            command.arg("--dmesg");
        } else {
            command.args([
                "_TRANSPORT=kernel",
                "+",
                "_COMM=systemd-shutdow",
                "+",
                "_PID=1",
            ]);
        }
        self.command(&mut command, name, boot, zone)
    }

    /// Read what a program prints. False if it cannot be run, or prints nothing.
    fn command(&mut self, command: &mut Command, name: &str, boot: Boot, zone: &TimeZone) -> bool {
        let Ok(out) = Printed::by(command.stderr(Stdio::null())) else {
            return false;
        };
        match Lines::new(name.to_owned(), Some(boot), zone.clone()).all(out) {
            Ok((log, complaint)) if log.last.is_some() => {
                let complaint = complaint.map(|what| format!("{name}: {what}"));
                self.complaints.extend(complaint);
                self.names.push(name.to_owned());
                self.log(log);
                true
            }
            _ => false,
        }
    }
}

/// When a machine was booted.
fn booted(root: &Path) -> Option<SystemTime> {
    let stat = fs::read_to_string(root.join("proc/stat")).ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(number(line.trim())?))
}

/// Reads a kernel log line by line.
pub struct Lines {
    log: KernelLog,
    zone: TimeZone,
    number: u64,
    /// The fields of an entry of `journalctl -o export` so far.
    entry: Option<BTreeMap<String, String>>,
    /// The field of it that is no text and goes on.
    bytes: Option<Bytes>,
}

impl Lines {
    /// Read a log of a name; times without a zone are in `zone`.
    pub fn new(name: String, boot: Option<Boot>, zone: TimeZone) -> Self {
        Self {
            log: KernelLog::new(name, boot),
            zone,
            number: 0,
            entry: None,
            bytes: None,
        }
    }

    /// Read a whole log; what is wrong with its end.
    fn all(mut self, from: impl Read) -> Result<(KernelLog, Option<&'static str>)> {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader
                .by_ref()
                .take(LONGEST)
                .read_until(b'\n', &mut line)
                .context("reading")?;
            if read == 0 {
                let complaint = self.bytes.is_some().then_some(CUT_OFF);
                return Ok((self.end(), complaint));
            }
            if self.passes_over(&line) {
                continue;
            }
            while line
                .last()
                .is_some_and(|byte| matches!(byte, b'\n' | b'\r'))
            {
                line.pop();
            }
            self.line(&line);
        }
    }

    /// Whether some bytes, up to the end of a line, belong to a field that is no text.
    fn passes_over(&mut self, bytes: &[u8]) -> bool {
        let Some(field) = &mut self.bytes else {
            return false;
        };
        self.number += u64::from(bytes.ends_with(b"\n"));
        if !field.take(bytes, bytes.len() as u64) {
            self.bytes = None;
        }
        true
    }

    /// Take a line, without its newline.
    pub fn line(&mut self, line: &[u8]) {
        if self.passes_over(line) {
            self.passes_over(b"\n");
            return;
        }
        self.number += 1;
        let line = String::from_utf8_lossy(line);
        let line = &*line;
        if line.starts_with("__CURSOR=") {
            self.entry = Some(BTreeMap::new());
        }
        if let Some(entry) = &mut self.entry {
            match line.split_once('=') {
                Some((key, value)) => {
                    entry.insert(key.to_owned(), value.to_owned());
                }
                // Between two entries there is an empty line.
                None if line.is_empty() => self.entry_ends(),
                None => self.bytes = Some(Bytes::default()),
            }
            return;
        }
        if line.starts_with('{') {
            if let Ok(Value::Object(fields)) = serde_json::from_str(line) {
                let fields = fields
                    .into_iter()
                    .filter_map(|(key, value)| Some((key, value.as_str()?.to_owned())))
                    .collect();
                self.journal(&fields);
                return;
            }
        }
        let (moment, text) = unwrap(line, &self.zone);
        self.log.message(moment, text, self.number);
    }

    fn entry_ends(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.journal(&entry);
        }
    }

    /// An entry of journald's.
    fn journal(&mut self, fields: &BTreeMap<String, String>) {
        let time = |key: &str| fields.get(key).and_then(|text| number(text));
        let Some(message) = fields.get("MESSAGE") else {
            return;
        };
        let moment = Moment {
            wall: time("_SOURCE_REALTIME_TIMESTAMP").or_else(|| time("__REALTIME_TIMESTAMP")),
            up: time("_SOURCE_MONOTONIC_TIMESTAMP").or_else(|| time("__MONOTONIC_TIMESTAMP")),
            boot: None,
            within: 1000,
        };
        // Any user may send any words to the journal, and under any name. What begins with _ is
        // journald's own.
        let is = |key: &str, value: &str| fields.get(key).is_some_and(|text| text == value);
        let of_kernel = is("_TRANSPORT", "kernel");
        let of_init = of_kernel || is("_PID", "1");
        match fields.get("SYSLOG_IDENTIFIER").map(String::as_str) {
            Some("systemd-shutdown") if of_init => {
                let text = format!("systemd-shutdown[1]: {message}");
                self.log.message(moment, &text, 0);
            }
            Some("systemd") if of_init && is_last_target(message) => {
                self.log.message(moment, "systemd-shutdown[1]: ", 0);
            }
            Some("systemd") => {}
            _ if of_kernel => self.log.message(moment, message, 0),
            // That something was said then tells how long the machine lived.
            _ => self.log.message(moment, "", 0),
        }
    }

    /// All lines were taken.
    pub fn end(mut self) -> KernelLog {
        self.entry_ends();
        self.log.end();
        self.log
    }
}

/// What systemd reaches last.
fn is_last_target(message: &str) -> bool {
    message.starts_with("Reached target")
        && [
            "Reboot",
            "Power-Off",
            "Power Off",
            "Shutdown",
            "Halt",
            "shutdown.target",
        ]
        .iter()
        .any(|words| message.contains(words))
}

/// Take the time, the level and the caller off a line.
fn unwrap<'a>(line: &'a str, zone: &TimeZone) -> (Moment, &'a str) {
    let mut moment = Moment::default();
    let mut rest = prefix::without_level(line.trim_start());
    let date =
        prefix::date(rest).and_then(|(date, behind)| Some((date.microseconds(zone)?, behind)));
    if let Some(((wall, within), behind)) = date {
        moment.wall = Some(wall);
        moment.within = within;
        // What is left is HOST kernel: TEXT, or TEXT.
        rest = ["kernel: ", "kernel - - - "]
            .iter()
            .find_map(|program| behind.split_once(program))
            .map_or(behind, |(_, text)| text);
        rest = prefix::without_level(rest.trim_start());
    }
    if let Some((up, behind)) = prefix::uptime(rest) {
        moment.up = Some(up);
        rest = by_host(behind).unwrap_or(behind);
        // The thread or the processor, as some kernels are told to print it.
        if let Some((caller, behind)) = rest.strip_prefix('[').and_then(|r| r.split_once(']')) {
            let caller = caller.trim();
            let is_caller = caller
                .strip_prefix(['T', 'C'])
                .is_some_and(|digits| number(digits).is_some());
            if is_caller {
                rest = behind;
            }
        }
    }
    // A second time is that of the kernel: the first one is when it was printed.
    (moment, rest.strip_prefix(' ').unwrap_or(rest))
}

/// `HOST kernel: TEXT`, as journalctl -o short-monotonic prints it.
fn by_host(text: &str) -> Option<&str> {
    let (host, text) = text.trim_start().split_once(' ')?;
    (!host.is_empty()).then(|| text.strip_prefix("kernel: "))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crash::ended::{Ended, How};
    use crate::crash::error::{Kind, Severity};

    fn moment(line: &str) -> (Option<u64>, Option<u64>, String) {
        let (moment, text) = unwrap(line, &TimeZone::UTC);
        (moment.wall, moment.up, text.to_owned())
    }

    #[test]
    fn lines_are_unwrapped() {
        const WALL: u64 = 1_747_758_000_000_000;
        for (line, wall, up) in [
            ("[   19.000123] hello: x", None, Some(19_000_123)),
            ("<3>[   19.000123] hello: x", None, Some(19_000_123)),
            ("[   19.000123][  T123] hello: x", None, Some(19_000_123)),
            ("[   19.000123][    C0] hello: x", None, Some(19_000_123)),
            ("[Tue May 20 16:20:00 2025] hello: x", Some(WALL), None),
            (
                "2025-05-20T16:20:00,000123+00:00 hello: x",
                Some(WALL + 123),
                None,
            ),
            (
                "2025-05-20T16:20:00.5+00:00 host kernel: hello: x",
                Some(WALL + 500_000),
                None,
            ),
            (
                "2025-05-20T18:20:00+0200 host kernel: [   19.000123] hello: x",
                Some(WALL),
                Some(19_000_123),
            ),
            (
                "<4>1 2025-05-20T16:20:00Z host kernel - - - hello: x",
                Some(WALL),
                None,
            ),
            (
                "Tue 2025-05-20 16:20:00 UTC host kernel: hello: x",
                Some(WALL),
                None,
            ),
            (
                "1747758000.000123 host kernel: hello: x",
                Some(WALL + 123),
                None,
            ),
            (
                "[   19.000123] host kernel: hello: x",
                None,
                Some(19_000_123),
            ),
            (
                "[   19.000123 <    0.000007 >] host kernel: hello: x",
                None,
                Some(19_000_123),
            ),
            ("hello: x", None, None),
        ] {
            assert_eq!(moment(line), (wall, up, "hello: x".to_owned()), "{line}");
        }
        for clock in ["16:20:00", "16:20:00.123456"] {
            let line = format!("May 20 {clock} host kernel: [ 19.000123] hello: x");
            let (wall, up, text) = moment(&line);
            assert!(wall.is_some_and(|wall| wall >= WALL), "{line}: {wall:?}");
            assert_eq!((up, &*text), (Some(19_000_123), "hello: x"), "{line}");
        }
    }

    #[test]
    fn what_is_in_the_archive_of_pstore_for_long_is_not_of_the_last_boot() {
        let root = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str, written: u64| {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(written);
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(written).unwrap();
        };
        let panic = "<0>[    9.000000] Kernel panic - not syncing: NMI\n";
        put("proc/stat", "cpu 1 2\nbtime 2000\nprocesses 7\n", 0);
        put("var/lib/systemd/pstore/1000/dmesg.txt", panic, 1000);
        put("var/lib/systemd/pstore/2001/dmesg.txt", "", 2001);
        let found = Found::system(root.path(), &TimeZone::UTC);
        let of = |found: &Found| found.logs.iter().map(KernelLog::boot).collect::<Vec<_>>();
        assert_eq!(of(&found), [Some(Boot::Earlier), Some(Boot::Last)]);
        assert_eq!(Ended::new(&found.logs, false).how, How::Unknown);
        put("var/lib/systemd/pstore/2001/dmesg.txt", panic, 2001);
        let found = Found::system(root.path(), &TimeZone::UTC);
        assert_eq!(Ended::new(&found.logs, false).how, How::Panic);
    }

    #[test]
    fn journals_of_both_forms() {
        let json = r#"{"__REALTIME_TIMESTAMP":"1747758000000900","_SOURCE_MONOTONIC_TIMESTAMP":"19000000","_TRANSPORT":"kernel","SYSLOG_IDENTIFIER":"kernel","MESSAGE":"NMI: IOCK error (debug interrupt?) for reason 60 on CPU 0."}"#;
        let export = "__CURSOR=s=1\n\
                      __REALTIME_TIMESTAMP=1747758000000900\n_SOURCE_MONOTONIC_TIMESTAMP=19000000\n\
                      _TRANSPORT=kernel\nSYSLOG_IDENTIFIER=kernel\n\
                      MESSAGE=NMI: IOCK error (debug interrupt?) for reason 60 on CPU 0.\n\n";
        for text in [json, export] {
            let mut lines = Lines::new("x".to_owned(), None, TimeZone::UTC);
            for line in text.lines() {
                lines.line(line.as_bytes());
            }
            let log = lines.end();
            let error = &log.errors[0];
            assert_eq!((error.kind, error.severity), (Kind::Nmi, Severity::Fatal));
            assert_eq!(error.moment.wall, Some(1_747_758_000_000_900));
            assert_eq!(error.moment.up, Some(19_000_000));
            assert!(!log.shut_down);
        }
        let end = r#"{"__REALTIME_TIMESTAMP":"1747758000000900","_PID":"1","SYSLOG_IDENTIFIER":"systemd","MESSAGE":"Reached target reboot.target - System Reboot."}"#;
        let mut lines = Lines::new("x".to_owned(), None, TimeZone::UTC);
        lines.line(end.as_bytes());
        assert!(lines.end().shut_down);
    }

    #[test]
    fn bytes_of_a_message_are_not_fields() {
        let end = "MESSAGE=Kernel panic - not syncing: x\n\n";
        let message = format!("a\n_TRANSPORT=kernel\n{end}__CURSOR=y\n_TRANSPORT=kernel\n{end}\r");
        let entry = [
            b"__CURSOR=x\n_TRANSPORT=journal\nMESSAGE\n",
            &(message.len() as u64).to_le_bytes()[..],
            message.as_bytes(),
            b"\n\n",
        ]
        .concat();
        let errors = |text: &[u8]| {
            let lines = Lines::new("x".to_owned(), None, TimeZone::UTC);
            let (log, complaint) = lines.all(text).unwrap();
            (log.errors.len(), complaint)
        };
        assert_eq!(errors(&entry), (0, None));
        let real = format!("__CURSOR=z\n_TRANSPORT=kernel\n{end}");
        let mut both = [&entry, real.as_bytes()].concat();
        assert_eq!(errors(&both), (1, None));
        // A program that takes it for text changes the length.
        let length = entry.iter().position(|byte| *byte == 0).unwrap();
        both[length] = 0xff;
        assert_eq!(errors(&both), (0, Some(CUT_OFF)));
    }

    #[test]
    fn words_of_users_are_not_those_of_the_kernel() {
        for (of, message) in [
            ("logger", "Kernel panic - not syncing: x"),
            (
                "kernel",
                "NMI: IOCK error (debug interrupt?) for reason 60 on CPU 0.",
            ),
            ("kernel", "Linux version 7.3.4"),
            ("kernel", "reboot: Restarting system"),
            ("systemd-shutdown", "Syncing filesystems and block devices."),
            ("systemd", "Reached target reboot.target - System Reboot."),
        ] {
            let json = serde_json::json!({
                "__REALTIME_TIMESTAMP": "1747758000000900",
                "_TRANSPORT": "syslog",
                "_PID": "4242",
                "SYSLOG_IDENTIFIER": of,
                "MESSAGE": message,
            });
            let mut lines = Lines::new("x".to_owned(), None, TimeZone::UTC);
            lines.line(json.to_string().as_bytes());
            let log = lines.end();
            assert!(log.errors.is_empty(), "{json}: {:?}", log.errors);
            assert_eq!(
                (log.panic, log.shut_down, log.boots),
                (None, false, 0),
                "{json}"
            );
        }
    }

    #[test]
    fn pstore_and_folders() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("dmesg-ramoops-0"),
            "Panic#1 Part1\n<0>[   19.500000] Kernel panic - not syncing: NMI: Not continuing\n",
        )
        .unwrap();
        fs::create_dir(folder.path().join("1747758000")).unwrap();
        fs::write(
            folder.path().join("1747758000/dmesg.txt"),
            "<0>[   19.400000] NMI: IOCK error (debug interrupt?) for reason 60 on CPU 0.\n",
        )
        .unwrap();
        fs::write(folder.path().join("dmesg-efi-1.enc.z"), "x").unwrap();
        let mut found = Found::default();
        found
            .read(folder.path(), Some(Boot::Last), &TimeZone::UTC)
            .unwrap();
        let kinds: Vec<_> = found.errors.iter().map(|error| error.kind).collect();
        assert_eq!(kinds, [Kind::Nmi, Kind::Panic]);
        assert!(found
            .errors
            .iter()
            .all(|e| e.moment.boot == Some(Boot::Last)));
        assert_eq!(found.complaints.len(), 1, "{:?}", found.complaints);
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(texts in proptest::collection::vec(".*", 0..5)) {
            let mut lines = Lines::new("x".to_owned(), None, TimeZone::UTC);
            for text in texts {
                for start in [
                    "",
                    "<4>[ 1.0",
                    "[",
                    "[Tue May 20 16:20:00 ",
                    "2025-05-20T",
                    "May 20 16:20:00 ",
                    "May 20 16:20:00.",
                    "Tue 2025-05-20 16:20:00 ",
                    "1747758000.",
                    "{\"MESSAGE\":",
                    "__CURSOR=",
                ] {
                    lines.line(format!("{start}{text}").as_bytes());
                }
                lines.line(text.as_bytes());
                lines.line(b"");
            }
            lines.end();
        }
    }
}
