// SPDX-License-Identifier: GPL-2.0

//! The report as text for people.

use std::fmt::{self, Write};

use crate::known::machine::Machine;
use crate::picture;
use crate::report::{DeviceReport, HolderReport, Report, SessionReport, SessionsReport};
use crate::scan::Scan;
use crate::words::{plural, plural_es, range_text};

/// The most places of one operation and result that the text has. JSON and CSV have all.
const MAX_PLACES: usize = 20;

/// The text. With `heat`, each device has pictures of where its accesses went.
pub fn text(scan: &Scan, machine: &Machine, heat: bool) -> String {
    let report = Report::new(scan, machine);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = report.write_text(&mut text, |text, index| {
        let device = scan.tally.devices().nth(index);
        match device.filter(|_| heat) {
            Some((_, _, device)) => text.write_str(&picture::heat(device)),
            None => Ok(()),
        }
    });
    text
}

impl Report {
    fn write_text(
        &self,
        out: &mut String,
        picture: impl Fn(&mut String, usize) -> fmt::Result,
    ) -> fmt::Result {
        write!(
            out,
            "{} of {} in {}",
            plural(self.records, "PCI record"),
            plural(self.lines, "line"),
            plural(self.files as u64, "log")
        )?;
        match (&self.first, &self.last) {
            (Some(first), Some(last)) => writeln!(out, ", {first} to {last}")?,
            _ => writeln!(out)?,
        }
        for (index, device) in self.devices.iter().enumerate() {
            writeln!(out)?;
            device.write_text(out)?;
            picture(out, index)?;
        }
        Ok(())
    }
}

impl DeviceReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        write!(out, "{}", self.device)?;
        if let Some(node) = &self.node {
            write!(out, " on {node}")?;
        }
        writeln!(out, ": {} to {}", self.first, self.last)?;
        self.sessions.write_text(out)?;
        if self.accesses.is_empty() {
            return writeln!(out, "  accesses  none");
        }
        writeln!(
            out,
            "  accesses            recorded  suppressed        lost"
        )?;
        for access in &self.accesses {
            writeln!(
                out,
                "    {:5} {:8} {:>10}  {:>10}  {:>10}",
                access.op, access.result, access.recorded, access.suppressed, access.lost
            )?;
            for range in access.ranges.iter().take(MAX_PLACES) {
                let bytes = range_text(&(range.offset..range.offset + range.size));
                let more = match range.more {
                    true => " and more without a record",
                    false => "",
                };
                writeln!(out, "      {bytes:12} {:>10}{more}", range.recorded)?;
                for note in &range.known {
                    writeln!(out, "        {}", note.text)?;
                }
            }
            let left = access.ranges.len().saturating_sub(MAX_PLACES);
            if left > 0 {
                writeln!(
                    out,
                    "      and {} (--format csv has all)",
                    plural(left as u64, "more range")
                )?;
            }
        }
        Ok(())
    }
}

impl SessionsReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        let open = match self.open {
            true => ", the last has no end here",
            false => "",
        };
        writeln!(
            out,
            "  sessions  {}, {} of them whole{open}",
            self.count, self.complete
        )?;
        if self.missing_records > 0 {
            writeln!(
                out,
                "            {} of theirs not here, though written",
                plural(self.missing_records, "record")
            )?;
        }
        for holder in &self.holders {
            holder.write_text(out)?;
        }
        if self.by_others > 0 {
            writeln!(
                out,
                "  held by   others: {}",
                plural(self.by_others, "session")
            )?;
        }
        for session in &self.recent {
            session.write_text(out)?;
        }
        Ok(())
    }
}

impl HolderReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        write!(out, "  held by   {} ({})", self.comm, self.exe)?;
        for (name, value) in [("uid", self.uid), ("auid", self.auid)] {
            if let Some(value) = value {
                write!(out, ", {name} {value}")?;
            }
        }
        if !matches!(&*self.subj, "" | "?" | "unconfined" | "(null)") {
            write!(out, ", {}", self.subj)?;
        }
        write!(out, ": {}", plural(self.sessions, "session"))?;
        if let Some(pid) = self.last_pid {
            write!(out, ", pid {pid}")?;
        }
        writeln!(out, ", {} recorded", plural_es(self.recorded, "access"))
    }
}

impl SessionReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        let comm = self.comm.as_deref().unwrap_or("start not here");
        write!(out, "  session   {} to {}, {comm}", self.first, self.last)?;
        if let Some(pid) = self.pid {
            write!(out, " {pid}")?;
        }
        match &self.totals {
            Some(totals) => writeln!(
                out,
                ": {} ({} blocked), {} ({} blocked), {} recorded, {} suppressed, {} lost",
                plural(totals.reads, "read"),
                totals.blocked_reads,
                plural(totals.writes, "write"),
                totals.blocked_writes,
                totals.records,
                totals.suppressed,
                totals.lost
            ),
            None => writeln!(
                out,
                ": end not here, {} recorded",
                plural_es(self.recorded, "access")
            ),
        }
    }
}
