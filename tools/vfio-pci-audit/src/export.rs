// SPDX-License-Identifier: GPL-2.0

//! Accesses and sessions as rows for the database that a fleet has.
//!
//! Logs are read twice: libvirt tells of a machine only after it opened its devices.

#[cfg(feature = "parquet")]
mod parquet;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};

use anyhow::{ensure, Context, Result};
use serde::Serialize;

use crate::by_session::BySession;
use crate::cli::{ExportArgs, ExportFormat, Rows, Usage};
use crate::known::machine::Machine;
use crate::registers::Registers;
use crate::rows::{AccessRow, SessionRow, Who};
use crate::scan::{Logs, Options, Scan};

/// Who held devices, by session.
pub(crate) fn holders(scan: &Scan) -> BySession<Who> {
    let mut holders = BySession::default();
    for (node, bdf, device) in scan.tally.devices() {
        let vms = scan.tally.vms(node);
        for session in device.sessions.recent() {
            let who = Who::new(session.holders.first(), session.vm(vms, bdf));
            holders.add(node, bdf, session, who);
        }
    }
    holders
}

/// Takes rows. By default it ignores them.
pub trait Sink {
    /// Take a row of accesses.
    fn access(&mut self, _row: &AccessRow<'_>) -> Result<()> {
        Ok(())
    }

    /// Take a row of a session.
    fn session(&mut self, _row: &SessionRow<'_>) -> Result<()> {
        Ok(())
    }

    /// Finish the output: there are no more rows.
    fn end(&mut self) -> Result<()>;
}

/// JSON, a row a line.
pub struct Ndjson<W> {
    /// The output.
    pub out: W,
    /// Whether rows of accesses are written.
    pub accesses: bool,
    /// Whether rows of sessions are written.
    pub sessions: bool,
}

impl<W: Write> Sink for Ndjson<W> {
    fn access(&mut self, row: &AccessRow<'_>) -> Result<()> {
        match self.accesses {
            true => line(row, &mut self.out),
            false => Ok(()),
        }
    }

    fn session(&mut self, row: &SessionRow<'_>) -> Result<()> {
        match self.sessions {
            true => line(row, &mut self.out),
            false => Ok(()),
        }
    }

    fn end(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Open the outputs that the arguments name.
pub fn sinks<'a>(args: &ExportArgs, out: &'a mut dyn Write) -> Result<Vec<Box<dyn Sink + 'a>>> {
    let kinds = [
        ("accesses", args.rows != Rows::Sessions),
        ("sessions", args.rows != Rows::Accesses),
    ];
    let Some(folder) = &args.out else {
        let (accesses, sessions) = (kinds[0].1, kinds[1].1);
        ensure!(
            args.format == ExportFormat::Ndjson || !(accesses && sessions),
            Usage(
                "accesses and sessions are two tables: use --rows accesses, --rows sessions or \
                 --out FOLDER"
                    .to_owned()
            )
        );
        return Ok(vec![sink(args.format, out, accesses, sessions)?]);
    };
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut sinks = Vec::new();
    for (kind, _) in kinds.into_iter().filter(|(_, wanted)| *wanted) {
        let file = folder.join(format!("{kind}.{}", args.format.extension()));
        let out = File::create(&file).with_context(|| file.display().to_string())?;
        let out = BufWriter::new(out);
        let accesses = kind == "accesses";
        sinks.push(sink(args.format, out, accesses, !accesses)?);
    }
    Ok(sinks)
}

fn sink<'a>(
    format: ExportFormat,
    out: impl Write + 'a,
    accesses: bool,
    sessions: bool,
) -> Result<Box<dyn Sink + 'a>> {
    Ok(match format {
        ExportFormat::Ndjson => Box::new(Ndjson {
            out,
            accesses,
            sessions,
        }),
        #[cfg(feature = "parquet")]
        ExportFormat::Parquet if accesses => Box::new(parquet::Accesses::new(out)?),
        #[cfg(feature = "parquet")]
        ExportFormat::Parquet => Box::new(parquet::Sessions::new(out)?),
        #[cfg(not(feature = "parquet"))]
        ExportFormat::Parquet => anyhow::bail!(
            "this program was built without Parquet: build it with \"cargo install --path \
             tools/vfio-pci-audit --features parquet\", or convert ndjson with a database"
        ),
    })
}

/// Write a row as JSON on a line of its own.
pub fn line(row: &impl Serialize, out: &mut impl Write) -> Result<()> {
    serde_json::to_writer(&mut *out, row).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Hand the rows of logs over. `host` is the machine of records that do not name theirs.
pub fn rows(
    logs: &Logs,
    options: &Options,
    machine: &Machine,
    host: Option<&str>,
    sinks: &mut [Box<dyn Sink + '_>],
) -> Result<Scan> {
    let holders = holders(&logs.scan_all(options));
    let unknown = Who::default();
    let mut registers = Registers::new(machine);
    let options = logs.chosen(options);
    let mut failure = None;
    let scan = logs.scan(&options, &mut |record, boot| {
        if failure.is_some() || record.kind.op().is_none() {
            return;
        }
        let who = holders.of(record, boot).unwrap_or(&unknown);
        let register = registers.of(record);
        let row = AccessRow::new(record, record.node.or(host), who, register.as_deref());
        failure = row.and_then(|row| sinks.iter_mut().find_map(|sink| sink.access(&row).err()));
    });
    if let Some(error) = failure {
        return Err(error);
    }
    for (node, bdf, device) in scan.tally.devices() {
        for session in device.sessions.recent() {
            let over = device.sessions.ended_with_others(session);
            let who = holders.of_session(node, bdf, session).unwrap_or(&unknown);
            let row = SessionRow::new(node.or(host), bdf, (session, over), who);
            sinks.iter_mut().try_for_each(|sink| sink.session(&row))?;
        }
    }
    sinks.iter_mut().try_for_each(|sink| sink.end())?;
    Ok(scan)
}
