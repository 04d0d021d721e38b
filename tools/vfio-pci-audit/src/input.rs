// SPDX-License-Identifier: GPL-2.0

//! Which logs to read, in which order, and what they are packed in.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure, Context, Result};
use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use tempfile::NamedTempFile;

use crate::cli::Usage;
use crate::journalctl;
use crate::record::number;

/// The configuration that names the system's log.
const AUDITD_CONF: &str = "etc/audit/auditd.conf";
/// Where it is unless that says otherwise.
const AUDIT_LOG: &str = "var/log/audit/audit.log";
/// What the names of packed logs end with.
const PACKED: [&str; 9] = [
    ".gz", ".xz", ".zst", ".bz2", ".lz4", ".Z", ".lz", ".lzo", ".lzma",
];
/// What is not unpacked here: how it begins, what packed it, and what unpacks it.
const OTHERS: [(&[u8], &str, &str); 6] = [
    (b"BZh", "bzip2", "bzcat"),
    (b"\x04\x22\x4d\x18", "lz4", "lz4cat"),
    (b"\x1f\x9d", "compress", "zcat"),
    (b"LZIP", "lzip", "lzip -dc"),
    (b"\x89LZO\0", "lzop", "lzop -dc"),
    (b"\x5d\0\0", "lzma", "xzcat"),
];
/// Large enough for reading to cost nothing beside what is done with the bytes.
const CHUNK: usize = 256 << 10;

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file, packed or not.
    File(PathBuf),
    /// Standard input.
    Standard,
    /// A copy of something that can be read once only, and what that is.
    Kept(Box<Source>, PathBuf),
    /// What journald took from the kernel, as far as it matters.
    Journal,
}

impl Source {
    /// How messages name it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Standard => "standard input".to_owned(),
            Self::Kept(of, _) => of.name(),
            Self::Journal => "the journal".to_owned(),
        }
    }

    /// How many bytes it has on disk; nothing if it is no plain file.
    pub fn size(&self) -> Option<u64> {
        match self {
            Self::File(path) | Self::Kept(_, path) => {
                let data = fs::metadata(path).ok()?;
                data.is_file().then_some(data.len())
            }
            Self::Standard | Self::Journal => None,
        }
    }

    /// Whether it is a plain file, which can be read more than once.
    pub fn is_file(&self) -> bool {
        self.size().is_some()
    }

    /// Whether it is the journal, of which only some entries are records.
    pub fn is_journal(&self) -> bool {
        match self {
            Self::Journal => true,
            Self::Kept(of, _) => of.is_journal(),
            Self::File(_) | Self::Standard => false,
        }
    }

    /// A copy on disk, unpacked; it goes away with the file.
    pub fn keep(&self) -> Result<(Self, NamedTempFile)> {
        let mut file = NamedTempFile::new()?;
        io::copy(&mut self.open(|raw| raw)?, &mut file)?;
        Ok((
            Self::Kept(Box::new(self.clone()), file.path().to_owned()),
            file,
        ))
    }

    /// Open it and decompress it. `counted` sees the bytes as they are on disk.
    pub fn open<R: Read + 'static>(
        &self,
        counted: impl FnOnce(Box<dyn Read>) -> R,
    ) -> Result<Box<dyn Read>> {
        let raw: Box<dyn Read> = match self {
            Self::File(path) | Self::Kept(_, path) => {
                ensure!(!path.is_dir(), "it is a folder");
                Box::new(File::open(path)?)
            }
            Self::Standard => Box::new(io::stdin()),
            Self::Journal => Box::new(journalctl::records()?),
        };
        unpack(BufReader::with_capacity(CHUNK, counted(raw)))
    }
}

/// All of a file, unpacked; `-` is standard input. For what is no log.
pub fn read_all(file: &Path) -> Result<Vec<u8>> {
    /// No dump of a machine comes near this.
    const MOST: u64 = 256 << 20;

    let source = match file.to_str() {
        Some("-") => Source::Standard,
        _ => Source::File(file.to_owned()),
    };
    let mut bytes = Vec::new();
    source.open(|raw| raw)?.take(MOST).read_to_end(&mut bytes)?;
    ensure!((bytes.len() as u64) < MOST, "it is too large");
    Ok(bytes)
}

/// Recognise by its first bytes how a stream is packed.
fn unpack(mut packed: impl BufRead + 'static) -> Result<Box<dyn Read>> {
    let start = packed.fill_buf()?;
    Ok(match start {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(CHUNK, MultiGzDecoder::new(packed))),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Box::new(BufReader::with_capacity(
            CHUNK,
            XzDecoder::new_multi_decoder(packed),
        )),
        // The second is what some compressors put in front: a part to be skipped.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Box::new(
            BufReader::with_capacity(CHUNK, zstd::Decoder::with_buffer(packed)?),
        ),
        _ => {
            if let Some((_, by, with)) = OTHERS.iter().find(|(first, ..)| start.starts_with(first))
            {
                bail!("it is compressed with {by}: use the output of {with}");
            }
            Box::new(packed)
        }
    })
}

/// What the user named. Nothing at all is the system's log, or what the journal has where there is
/// none.
///
/// A folder stands for the logs in it; `-` for standard input.
/// `root` is where the files of the system are.
pub fn sources(named: &[PathBuf], root: &Path) -> Result<Vec<Source>> {
    if named.is_empty() {
        return system(root);
    }
    let mut sources = Vec::new();
    for path in named {
        if path == Path::new("-") {
            ensure!(
                !sources.contains(&Source::Standard),
                Usage("standard input can be read once only".to_owned())
            );
            sources.push(Source::Standard);
        } else if path.is_dir() {
            let logs = family(&path.join("audit.log"));
            let logs = logs.with_context(|| path.display().to_string())?;
            sources.extend(logs.into_iter().map(Source::File));
        } else {
            sources.push(Source::File(path.clone()));
        }
    }
    Ok(sources)
}

/// What the system keeps.
fn system(root: &Path) -> Result<Vec<Source>> {
    let log = root.join(system_log(&root.join(AUDITD_CONF)));
    match family(&log) {
        Ok(logs) => Ok(logs.into_iter().map(Source::File).collect()),
        Err(error) if not_there(&error) && journalctl::is_there() => Ok(vec![Source::Journal]),
        Err(error) => Err(error.context(format!(
            "{}: name a log, or run this as a user who may read it",
            log.display()
        ))),
    }
}

/// Whether the error is that a log does not exist, and not that this user may not read it.
fn not_there(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<io::Error>();
    cause.is_none_or(|cause| cause.kind() == io::ErrorKind::NotFound)
}

/// The log that auditd was told to write.
fn system_log(conf: &Path) -> PathBuf {
    let named = fs::read_to_string(conf).ok().and_then(|text| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == "log_file").then(|| PathBuf::from(value.trim()))
        })
    });
    named.unwrap_or_else(|| AUDIT_LOG.into())
}

/// A log and those that were rotated away, the oldest first.
pub(crate) fn family(log: &Path) -> Result<Vec<PathBuf>> {
    let folder = log.parent().context("no folder")?;
    let base = log.file_name().context("no file name")?.to_string_lossy();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(age) = age(&base, &name.to_string_lossy()) else {
            continue;
        };
        if entry.path().is_file() {
            found.push((age, entry.path()));
        }
    }
    ensure!(!found.is_empty(), "there is no {base}");
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// What rotated logs are sorted by, the oldest first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    /// A date, in whatever form logrotate was told to write it.
    Date(String),
    /// How many were rotated since.
    Number(Reverse<u64>),
    /// It is the log itself.
    Now,
}

/// The age of a file; nothing if it is neither the log nor one that was rotated away.
fn age(base: &str, name: &str) -> Option<Age> {
    /// Longer ones are dates without anything between their parts.
    const DIGITS: usize = 5;

    let rest = name.strip_prefix(base)?;
    let unpacked = PACKED.iter().find_map(|end| rest.strip_suffix(end));
    let rest = unpacked.unwrap_or(rest);
    if rest.is_empty() {
        return Some(Age::Now);
    }
    let stamp = rest.strip_prefix(['.', '-', '_'])?;
    match number(stamp) {
        Some(number) if rest.starts_with('.') && stamp.len() <= DIGITS => {
            return Some(Age::Number(Reverse(number)));
        }
        _ => {}
    }
    let is_date = stamp.starts_with(|first: char| first.is_ascii_digit())
        && stamp
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b".-_:T".contains(&byte));
    // What is packed was rotated, whatever its name says.
    (is_date || unpacked.is_some()).then(|| Age::Date(stamp.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(source: &Source) -> Result<String> {
        let mut text = String::new();
        source.open(|raw| raw)?.read_to_string(&mut text)?;
        Ok(text)
    }

    fn names(sources: &[Source], folder: &Path) -> Vec<String> {
        let prefix = format!("{}/", folder.display());
        sources
            .iter()
            .map(|source| source.name().replace(&prefix, ""))
            .collect()
    }

    #[test]
    fn rotated_logs_come_in_the_order_of_time() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "audit.log",
            "audit.log.1",
            "audit.log.2.gz",
            "audit.log.10.xz",
            "audit.log-20250520.gz",
            "audit.log-20250519.gz",
            "audit.log-20250519-16",
            "audit.log.3.bz2",
            "audit.log.4.zst",
            "audit.log-oldest.gz",
            "audit.log.bak",
            "audit.log.1.swp",
            "audit.log.1.gz.sha256",
            "audit.log-x",
            "audit.logs",
            "other.log",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join("audit.log.3")).unwrap();
        let expected = [
            "audit.log-20250519.gz",
            "audit.log-20250519-16",
            "audit.log-20250520.gz",
            "audit.log-oldest.gz",
            "audit.log.10.xz",
            "audit.log.4.zst",
            "audit.log.3.bz2",
            "audit.log.2.gz",
            "audit.log.1",
            "audit.log",
        ];
        let found = sources(&[folder.path().to_owned()], Path::new("/")).unwrap();
        assert_eq!(names(&found, folder.path()), expected);
        // A log that is named is that log and no other.
        let log = folder.path().join("audit.log");
        assert_eq!(
            sources(std::slice::from_ref(&log), Path::new("/")).unwrap(),
            [Source::File(log)]
        );
    }

    #[test]
    fn dates_are_in_any_form() {
        for name in [
            "audit.log-20250519",
            "audit.log-2025-05-19.gz",
            "audit.log.2025-05-19",
            "audit.log_2025-05-19T16:20.xz",
            "audit.log-1747758000.zst",
            "audit.log.20250519",
        ] {
            assert!(
                matches!(age("audit.log", name), Some(Age::Date(_))),
                "{name}"
            );
        }
        assert!(age("audit.log", "audit.log.1") > age("audit.log", "audit.log.2"));
        assert!(age("audit.log", "audit.log.999") > age("audit.log", "audit.log.20250519"));
    }

    #[test]
    fn the_configuration_names_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("auditd.conf");
        assert_eq!(system_log(&conf), Path::new(AUDIT_LOG));
        fs::write(&conf, "# log_file = /x\nlog_file =/srv/a.log\n").unwrap();
        assert_eq!(system_log(&conf), Path::new("/srv/a.log"));
    }

    #[test]
    fn what_is_packed_is_recognised_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            Source::File(path)
        };
        let gz = |text: &[u8]| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(text).unwrap();
            packed.finish().unwrap()
        };
        let xz = |text: &[u8]| {
            let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
            packed.write_all(text).unwrap();
            packed.finish().unwrap()
        };
        assert_eq!(read(&at("plain", b"one\n")).unwrap(), "one\n");
        assert_eq!(read(&at("empty", b"")).unwrap(), "");
        // Two streams behind each other are what two compressors that append make.
        assert_eq!(
            read(&at("gz", &[gz(b"one\n"), gz(b"two\n")].concat())).unwrap(),
            "one\ntwo\n"
        );
        assert_eq!(
            read(&at("xz", &[xz(b"one\n"), xz(b"two\n")].concat())).unwrap(),
            "one\ntwo\n"
        );
        let zst = |text: &[u8]| zstd::encode_all(text, 1).unwrap();
        let skipped = b"\x50\x2a\x4d\x18\x04\0\0\0skip";
        assert_eq!(
            read(&at(
                "zst",
                &[&skipped[..], &zst(b"one\n"), &zst(b"two\n")].concat()
            ))
            .unwrap(),
            "one\ntwo\n"
        );
        assert!(read(&at("cut", &gz(b"one\n")[..12])).is_err());
        assert!(read(&at("cut", &zst(b"one\n")[..9])).is_err());
        for (bytes, _, program) in OTHERS {
            let error = read(&at("other", bytes)).unwrap_err().to_string();
            assert!(error.contains(program), "{error}");
        }
        assert!(read(&Source::File(folder.path().to_owned())).is_err());
    }
}
