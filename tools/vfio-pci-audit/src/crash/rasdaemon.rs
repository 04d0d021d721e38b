// SPDX-License-Identifier: GPL-2.0

//! rasdaemon's database, an SQLite file.
//!
//! Its tables are there if it was built to watch what they are of, so that each may be missing.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::error::{DeviceError, Kind, Severity};
use super::moment::Moment;

/// A table, and how its rows are read.
struct Table {
    name: &'static str,
    columns: &'static str,
    read: fn(&[String]) -> DeviceError,
}

const TABLES: [Table; 2] = [
    Table {
        name: "aer_event",
        columns: "timestamp, dev_name, err_type, err_msg",
        read: aer,
    },
    Table {
        name: "mce_record",
        columns: "timestamp, error_msg, mcistatus_msg, bank_name, cpu",
        read: machine_check,
    },
];

/// Whether a file is an SQLite database.
pub fn is_database(path: &Path) -> Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(16).read_to_end(&mut start)?;
    Ok(start == b"SQLite format 3\0")
}

/// Read the errors of a database, which is not changed.
pub fn read(path: &Path) -> Result<Vec<DeviceError>> {
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut errors = Vec::new();
    for table in TABLES {
        let there: i64 = database
            .query_row(
                "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?1",
                [table.name],
                |row| row.get(0),
            )
            .context("it is damaged")?;
        if there == 0 {
            continue;
        }
        let query = format!(
            "SELECT id, {} FROM {} ORDER BY id",
            table.columns, table.name
        );
        let mut query = database
            .prepare(&query)
            .with_context(|| format!("table {}", table.name))?;
        let columns = query.column_count();
        let mut rows = query.query([])?;
        while let Some(row) = rows.next().context("it is damaged")? {
            let values: Vec<String> = (1..columns).map(|at| text(row, at)).collect();
            let mut error = (table.read)(&values);
            error.from = format!("{} {} {}", path.display(), table.name, text(row, 0));
            errors.push(error);
        }
    }
    Ok(errors)
}

/// A value, whatever its type.
fn text(row: &Row<'_>, at: usize) -> String {
    match row.get_ref(at) {
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Real(number)) => number.to_string(),
        Ok(ValueRef::Null) | Err(_) => String::new(),
    }
}

/// `2025-05-20 18:20:00 +0200`, to the second.
fn moment(text: &str) -> Moment {
    let zoned = jiff::Zoned::strptime("%Y-%m-%d %H:%M:%S %z", text.trim()).ok();
    let wall = zoned.and_then(|zoned| zoned.timestamp().as_microsecond().try_into().ok());
    Moment {
        wall,
        within: 1_000_000,
        ..Moment::default()
    }
}

fn error(moment: Moment, kind: Kind, severity: Severity, details: &[&String]) -> DeviceError {
    let details = details.iter().filter(|detail| !detail.is_empty());
    DeviceError {
        moment,
        kind,
        severity,
        device: None,
        port: None,
        details: details.map(|detail| (*detail).clone()).collect(),
        from: String::new(),
    }
}

fn aer(values: &[String]) -> DeviceError {
    let [time, device, severity, message] = values else {
        return error(Moment::default(), Kind::Aer, Severity::NonFatal, &[]);
    };
    DeviceError {
        device: device.trim().parse().ok(),
        ..error(
            moment(time),
            Kind::Aer,
            Severity::read(severity).unwrap_or(Severity::NonFatal),
            &[message],
        )
    }
}

fn machine_check(values: &[String]) -> DeviceError {
    let [time, message, status, bank, cpu] = values else {
        return error(Moment::default(), Kind::MachineCheck, Severity::Fatal, &[]);
    };
    let cpu = format!("CPU {cpu}");
    error(
        moment(time),
        Kind::MachineCheck,
        Severity::read(status).unwrap_or(Severity::Corrected),
        &[message, status, bank, &cpu],
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A database as rasdaemon 0.6.8 to 0.8 makes it, of what is asked for.
    pub(crate) fn database(path: &Path, rows: &[(&str, &str, &str, &str)]) {
        let database = Connection::open(path).unwrap();
        database
            .execute_batch(
                "CREATE TABLE aer_event (id INTEGER PRIMARY KEY, timestamp TEXT, dev_name TEXT, \
                 err_type TEXT, err_msg TEXT);
                 CREATE TABLE mce_record (id INTEGER PRIMARY KEY, timestamp TEXT, mcgcap INTEGER, \
                 mcgstatus INTEGER, status INTEGER, addr INTEGER, misc INTEGER, ip INTEGER, tsc \
                 INTEGER, walltime INTEGER, cpu INTEGER, cpuid INTEGER, apicid INTEGER, socketid \
                 INTEGER, cs INTEGER, bank INTEGER, cpuvendor INTEGER, bank_name TEXT, error_msg \
                 TEXT, mcgstatus_msg TEXT, mcistatus_msg TEXT, mcastatus_msg TEXT, user_action \
                 TEXT, mc_location TEXT);
                 INSERT INTO mce_record (timestamp, cpu, bank_name, error_msg, mcistatus_msg) \
                 VALUES ('2025-05-20 18:20:05 +0200', 3, 'IIO unit', 'Generic', \
                 'Uncorrected_error, Fatal');",
            )
            .unwrap();
        for row in rows {
            database
                .execute(
                    "INSERT INTO aer_event (timestamp, dev_name, err_type, err_msg) VALUES (?1, \
                     ?2, ?3, ?4)",
                    [row.0, row.1, row.2, row.3],
                )
                .unwrap();
        }
    }

    #[test]
    fn rows_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ras.db");
        database(
            &path,
            &[
                (
                    "2025-05-20 18:20:00 +0200",
                    "0000:01:00.0",
                    "Uncorrected (Fatal)",
                    "Malformed TLP",
                ),
                ("never", "no device", "", ""),
            ],
        );
        assert!(is_database(&path).unwrap());
        let errors = read(&path).unwrap();
        assert_eq!(errors.len(), 3);
        assert_eq!(errors[0].moment.wall, Some(1_747_758_000_000_000));
        assert_eq!(errors[0].device, Some("0000:01:00.0".parse().unwrap()));
        assert_eq!(errors[0].severity, Severity::Fatal);
        assert_eq!(errors[0].details, ["Malformed TLP"]);
        assert_eq!((errors[1].moment.wall, errors[1].device), (None, None));
        assert_eq!(errors[2].kind, Kind::MachineCheck);
        assert_eq!(errors[2].severity, Severity::Fatal);
        assert!(
            errors[2].from.ends_with("mce_record 1"),
            "{}",
            errors[2].from
        );
    }

    #[test]
    fn other_databases_and_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE x (y)").unwrap();
        drop(other);
        assert_eq!(read(&path).unwrap(), []);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, b"text").unwrap();
        assert!(!is_database(&path).unwrap());
    }

    #[test]
    fn another_layout_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ras.db");
        let other = Connection::open(&path).unwrap();
        other
            .execute_batch("CREATE TABLE aer_event (id INTEGER PRIMARY KEY, at TEXT)")
            .unwrap();
        drop(other);
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("aer_event"), "{error}");
    }
}
