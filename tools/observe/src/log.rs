// SPDX-License-Identifier: GPL-2.0

//! Where records go: lines as auditd writes them.
//!
//! Debian's auditd knows no name for the type and writes its number, which every `ausearch` reads.
//! The first line of a log is one that auditd writes when it starts, with the names of the machine
//! and of its kernel: a reader on another machine knows what it is of. It has the last number of a
//! session, too: numbers go on though all records with numbers are in logs that were rotated away.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The last numbers that a log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// Of an event.
    pub serial: u64,
    /// Of a session.
    pub session: u64,
}

/// What the records of a log are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// What the machine is called.
    pub host: String,
    /// The release of its kernel.
    pub release: String,
}

impl Origin {
    /// Of the machine whose files are under `root`. Nothing if its name is no word.
    pub fn find(root: &Path) -> Option<Self> {
        let read = |name: &str| {
            let text = std::fs::read_to_string(root.join("proc/sys/kernel").join(name)).ok()?;
            let text = text.trim();
            let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            is_word.then(|| text.to_owned())
        };
        Some(Self {
            host: read("hostname")?,
            release: read("osrelease")?,
        })
    }
}

/// A log of records.
#[derive(Debug)]
pub struct Log {
    to: To,
    serial: u64,
}

#[derive(Debug)]
enum To {
    Stdout,
    File { path: PathBuf, file: File },
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path)
}

impl Log {
    /// A log on standard output.
    pub fn stdout() -> Self {
        Self {
            to: To::Stdout,
            serial: 0,
        }
    }

    /// A log that goes on in a file, readable by its owner only if it is new. Also returns the
    /// last numbers that it has, so that none is used twice.
    pub fn append(path: &Path) -> io::Result<(Self, Last)> {
        let file = open(path)?;
        let mut last = last_numbers(path)?;
        if last.session == 0 {
            let before = rotated(path).and_then(|path| last_numbers(&path).ok());
            let before = before.unwrap_or_default();
            last = Last {
                serial: last.serial.max(before.serial),
                session: before.session,
            };
        }
        let log = Self {
            to: To::File {
                path: path.to_owned(),
                file,
            },
            serial: last.serial,
        };
        Ok((log, last))
    }

    /// Opens the file again, which may have been renamed. Whether it is empty.
    pub fn reopen(&mut self) -> io::Result<bool> {
        let To::File { path, file } = &mut self.to else {
            return Ok(false);
        };
        *file = open(path)?;
        Ok(file.metadata()?.len() == 0)
    }

    /// Writes what the records behind it are of, and the number of the last session before them.
    pub fn begin(&mut self, time: u64, origin: &Origin, session: u64) -> io::Result<()> {
        let Origin { host, release } = origin;
        let text = format!(
            "op=start ver={} format=raw kernel={release} pid={} session={session} res=success",
            env!("CARGO_PKG_VERSION"),
            std::process::id()
        );
        self.line(
            time,
            &format!("node={host} type=DAEMON_START"),
            text.as_bytes(),
        )
    }

    /// Writes a record of a time in nanoseconds since 1970: what comes after `msg=audit(...): `.
    /// After an error the log is as before.
    pub fn write(&mut self, time: u64, text: &[u8]) -> io::Result<()> {
        self.line(time, "type=UNKNOWN[1340]", text)
    }

    fn line(&mut self, time: u64, start: &str, text: &[u8]) -> io::Result<()> {
        let (seconds, milliseconds) = (time / 1_000_000_000, time / 1_000_000 % 1000);
        let serial = self.serial + 1;
        let mut line =
            format!("{start} msg=audit({seconds}.{milliseconds:03}:{serial}): ").into_bytes();
        line.extend_from_slice(text);
        line.push(b'\n');
        match &mut self.to {
            To::Stdout => {
                let mut out = io::stdout().lock();
                out.write_all(&line)?;
                out.flush()?;
            }
            To::File { file, .. } => {
                let before = file.metadata()?.len();
                if let Err(error) = file.write_all(&line) {
                    // A part of a line would spoil the next one.
                    let _ = file.set_len(before);
                    return Err(error);
                }
            }
        }
        self.serial = serial;
        Ok(())
    }
}

/// What logrotate renamed a log to last: it appends a number or a date.
fn rotated(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.as_encoded_bytes();
    let folder = match path.parent()? {
        folder if folder.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    };
    let mut latest: Option<(SystemTime, PathBuf)> = None;
    for entry in folder.read_dir().ok()?.flatten() {
        let other = entry.file_name();
        let more = other.as_encoded_bytes().strip_prefix(name);
        if !more.is_some_and(|more| more.starts_with(b".") || more.starts_with(b"-")) {
            continue;
        }
        let data = entry.metadata().ok().filter(|data| data.is_file());
        let written = data.and_then(|data| data.modified().ok());
        if written > latest.as_ref().map(|(written, _)| *written) {
            latest = written.map(|written| (written, entry.path()));
        }
    }
    latest.map(|(_, path)| path)
}

/// The highest numbers in a log.
fn last_numbers(path: &Path) -> io::Result<Last> {
    let mut last = Last::default();
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if let Some((_, stamp)) = text.split_once("msg=audit(") {
            last.serial = last.serial.max(number_after(stamp, ":"));
            last.session = last.session.max(number_after(stamp, " session="));
        }
        line.clear();
    }
    Ok(last)
}

/// The number behind the first `word`; 0 if there is none.
fn number_after(text: &str, word: &str) -> u64 {
    let Some((_, rest)) = text.split_once(word) else {
        return 0;
    };
    let end = rest.find(|digit: char| !digit.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const TIME: u64 = 1_747_758_000_123_456_789;

    #[test]
    fn a_line_is_as_auditd_writes_it_and_numbers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (mut log, last) = Log::append(&path).unwrap();
        assert_eq!(last, Last::default());
        log.write(TIME, b"device=\"0000:01:00.0\" op=open session=7 x")
            .unwrap();
        log.write(TIME, b"device=\"0000:01:00.0\" op=read session=? y")
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text.lines().next(),
            Some(
                r#"type=UNKNOWN[1340] msg=audit(1747758000.123:1): device="0000:01:00.0" op=open session=7 x"#
            )
        );
        let (_, last) = Log::append(&path).unwrap();
        assert_eq!((last.serial, last.session), (2, 7));

        // Rotated, in this run and before the next one.
        fs::rename(&path, folder.path().join("log.1")).unwrap();
        assert!(log.reopen().unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        let (mut next, last) = Log::append(&path).unwrap();
        assert_eq!((last.serial, last.session), (2, 7));
        next.write(0, b"z").unwrap();
        log.write(0, b"z").unwrap();
        let line = "type=UNKNOWN[1340] msg=audit(0.000:3): z\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), line.repeat(2));
        assert!(!log.reopen().unwrap());
    }

    #[test]
    fn numbers_go_on_however_logs_are_rotated() {
        let origin = Origin {
            host: "vmhost17".into(),
            release: "6.12.0".into(),
        };
        // With a number or a date; an older log has lower numbers.
        for (new, old) in [("log.1", "log.2"), ("log-20260102", "log-20260101")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("log");
            let numbers = || {
                let (log, last) = Log::append(&path).unwrap();
                (log, (last.serial, last.session))
            };
            let record = "type=UNKNOWN[1340] msg=audit(1.000:3): op=open session=2 x\n";
            fs::write(folder.path().join(old), record).unwrap();
            let long_ago = SystemTime::UNIX_EPOCH;
            let file = File::options().write(true).open(folder.path().join(old));
            file.unwrap().set_modified(long_ago).unwrap();
            fs::write(folder.path().join("logs"), record.replace('2', "99")).unwrap();

            let (mut log, last) = numbers();
            assert_eq!(last, (3, 2), "{new}");
            log.begin(TIME, &origin, 2).unwrap();
            assert_eq!(numbers().1, (4, 2), "{new}");
            log.write(TIME, b"op=open session=7 x").unwrap();

            // Nothing happens after the rotation, and the program is started again.
            fs::rename(&path, folder.path().join(new)).unwrap();
            assert!(log.reopen().unwrap());
            assert_eq!(numbers().1, (5, 7), "{new}");
            log.begin(TIME, &origin, 7).unwrap();
            assert_eq!(numbers().1, (6, 7), "{new}");
            // A first line of before has no number of a session.
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace(" session=7", "")).unwrap();
            assert_eq!(numbers().1, (6, 7), "{new}");
        }
    }

    #[test]
    fn a_log_begins_with_the_names_of_machine_and_kernel() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/sys/kernel");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("osrelease"), "6.12.0\n").unwrap();
        fs::write(folder.join("hostname"), "no word\n").unwrap();
        assert_eq!(Origin::find(root.path()), None);
        fs::write(folder.join("hostname"), "vmhost17\n").unwrap();
        let origin = Origin::find(root.path()).unwrap();

        let path = root.path().join("log");
        let (mut log, _) = Log::append(&path).unwrap();
        log.begin(TIME, &origin, 7).unwrap();
        log.write(TIME, b"x").unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let start = "node=vmhost17 type=DAEMON_START msg=audit(1747758000.123:1): op=start ver=";
        assert!(text.starts_with(start), "{text}");
        assert!(
            text.contains(" kernel=6.12.0 ")
                && text.contains(" session=7 ")
                && text.contains(".123:2): x\n"),
            "{text}"
        );
    }

    #[test]
    fn a_line_that_was_not_written_has_no_number() {
        // Every write fails there.
        let mut log = Log {
            to: To::File {
                path: "/dev/full".into(),
                file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            },
            serial: 5,
        };
        assert!(log.write(TIME, b"x").is_err());
        assert_eq!(log.serial, 5);
    }
}
