// SPDX-License-Identifier: GPL-2.0

//! Trace events of the kernel, read through tracefs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{ensure, Context, Result};
use rustix::mount::{mount, MountFlags};

use crate::kernel::Session;

const TRACEFS: &str = "/sys/kernel/tracing";

/// The system and the name of an event.
pub type Event = (&'static str, &'static str);

/// Accesses to unassigned configuration space.
const ACCESSES: &[Event] = &[("pci_audit", "pci_audit_access")];

/// A trace instance that contains only these events.
pub struct Trace {
    folder: PathBuf,
    events: Vec<Event>,
}

impl Trace {
    /// Starts tracing the accesses of all processes.
    pub fn accesses() -> Result<Self> {
        Self::start(ACCESSES, None)
    }

    /// Starts tracing `events`, of all threads or of one.
    pub fn start(events: &[Event], thread: Option<u32>) -> Result<Self> {
        mount_tracefs()?;
        let folder = Path::new(TRACEFS).join("instances/vfio-pci-audit");
        // A scenario that failed may have left one.
        let _ = fs::remove_dir(&folder);
        fs::create_dir(&folder).with_context(|| folder.display().to_string())?;
        let trace = Self {
            folder,
            events: events.to_vec(),
        };
        if let Some(thread) = thread {
            trace.write("set_event_pid", &thread.to_string())?;
        }
        trace.enable(true)?;
        Ok(trace)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let file = self.folder.join(file);
        fs::write(&file, text).with_context(|| file.display().to_string())
    }

    /// Starts or stops tracing.
    pub fn enable(&self, on: bool) -> Result<()> {
        self.events.iter().try_for_each(|(system, name)| {
            self.write(
                &format!("events/{system}/{name}/enable"),
                if on { "1" } else { "0" },
            )
        })
    }

    /// Discards the events so far.
    pub fn forget(&self) -> Result<()> {
        self.write("trace", "\n")
    }

    /// The name and the text of each event so far, in order.
    pub fn events(&self) -> Result<Vec<(&'static str, String)>> {
        let file = self.folder.join("trace");
        let trace = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        let event = |line: &str| {
            self.events.iter().find_map(|(_, name)| {
                let (_, text) = line.split_once(&format!(": {name}: "))?;
                Some((*name, text.to_owned()))
            })
        };
        Ok(trace.lines().filter_map(event).collect())
    }

    /// The texts of the events, without the session and the process.
    pub fn texts(&self) -> Result<Vec<String>> {
        let plain = |text: String| without_whose(&text).map_or(text, |(_, plain)| plain);
        Ok(self
            .events()?
            .into_iter()
            .map(|(_, text)| plain(text))
            .collect())
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // If this fails, the next instance is removed first.
        let _ = self.enable(false);
        let _ = fs::remove_dir(&self.folder);
    }
}

/// The session and the process of an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whose {
    /// The number of the session, 0 where there is none.
    pub session: u64,
    /// The number of the process.
    pub pid: u32,
    /// What the process calls itself.
    pub comm: String,
}

/// Removes the session and the process from the text of an event. Returns them and the text that a
/// record has too.
pub fn without_whose(text: &str) -> Result<(Whose, String)> {
    let not = || format!("not an event of an access: {text:?}");
    let (before, rest) = text.split_once(" session=").with_context(not)?;
    let (session, rest) = rest.split_once(" pid=").with_context(not)?;
    let (pid, rest) = rest.split_once(" comm=\"").with_context(not)?;
    let (comm, res) = rest.rsplit_once("\" res=").with_context(not)?;
    let whose = Whose {
        session: session.parse().with_context(not)?,
        pid: pid.parse().with_context(not)?,
        comm: comm.to_owned(),
    };
    Ok((whose, format!("{before} res={res}")))
}

/// Removes `session=` from a text. Returns its value and the remaining text.
pub fn without_session(text: &str) -> Result<(Session, String)> {
    let (before, rest) = text
        .split_once(" session=")
        .with_context(|| format!("no session= in {text:?}"))?;
    let (value, after) = rest.split_once(' ').unwrap_or((rest, ""));
    let session = match value {
        "?" => None,
        number => Some(
            number
                .parse()
                .with_context(|| format!("session={number}"))?,
        ),
    };
    Ok((session, format!("{before} {after}")))
}

/// Adds or removes an event of a kprobe.
fn kprobe_events(line: &str) -> Result<()> {
    let file = Path::new(TRACEFS).join("kprobe_events");
    fs::OpenOptions::new()
        .append(true)
        .open(&file)
        // All in one write(2), which takes whole lines.
        .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()))
        .with_context(|| format!("{line:?} to {}", file.display()))
}

/// Events of the calls of kernel functions: `lab/NAME` for each pair of a name and a function. Drop
/// it after what traces them.
pub struct Calls(&'static [(&'static str, &'static str)]);

impl Calls {
    /// Adds the events.
    pub fn new(functions: &'static [(&'static str, &'static str)]) -> Result<Self> {
        mount_tracefs()?;
        let calls = Self(functions);
        for (name, function) in functions {
            kprobe_events(&format!("p:lab/{name} {function}"))?;
        }
        Ok(calls)
    }

    /// Starts tracing them, of all threads or of one.
    pub fn trace(&self, thread: Option<u32>) -> Result<Trace> {
        let events = self.0.iter().map(|(name, _)| ("lab", *name));
        Trace::start(&events.collect::<Vec<_>>(), thread)
    }
}

impl Drop for Calls {
    fn drop(&mut self) {
        for (name, _) in self.0 {
            // It is not there if the kernel has no such function.
            let _ = kprobe_events(&format!("-:lab/{name}"));
        }
    }
}

/// Probes on the kernel's last functions before the hardware: what reaches a byte of configuration
/// space.
pub struct Probe(());

impl Probe {
    /// Start watching the byte at `offset`.
    pub fn config_bytes(offset: usize) -> Result<Self> {
        mount_tracefs()?;
        for op in ["read", "write"] {
            kprobe_events(&format!(
                "p:lab/{op} pci_user_{op}_config_byte pos=$arg2:u32"
            ))?;
            let filter = Path::new(TRACEFS).join(format!("events/lab/{op}/filter"));
            fs::write(&filter, format!("pos == {offset}"))
                .with_context(|| filter.display().to_string())?;
        }
        let enable = Path::new(TRACEFS).join("events/lab/enable");
        fs::write(&enable, "1").with_context(|| enable.display().to_string())?;
        Ok(Self(()))
    }

    /// Forget what was seen so far.
    pub fn forget(&self) -> Result<()> {
        fs::write(Path::new(TRACEFS).join("trace"), "\n").context("forgetting a trace")
    }

    /// How often the byte was reached.
    pub fn hits(&self) -> Result<usize> {
        let text = fs::read_to_string(Path::new(TRACEFS).join("trace")).context("a trace")?;
        Ok(text.lines().filter(|line| !line.starts_with('#')).count())
    }
}

/// The config map that VFIO has of a device, as it is in the kernel's memory: `size` bytes. Its
/// address is `member` bytes into the structure that `vfio_pci_config_rw()` gets; `access` has that
/// called.
pub fn config_map(
    member: usize,
    size: usize,
    access: impl FnOnce() -> Result<()>,
) -> Result<Vec<u8>> {
    /// Bytes of one argument of an event, and of one event, whose text has to fit into a page.
    const ARGUMENT: usize = 64;
    const EVENT: usize = 8 * ARGUMENT;

    mount_tracefs()?;
    let tracefs = Path::new(TRACEFS);
    let enable = |on: &str| {
        let file = tracefs.join("events/labmap/enable");
        fs::write(&file, on).with_context(|| file.display().to_string())
    };
    let starts: Vec<usize> = (0..size).step_by(EVENT).collect();
    for start in &starts {
        let mut probe = format!("p:labmap/at{start} vfio_pci_config_rw");
        for at in (*start..size.min(start + EVENT)).step_by(ARGUMENT) {
            probe += &format!(" m{at}=+{at}(+{member}($arg1)):x8[{ARGUMENT}]");
        }
        kprobe_events(&probe)?;
    }
    fs::write(tracefs.join("trace"), "\n").context("forgetting a trace")?;
    enable("1")?;
    let done = access();
    enable("0")?;
    let text = fs::read_to_string(tracefs.join("trace")).context("a trace");
    for start in &starts {
        kprobe_events(&format!("-:labmap/at{start}"))?;
    }
    done?;
    let mut map = Vec::new();
    let text = text?;
    for start in &starts {
        let event = format!(" at{start}: ");
        let line = text.lines().find(|line| line.contains(&event));
        let line = line.with_context(|| format!("the kernel's map is not in the trace: {text}"))?;
        for part in line.split('{').skip(1) {
            for byte in part.split('}').next().unwrap_or_default().split(',') {
                let byte = byte.trim().trim_start_matches("0x");
                map.push(u8::from_str_radix(byte, 16).with_context(|| line.to_owned())?);
            }
        }
    }
    ensure!(
        map.len() == size,
        "of {size} bytes the trace has {}",
        map.len()
    );
    Ok(map)
}

fn mount_tracefs() -> Result<()> {
    if !Path::new(TRACEFS).join("instances").exists() {
        mount("tracefs", TRACEFS, "tracefs", MountFlags::empty(), None).context(TRACEFS)?;
    }
    Ok(())
}
