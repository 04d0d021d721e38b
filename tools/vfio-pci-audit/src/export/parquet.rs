// SPDX-License-Identifier: GPL-2.0

//! Rows as tables of Parquet.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::ColumnPath;

use super::Sink;
use crate::rows::{AccessRow, SessionRow};
use crate::time::Stamp;

/// Rows of a group, which are kept in memory until it is written. Engines read groups in parallel,
/// and want them no smaller.
const GROUP: usize = 1 << 17;
/// The most different texts that are kept to be written again.
const MAX_TEXTS: usize = 1 << 16;

/// What a column has. All may have nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Time,
    /// A number of 64 bits.
    Long,
    /// A number of 16 bits.
    Short,
    Flag,
}

use Kind::{Flag, Long, Short, Text, Time};

const ACCESSES: &[(&str, Kind)] = &[
    ("kind", Text),
    ("time", Time),
    ("host", Text),
    ("device", Text),
    ("session", Long),
    ("serial", Long),
    ("op", Text),
    ("result", Text),
    ("offset", Short),
    ("size", Short),
    ("count", Long),
    ("lost", Long),
    ("register", Text),
    ("vm", Text),
    ("uuid", Text),
    ("program", Text),
    ("pid", Long),
];

const SESSIONS: &[(&str, Kind)] = &[
    ("first", Time),
    ("last", Time),
    ("host", Text),
    ("device", Text),
    ("session", Long),
    ("complete", Flag),
    ("several", Flag),
    ("ended_with_others", Flag),
    ("recorded", Long),
    ("missing_records", Long),
    ("holders", Long),
    ("vm", Text),
    ("uuid", Text),
    ("program", Text),
    ("pid", Long),
    ("reads", Long),
    ("writes", Long),
    ("blocked_reads", Long),
    ("blocked_writes", Long),
    ("records", Long),
    ("suppressed", Long),
    ("lost", Long),
];

/// A value of a row.
enum Cell<'a> {
    Text(Option<&'a str>),
    Number(Option<u64>),
    Flag(bool),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'a> From<Option<&'a str>> for Cell<'a> {
    fn from(text: Option<&'a str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Option<String>> for Cell<'a> {
    fn from(text: &'a Option<String>) -> Self {
        Self::Text(text.as_deref())
    }
}

impl From<Stamp> for Cell<'_> {
    fn from(stamp: Stamp) -> Self {
        Self::Number(Some(stamp.0))
    }
}

impl From<u64> for Cell<'_> {
    fn from(number: u64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<u64>> for Cell<'_> {
    fn from(number: Option<u64>) -> Self {
        Self::Number(number)
    }
}

impl From<Option<usize>> for Cell<'_> {
    fn from(number: Option<usize>) -> Self {
        Self::Number(number.map(|number| number as u64))
    }
}

impl From<bool> for Cell<'_> {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

/// The rows of accesses.
pub(super) struct Accesses<W>(Table<W>);

impl<W: Write> Accesses<W> {
    pub(super) fn new(out: W) -> Result<Self> {
        Ok(Self(Table::new("access", ACCESSES, out)?))
    }
}

impl<W: Write> Sink for Accesses<W> {
    fn access(&mut self, row: &AccessRow<'_>) -> Result<()> {
        let who = row.who;
        self.0.push([
            row.kind.into(),
            row.time.into(),
            row.host.into(),
            (&*row.device).into(),
            row.session.into(),
            row.serial.into(),
            row.op.into(),
            row.result.into(),
            row.offset.into(),
            row.size.into(),
            row.count.into(),
            row.lost.into(),
            row.register.into(),
            (&who.vm).into(),
            (&who.uuid).into(),
            (&who.program).into(),
            who.pid.into(),
        ])
    }

    fn end(&mut self) -> Result<()> {
        self.0.end()
    }
}

/// The rows of sessions.
pub(super) struct Sessions<W>(Table<W>);

impl<W: Write> Sessions<W> {
    pub(super) fn new(out: W) -> Result<Self> {
        Ok(Self(Table::new("session", SESSIONS, out)?))
    }
}

impl<W: Write> Sink for Sessions<W> {
    fn session(&mut self, row: &SessionRow<'_>) -> Result<()> {
        let who = row.who;
        let totals = row.totals.as_ref();
        self.0.push([
            row.first.into(),
            row.last.into(),
            row.host.into(),
            (&*row.device).into(),
            row.session.into(),
            row.complete.into(),
            row.several.into(),
            row.ended_with_others.into(),
            row.recorded.into(),
            row.missing_records.into(),
            row.holders.into(),
            (&who.vm).into(),
            (&who.uuid).into(),
            (&who.program).into(),
            who.pid.into(),
            totals.map(|totals| totals.reads).into(),
            totals.map(|totals| totals.writes).into(),
            totals.map(|totals| totals.blocked_reads).into(),
            totals.map(|totals| totals.blocked_writes).into(),
            totals.map(|totals| totals.records).into(),
            totals.map(|totals| totals.suppressed).into(),
            totals.map(|totals| totals.lost).into(),
        ])
    }

    fn end(&mut self) -> Result<()> {
        self.0.end()
    }
}

/// What the writer has written so far. It wants to own something that threads may share, which
/// standard output is not.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The values of a column that are not written yet. Those that are nothing have a level of 0.
#[derive(Default)]
struct Column {
    levels: Vec<i16>,
    texts: Vec<ByteArray>,
    longs: Vec<i64>,
    shorts: Vec<i32>,
    flags: Vec<bool>,
}

struct Table<W> {
    kinds: &'static [(&'static str, Kind)],
    columns: Vec<Column>,
    rows: usize,
    texts: HashMap<String, ByteArray>,
    writer: Option<SerializedFileWriter<Written>>,
    written: Written,
    out: W,
}

impl<W: Write> Table<W> {
    fn new(name: &str, kinds: &'static [(&'static str, Kind)], out: W) -> Result<Self> {
        let mut schema = format!("message {name} {{");
        let mut properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default()));
        for (name, kind) in kinds {
            schema += &match kind {
                Text => format!(" optional binary {name} (STRING);"),
                Time => format!(" optional int64 {name} (TIMESTAMP(MILLIS,true));"),
                Long => format!(" optional int64 {name} (INTEGER(64,false));"),
                Short => format!(" optional int32 {name} (INTEGER(16,false));"),
                Flag => format!(" optional boolean {name};"),
            };
            // Each value is a little more than the one before.
            if *kind == Time || *name == "serial" {
                let column = ColumnPath::from(*name);
                properties = properties
                    .set_column_dictionary_enabled(column.clone(), false)
                    .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
            }
        }
        let schema = parse_message_type(&(schema + " }"))?;
        let written = Written::default();
        let writer = SerializedFileWriter::new(
            written.clone(),
            Arc::new(schema),
            Arc::new(properties.build()),
        )?;
        Ok(Self {
            kinds,
            columns: kinds.iter().map(|_| Column::default()).collect(),
            rows: 0,
            texts: HashMap::new(),
            writer: Some(writer),
            written,
            out,
        })
    }

    fn push<const N: usize>(&mut self, row: [Cell<'_>; N]) -> Result<()> {
        debug_assert_eq!(N, self.kinds.len());
        let columns = self.columns.iter_mut().zip(self.kinds);
        for ((column, (_, kind)), cell) in columns.zip(row) {
            let there = match (cell, kind) {
                (Cell::Text(Some(text)), _) => {
                    column.texts.push(kept(&mut self.texts, text));
                    true
                }
                (Cell::Number(Some(number)), Short) => {
                    column.shorts.push(number as i32);
                    true
                }
                (Cell::Number(Some(number)), _) => {
                    column.longs.push(number as i64);
                    true
                }
                (Cell::Flag(flag), _) => {
                    column.flags.push(flag);
                    true
                }
                (Cell::Text(None) | Cell::Number(None), _) => false,
            };
            column.levels.push(there.into());
        }
        self.rows += 1;
        match self.rows {
            GROUP => self.write_group(),
            _ => Ok(()),
        }
    }

    /// Write the rows that are kept as a group.
    fn write_group(&mut self) -> Result<()> {
        let writer = self.writer.as_mut().context("the table has its end")?;
        let mut group = writer.next_row_group()?;
        for (column, (_, kind)) in self.columns.iter_mut().zip(self.kinds) {
            let Column {
                levels,
                texts,
                longs,
                shorts,
                flags,
            } = std::mem::take(column);
            let mut place = group.next_column()?.context("a column too many")?;
            let levels = Some(&levels[..]);
            match kind {
                Text => place
                    .typed::<ByteArrayType>()
                    .write_batch(&texts, levels, None)?,
                Time | Long => place
                    .typed::<Int64Type>()
                    .write_batch(&longs, levels, None)?,
                Short => place
                    .typed::<Int32Type>()
                    .write_batch(&shorts, levels, None)?,
                Flag => place
                    .typed::<BoolType>()
                    .write_batch(&flags, levels, None)?,
            };
            place.close()?;
        }
        group.close()?;
        self.rows = 0;
        self.out.write_all(&self.written.take())?;
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if self.rows > 0 {
            self.write_group()?;
        }
        if let Some(writer) = self.writer.take() {
            writer.close()?;
        }
        self.out.write_all(&self.written.take())?;
        Ok(self.out.flush()?)
    }
}

/// A text to be written. There are few different ones, which need not be made again.
fn kept(texts: &mut HashMap<String, ByteArray>, text: &str) -> ByteArray {
    if let Some(kept) = texts.get(text) {
        return kept.clone();
    }
    if texts.len() >= MAX_TEXTS {
        texts.clear();
    }
    let kept = ByteArray::from(text);
    texts.insert(text.to_owned(), kept.clone());
    kept
}
