// SPDX-License-Identifier: GPL-2.0

//! A log that grows, and is rotated as auditd and logrotate do it.

use std::cell::Cell;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{self, Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::input;

/// How often it is looked whether there is more.
const POLL: Duration = Duration::from_millis(200);

/// What tells a file from others.
type Id = (u64, u64);

fn id(data: &Metadata) -> Id {
    (data.dev(), data.ino())
}

/// Reads a log, waits at its end for more, and goes on with the file that takes its place.
pub(super) struct Tail {
    path: PathBuf,
    file: File,
    id: Id,
    /// How far the file was read.
    at: u64,
    /// Whether what was read ends within a line.
    within_line: bool,
    /// The file has a successor; what is left of it is read first.
    finishing: bool,
    caught_up: Rc<Cell<bool>>,
    deadline: Option<Instant>,
    /// Gets what there is to say.
    warn: fn(&str),
}

impl Tail {
    /// Begin at the start of a log. `caught_up` becomes true once everything that it has so far is
    /// read. It ends at the deadline.
    pub(super) fn new(
        path: &Path,
        caught_up: Rc<Cell<bool>>,
        deadline: Option<Instant>,
        warn: fn(&str),
    ) -> Result<Self> {
        let path = path::absolute(path)?;
        let file = File::open(&path)?;
        let id = id(&file.metadata()?);
        Ok(Self {
            path,
            file,
            id,
            at: 0,
            within_line: false,
            finishing: false,
            caught_up,
            deadline,
            warn,
        })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// At the end of the file: look what has become of the log. True if there may be more at once.
    fn look(&mut self) -> io::Result<bool> {
        if self.finishing {
            return self.succeed();
        }
        match fs::metadata(&self.path) {
            Ok(now) if id(&now) != self.id => {
                // More may have been written before the other file took its place.
                self.finishing = true;
                Ok(true)
            }
            Ok(now) if now.len() < self.at => {
                (self.warn)(&format!("{} was truncated", self.name()));
                self.at = self.file.seek(SeekFrom::Start(0))?;
                Ok(true)
            }
            Ok(_) => Ok(false),
            // Between the two steps of a rotation.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Go on with the file that was begun next: there may have been several rotations.
    fn succeed(&mut self) -> io::Result<bool> {
        let logs = input::family(&self.path).unwrap_or_default();
        let files: Vec<(PathBuf, Id)> = logs
            .into_iter()
            .filter_map(|path| {
                let id = id(&fs::metadata(&path).ok()?);
                Some((path, id))
            })
            .collect();
        let ours = files.iter().position(|(_, id)| *id == self.id);
        let next = match ours {
            Some(at) => files.get(at + 1),
            None => files.last().filter(|(path, _)| *path == self.path),
        };
        let Some((path, expected)) = next else {
            return Ok(false);
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Another rotation may have come in between: look again.
        let id = id(&file.metadata()?);
        if id != *expected {
            return Ok(true);
        }
        if ours.is_none() {
            let name = self.name();
            (self.warn)(&format!(
                "{name} was replaced, and the file before it is gone: records may be missing"
            ));
        }
        (self.file, self.id, self.at, self.finishing) = (file, id, 0, false);
        Ok(true)
    }
}

impl Read for Tail {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // The start of a file does not go on with the end of another.
            if self.at == 0 && self.within_line && !buffer.is_empty() {
                self.within_line = false;
                buffer[0] = b'\n';
                return Ok(1);
            }
            let read = self.file.read(buffer)?;
            if read > 0 {
                self.at += read as u64;
                self.within_line = buffer[read - 1] != b'\n';
                return Ok(read);
            }
            if self.look()? {
                continue;
            }
            self.caught_up.set(true);
            let left = self
                .deadline
                .map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(0);
            }
            thread::sleep(left.unwrap_or(POLL).min(POLL));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    /// A log in a folder of its own, and what is read of it whenever it is asked.
    struct Log {
        folder: tempfile::TempDir,
        tail: Tail,
    }

    impl Log {
        fn new(text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("audit.log");
            fs::write(&path, text).unwrap();
            // It is at its deadline, so that it ends where it would wait.
            let tail = Tail::new(&path, Rc::default(), Some(Instant::now()), |_| ()).unwrap();
            Self { folder, tail }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn append(&self, name: &str, text: &str) {
            let mut file = File::options()
                .create(true)
                .append(true)
                .open(self.path(name))
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rotate(&self) {
            for number in (1..5).rev() {
                let old = self.path(&format!("audit.log.{number}"));
                if old.exists() {
                    fs::rename(old, self.path(&format!("audit.log.{}", number + 1))).unwrap();
                }
            }
            fs::rename(self.path("audit.log"), self.path("audit.log.1")).unwrap();
        }

        fn read(&mut self) -> String {
            let mut text = String::new();
            self.tail.read_to_string(&mut text).unwrap();
            text
        }
    }

    #[test]
    fn a_log_grows() {
        let mut log = Log::new("a\n");
        assert!(!log.tail.caught_up.get());
        assert_eq!(log.read(), "a\n");
        assert!(log.tail.caught_up.get());
        log.append("audit.log", "b");
        assert_eq!(log.read(), "b");
        log.append("audit.log", "\nc\n");
        assert_eq!(log.read(), "\nc\n");
    }

    #[test]
    fn a_log_is_rotated_once_and_several_times() {
        let mut log = Log::new("a\n");
        assert_eq!(log.read(), "a\n");
        log.append("audit.log", "b\n");
        log.rotate();
        // Between the two steps of a rotation there is no log.
        assert_eq!(log.read(), "b\n");
        log.append("audit.log", "c\n");
        assert_eq!(log.read(), "c\n");
        log.append("audit.log", "d");
        for text in ["e\n", "f\n", "g\n"] {
            log.rotate();
            log.append("audit.log", text);
        }
        // A line that was not ended does not go on in the next file.
        assert_eq!(log.read(), "d\ne\nf\ng\n");
    }

    #[test]
    fn a_log_is_replaced_or_truncated() {
        let mut log = Log::new("a\nb\n");
        assert_eq!(log.read(), "a\nb\n");
        fs::remove_file(log.path("audit.log")).unwrap();
        log.append("audit.log", "c\n");
        assert_eq!(log.read(), "c\n");
        log.append("audit.log", "more");
        assert_eq!(log.read(), "more");
        fs::write(log.path("audit.log"), "d\n").unwrap();
        assert_eq!(log.read(), "\nd\n");
    }
}
