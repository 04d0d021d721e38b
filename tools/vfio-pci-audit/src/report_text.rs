// SPDX-License-Identifier: GPL-2.0

//! The report as text for people.

use std::fmt::{self, Write};

use crate::known::machine::Machine;
use crate::picture;
use crate::report::{DeviceReport, HolderReport, Report, SessionReport, SessionsReport};
use crate::scan::Scan;
use crate::time::Zone;
use crate::words::{plural, plural_es, range_text};

/// The most places of one operation and result that the text has. JSON and CSV have all.
const MAX_PLACES: usize = 20;

/// The text, with times of a zone. With `heat`, each device has pictures of where its accesses
/// went, of that many bytes a row, and of what is known of its configuration space.
pub fn text(scan: &Scan, machine: &Machine, zone: &Zone, heat: Option<usize>) -> String {
    let report = Report::new(scan, machine);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = report.write_text(&mut text, zone, |text, index| {
        let device = scan.tally.devices().nth(index);
        match (device, heat) {
            (Some((node, bdf, device)), Some(width)) => {
                let map = machine.maps.find(node, bdf);
                text.write_str(&picture::heat(device, map.as_ref(), width))
            }
            _ => Ok(()),
        }
    });
    text
}

impl Report {
    /// The text, with times of a zone and without pictures.
    pub fn text(&self, zone: &Zone) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut text, zone, |_, _| Ok(()));
        text
    }

    fn write_text(
        &self,
        out: &mut String,
        zone: &Zone,
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
            (Some(first), Some(last)) => {
                write!(out, ", {} to {}", zone.text(*first), zone.text(*last))?;
                match zone.name(*last) {
                    Some(name) => writeln!(out, " ({name})")?,
                    None => writeln!(out)?,
                }
            }
            _ => writeln!(out)?,
        }
        for (index, device) in self.devices.iter().enumerate() {
            writeln!(out)?;
            device.write_text(out, zone)?;
            picture(out, index)?;
        }
        Ok(())
    }
}

impl DeviceReport {
    fn write_text(&self, out: &mut String, zone: &Zone) -> fmt::Result {
        write!(out, "{}", self.name())?;
        writeln!(
            out,
            ": {} to {}",
            zone.text(self.first),
            zone.text(self.last)
        )?;
        self.sessions.write_text(out, zone)?;
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
    fn write_text(&self, out: &mut String, zone: &Zone) -> fmt::Result {
        let open = match self.open {
            true => ", the end of the last is not in the logs",
            false => "",
        };
        writeln!(
            out,
            "  sessions  {}, {} of them complete{open}",
            self.count, self.complete
        )?;
        if self.several > 0 {
            writeln!(
                out,
                "            {} of several sessions each",
                plural(self.several, "end")
            )?;
        }
        if self.missing_records > 0 {
            writeln!(
                out,
                "            {} missing from the logs",
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
            session.write_text(out, zone)?;
        }
        Ok(())
    }
}

impl HolderReport {
    fn write_text(&self, out: &mut String) -> fmt::Result {
        write!(out, "  held by   ")?;
        if let Some(vm) = &self.vm {
            write!(out, "VM {}", vm.text())?;
            match &vm.uuid {
                Some(uuid) if vm.name.is_some() => write!(out, " ({uuid}), ")?,
                _ => write!(out, ", ")?,
            }
        }
        write!(out, "{}", self.name)?;
        if let Some(pid) = self.last_pid {
            write!(out, " {pid}")?;
        }
        write!(out, " ({})", self.exe)?;
        for (name, value) in [("uid", self.uid), ("auid", self.auid)] {
            if let Some(value) = value {
                write!(out, ", {name} {value}")?;
            }
        }
        if !matches!(&*self.subj, "" | "?" | "unconfined" | "(null)") {
            write!(out, ", {}", self.subj)?;
        }
        writeln!(
            out,
            ": {}, {} recorded",
            plural(self.sessions, "session"),
            plural_es(self.recorded, "access")
        )
    }
}

impl SessionReport {
    /// Its number behind a space, as a record has it; nothing from a kernel that gives none.
    pub fn number_text(&self) -> String {
        match self.session {
            Some(number) => format!(" {number}"),
            None if self.several => " ?".to_owned(),
            None => String::new(),
        }
    }

    /// Who held it.
    pub fn who(&self) -> String {
        let vm = self.vm.iter().map(|vm| format!("VM {}", vm.text()));
        let processes = self.holders.iter().map(|holder| match holder.pid {
            Some(pid) => format!("{} {pid}", holder.name),
            None => holder.name.clone(),
        });
        if self.several {
            return "several sessions".to_owned();
        }
        let mut who: Vec<String> = vm.chain(processes).collect();
        if self.more_holders > 0 {
            who.push(plural_es(self.more_holders, "more process"));
        }
        match who.is_empty() {
            true => "start not in the logs".to_owned(),
            false => who.join(", "),
        }
    }

    fn write_text(&self, out: &mut String, zone: &Zone) -> fmt::Result {
        write!(
            out,
            "  session{:2} {} to {}, {}",
            self.number_text(),
            zone.text(self.first),
            zone.text(self.last),
            self.who()
        )?;
        writeln!(out, ": {}", self.what())
    }

    /// What they did.
    pub fn what(&self) -> String {
        let Some(totals) = &self.totals else {
            let recorded = plural_es(self.recorded, "access");
            return match self.ended_with_others {
                true => format!(
                    "ended, totals only known together with other sessions, {recorded} recorded"
                ),
                false => format!("end not in the logs, {recorded} recorded"),
            };
        };
        let mut text = format!(
            "{} ({} blocked), {} ({} blocked), {} recorded, {} suppressed, {} lost",
            plural(totals.reads, "read"),
            totals.blocked_reads,
            plural(totals.writes, "write"),
            totals.blocked_writes,
            totals.records,
            totals.suppressed,
            totals.lost
        );
        if self.missing_records > 0 {
            text += &format!(
                "; {} of the records missing from the logs",
                self.missing_records
            );
        }
        text
    }
}
