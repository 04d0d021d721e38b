// SPDX-License-Identifier: GPL-2.0

//! The report as one page for a browser, which needs nothing else: no network, no other file.
//!
//! Devices, sessions and counts are there for every browser; heat maps and filters are drawn by the
//! page itself.

use std::fmt::{self, Write};

use pci_config::Bdf;
use serde_json::{json, Value};

use crate::drawing::{capability_color, colors, escape};
use crate::known::machine::Machine;
use crate::map::{Map, Owner};
use crate::record::Op;
use crate::report::{DeviceReport, Report, SessionReport};
use crate::scan::Scan;
use crate::session::Session;
use crate::shade::{self, STEPS};
use crate::tally::Device;
use crate::time::{Stamp, Zone};
use crate::words::{plural, range_text};

/// How many of the last sessions of each device a page tells of one by one.
pub const SESSIONS: usize = 100;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");

/// Everything that a page is made of.
struct Page<'a> {
    scan: &'a Scan,
    machine: &'a Machine,
    zone: &'a Zone,
    out: String,
}

/// The page, with times of a zone.
pub fn page(scan: &Scan, machine: &Machine, zone: &Zone) -> String {
    let mut page = Page {
        scan,
        machine,
        zone,
        out: String::new(),
    };
    // Writing to a String cannot fail.
    let _ = page.write();
    page.out
}

fn name(node: Option<&str>, bdf: Bdf) -> String {
    match node {
        Some(node) => format!("{bdf} on {node}"),
        None => bdf.to_string(),
    }
}

impl Page<'_> {
    fn write(&mut self) -> fmt::Result {
        let report = Report::new(self.scan, self.machine);
        self.head(&report)?;
        self.filters(&report)?;
        self.out.push_str("<main id=\"devices\">\n");
        for (index, device) in report.devices.iter().enumerate() {
            self.device(index, device)?;
        }
        self.scale()?;
        self.out
            .push_str("</main>\n<div id=\"tip\" role=\"tooltip\" hidden></div>\n");
        // With `<` escaped, the data cannot end the script element.
        let data = self.data().to_string().replace('<', "\\u003c");
        write!(
            self.out,
            "<script type=\"application/json\" id=\"data\">{data}</script>\n\
             <script>\n{SCRIPT}</script>\n</body>\n</html>\n"
        )
    }

    fn head(&mut self, report: &Report) -> fmt::Result {
        let title = "Accesses to unassigned PCI configuration space";
        write!(
            self.out,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
             <title>{title}</title>\n<style>\n{}{STYLE}</style>\n</head>\n<body>\n\
             <a class=\"skip\" href=\"#devices\">Skip to the \
             devices</a>\n<header>\n<h1>{title}</h1>\n<p>{} of {} in {}",
            colors(),
            plural(report.records, "PCI record"),
            plural(report.lines, "line"),
            plural(report.files as u64, "log")
        )?;
        if let (Some(first), Some(last)) = (report.first, report.last) {
            write!(self.out, ", {} to {}", self.time(first), self.time(last))?;
            if let Some(name) = self.zone.name(last) {
                write!(self.out, " ({})", escape(&name))?;
            }
        }
        self.out.push_str("</p>\n");
        let complaints = self.scan.complaints();
        if !complaints.is_empty() {
            self.out.push_str("<ul class=\"warn\">\n");
            for complaint in complaints {
                writeln!(self.out, "<li>{}</li>", escape(&complaint))?;
            }
            self.out.push_str("</ul>\n");
        }
        self.out.push_str(
            "<noscript><p class=\"warn\">Heat maps and filters need \
             JavaScript.</p></noscript>\n</header>\n",
        );
        Ok(())
    }

    fn time(&self, stamp: Stamp) -> String {
        escape(&self.zone.text(stamp))
    }

    /// A time as the browser's own fields have it, which sorts as a text.
    fn sortable(&self, stamp: Stamp) -> String {
        self.zone.text(stamp).replacen(' ', "T", 1)
    }

    fn filters(&mut self, report: &Report) -> fmt::Result {
        let devices = report.devices.iter().map(DeviceReport::name).collect();
        let mut vms: Vec<String> = report
            .devices
            .iter()
            .flat_map(|device| &device.sessions.recent)
            .filter_map(|session| Some(session.vm.as_ref()?.text().to_owned()))
            .collect();
        vms.sort();
        vms.dedup();
        self.out
            .push_str("<form id=\"filter\" role=\"search\" aria-label=\"Filters\" hidden>\n");
        self.select("device", "Device", devices)?;
        self.select("vm", "Virtual machine", vms)?;
        self.select(
            "result",
            "Result",
            vec!["allowed".to_owned(), "blocked".to_owned()],
        )?;
        for (name, label) in [("from", "Sessions from"), ("to", "Sessions until")] {
            writeln!(
                self.out,
                "<label>{label}<input type=\"datetime-local\" step=\"1\" name=\"{name}\"></label>"
            )?;
        }
        self.out.push_str(
            "<button type=\"reset\">Show all</button>\n<p id=\"told\" role=\"status\" \
             class=\"note\"></p>\n</form>\n",
        );
        Ok(())
    }

    fn select(&mut self, name: &str, label: &str, values: Vec<String>) -> fmt::Result {
        write!(
            self.out,
            "<label>{label}<select name=\"{name}\"><option value=\"\">all</option>"
        )?;
        for value in values {
            let value = escape(&value);
            write!(self.out, "<option value=\"{value}\">{value}</option>")?;
        }
        self.out.push_str("</select></label>\n");
        Ok(())
    }

    fn device(&mut self, index: usize, device: &DeviceReport) -> fmt::Result {
        write!(
            self.out,
            "<section class=\"device\" data-index=\"{index}\" aria-labelledby=\"d{index}\">\n\
             <h2 id=\"d{index}\">{}</h2>\n\
             <p>{} to {}; {}, {} of them complete</p>\n",
            escape(&device.name()),
            self.time(device.first),
            self.time(device.last),
            plural(device.sessions.count, "session"),
            device.sessions.complete
        )?;
        self.accesses(device)?;
        self.out.push_str("<div class=\"maps scroll\"></div>\n");
        self.owners(index)?;
        self.time_line(device)?;
        self.sessions(device)?;
        self.out.push_str("</section>\n");
        Ok(())
    }

    /// What the lines below bytes stand for.
    fn owners(&mut self, index: usize) -> fmt::Result {
        let device = self.scan.tally.devices().nth(index);
        let Some(map) = device.and_then(|(node, bdf, _)| self.machine.maps.find(node, bdf)) else {
            return Ok(());
        };
        self.out.push_str("<ul class=\"scale\">\n");
        for owner in map.assigned() {
            writeln!(
                self.out,
                "<li><span class=\"swatch\" style=\"background:{}\"></span>{}</li>",
                owner_color(owner),
                escape(&map.describe(owner))
            )?;
        }
        self.out.push_str("</ul>\n");
        Ok(())
    }

    fn accesses(&mut self, device: &DeviceReport) -> fmt::Result {
        self.out.push_str(
            "<div class=\"scroll\"><table \
             class=\"list\"><caption>Accesses</caption><thead><tr><th scope=\"col\">What\
             </th><th scope=\"col\">Result</th><th scope=\"col\" class=\"n\">Recorded</th><th \
             scope=\"col\" class=\"n\">\
             Suppressed</th><th scope=\"col\" class=\"n\">Lost</th><th \
             scope=\"col\">Bytes</th></tr></thead><tbody>\n",
        );
        for access in &device.accesses {
            let mut ranges: Vec<String> = access
                .ranges
                .iter()
                .take(12)
                .map(|range| range_text(&(range.offset..range.offset + range.size)))
                .collect();
            let notes = access.ranges.iter().flat_map(|range| &range.known);
            let mut notes: Vec<&str> = notes.map(|note| &*note.text).collect();
            // Several ranges may lie in one register.
            notes.dedup();
            let notes: String = notes
                .iter()
                .map(|note| format!("<br>{}", escape(note)))
                .collect();
            let left = access.ranges.len() - ranges.len();
            if left > 0 {
                ranges.push(plural(left as u64, "more range"));
            }
            writeln!(
                self.out,
                "<tr data-result=\"{}\"><td>{}</td><td>{}</td><td class=\"n\">{}</td><td \
                 class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td>{}{notes}</td></tr>",
                access.result,
                access.op,
                access.result,
                access.recorded,
                access.suppressed,
                access.lost,
                ranges.join(", ")
            )?;
        }
        self.out.push_str("</tbody></table></div>\n");
        Ok(())
    }

    fn time_line(&mut self, device: &DeviceReport) -> fmt::Result {
        const WIDTH: f64 = 1000.0;
        const ROW: usize = 14;

        let sessions = &device.sessions.recent;
        let first = sessions.iter().map(|session| session.first.0).min();
        let last = sessions.iter().map(|session| session.last.0).max();
        let (Some(first), Some(last)) = (first, last) else {
            return Ok(());
        };
        let span = (last - first).max(1) as f64;
        let x = |time: Stamp| (time.0 - first) as f64 / span * (WIDTH - 4.0);
        // Sessions that overlap are below each other.
        let mut ends: Vec<u64> = Vec::new();
        let rows: Vec<usize> = sessions
            .iter()
            .map(|session| {
                let free = ends.iter().position(|end| *end <= session.first.0);
                let row = free.unwrap_or(ends.len());
                ends.resize(ends.len().max(row + 1), 0);
                ends[row] = session.last.0;
                row
            })
            .collect();
        let height = ends.len() * ROW + 24;
        write!(
            self.out,
            "<h3>Time line of sessions</h3>\n<svg class=\"line\" viewBox=\"0 0 {WIDTH} {height}\" \
             role=\"group\" \
             aria-label=\"Time line of {}\">\n",
            plural(sessions.len() as u64, "session")
        )?;
        for (index, (session, row)) in sessions.iter().zip(rows).enumerate() {
            let blocked = session
                .totals
                .as_ref()
                .is_some_and(|t| t.blocked_reads + t.blocked_writes > 0);
            let open = session.totals.is_none() && !session.ended_with_others;
            let class = [(blocked, "blocked"), (open, "open")]
                .iter()
                .filter_map(|(is, name)| is.then_some(*name))
                .collect::<Vec<_>>()
                .join(" ");
            let says = escape(&self.session_words(session));
            writeln!(
                self.out,
                "<g class=\"{class}\" data-session=\"{index}\" tabindex=\"0\" role=\"img\" \
                 aria-label=\"{says}\"><title>{says}</title>\
                 <rect x=\"{:.1}\" y=\"{}\" width=\"{:.1}\" height=\"{}\"/></g>",
                x(session.first),
                row * ROW,
                (x(session.last) - x(session.first)).max(4.0),
                ROW - 3
            )?;
        }
        let y = height - 20;
        writeln!(
            self.out,
            "<path d=\"M0 {y}H{WIDTH}\"/><text x=\"0\" y=\"{}\">{}</text><text x=\"{WIDTH}\" \
             y=\"{}\" \
             text-anchor=\"end\">{}</text>\n</svg>",
            y + 15,
            self.time(Stamp(first)),
            y + 15,
            self.time(Stamp(last))
        )
    }

    fn session_words(&self, session: &SessionReport) -> String {
        format!(
            "session{}, {} to {}, {}: {}",
            session.number_text(),
            self.zone.text(session.first),
            self.zone.text(session.last),
            session.who(),
            session.what()
        )
    }

    fn sessions(&mut self, device: &DeviceReport) -> fmt::Result {
        self.out.push_str(
            "<div class=\"scroll\"><table \
             class=\"list\"><caption>Sessions</caption><thead><tr><th scope=\"col\" class=\"n\">\
             Number</th><th scope=\"col\">From</th><th scope=\"col\">To</th><th \
             scope=\"col\">Holders</th>\
             <th scope=\"col\">Accesses</th></tr></thead><tbody>\n",
        );
        for (index, session) in device.sessions.recent.iter().enumerate() {
            let number = session.number_text();
            let number = number.trim_start();
            writeln!(
                self.out,
                "<tr data-session=\"{index}\"><td class=\"n\">{number}</td><td \
                 class=\"t\">{}</td><td class=\"t\">{}</td><td>{}</td><td>{}</td></tr>",
                self.time(session.first),
                self.time(session.last),
                escape(&session.who()),
                escape(&session.what())
            )?;
        }
        self.out.push_str("</tbody></table></div>\n");
        let all = device.sessions.count + device.sessions.several;
        let older = all - device.sessions.recent.len() as u64;
        if older > 0 {
            writeln!(
                self.out,
                "<p class=\"note\">and {}</p>",
                plural(older, "older session")
            )?;
        }
        Ok(())
    }

    /// The scale of the heat maps, with numbers.
    fn scale(&mut self) -> fmt::Result {
        self.out.push_str(
            "<section aria-labelledby=\"scale\"><h2 id=\"scale\">Scale of the heat \
             maps</h2>\n<ul class=\"scale\">\n",
        );
        for step in 0..=STEPS {
            self.out
                .push_str("<li><table class=\"heat\" role=\"presentation\"><tr>");
            for (fate, class, hatch) in [
                (shade::Fate::Allowed, 'a', ""),
                (shade::Fate::Blocked, 'b', " h"),
                (shade::Fate::Both, 'm', " x"),
            ] {
                let glyph = shade::glyph(fate, step);
                write!(self.out, "<td class=\"{class}{step}{hatch}\">{glyph}</td>")?;
            }
            let times = match step {
                0 => "without a record of their own".to_owned(),
                step => format!("{} times", shade::numbers(step)),
            };
            writeln!(
                self.out,
                "</tr></table>allowed, blocked, both: {times}</li>"
            )?;
        }
        self.out.push_str("</ul></section>\n");
        Ok(())
    }

    /// What the page draws from.
    fn data(&self) -> Value {
        let devices: Vec<Value> = self
            .scan
            .tally
            .devices()
            .map(|(node, bdf, device)| {
                let vms = self.scan.tally.vms(node);
                let recent = device.sessions.recent();
                let all = device.sessions.summary();
                let older = all.count + all.several - recent.len() as u64;
                let sessions: Vec<Value> = recent
                    .into_iter()
                    .map(|session| {
                        let vm = session.vm(vms, bdf);
                        let places = session.places.clone().unwrap_or_default();
                        json!({
                            "first": self.sortable(Stamp(session.first)),
                            "last": self.sortable(Stamp(session.last)),
                            "vm": vm.as_ref().and_then(|vm| vm.name.clone()),
                            "uuid": vm.and_then(|vm| vm.uuid),
                            "spots": session_spots(session),
                            "left_out": places.left_out,
                        })
                    })
                    .collect();
                let map = self.machine.maps.find(node, bdf);
                json!({
                    "name": name(node, bdf),
                    "older": older,
                    "spots": device_spots(device),
                    "sessions": sessions,
                    "owners": map.map(|map| owners(&map)).unwrap_or_default(),
                })
            })
            .collect();
        json!({"devices": devices})
    }
}

fn session_spots(session: &Session) -> Vec<Value> {
    let spots = session.places.iter().flat_map(|places| &places.spots);
    spots
        .map(|spot| {
            json!([
                spot.op.to_string(),
                spot.allowed,
                spot.range.start,
                spot.range.len(),
                spot.recorded
            ])
        })
        .collect()
}

/// Runs of bytes that were accessed equally often, and runs of those that were touched without a
/// record.
fn device_spots(device: &Device) -> Vec<Value> {
    let mut spots = Vec::new();
    for (op, allowed, cell) in device.cells() {
        let op: Op = op;
        let counts = cell.heat.counts();
        let mut start = 0;
        for run in counts.chunk_by(|one, next| one == next) {
            if run[0] > 0 {
                spots.push(json!([op.to_string(), allowed, start, run.len(), run[0]]));
            }
            start += run.len();
        }
        for range in cell.touched.ranges() {
            spots.push(json!([
                op.to_string(),
                allowed,
                range.start,
                range.len(),
                0
            ]));
        }
    }
    spots
}

/// Runs of bytes that belong to something, what that is, and its colour.
fn owners(map: &Map) -> Vec<Value> {
    let offsets: Vec<usize> = (0..map.size()).collect();
    offsets
        .chunk_by(|one, next| map.owner(*one) == map.owner(*next))
        .filter(|run| map.owner(run[0]) != Owner::Unassigned)
        .map(|run| {
            let owner = map.owner(run[0]);
            json!([run[0], run.len(), map.describe(owner), owner_color(owner)])
        })
        .collect()
}

fn owner_color(owner: Owner) -> String {
    match owner {
        Owner::Capability(index) => capability_color(index),
        _ => "var(--header)".to_owned(),
    }
}
