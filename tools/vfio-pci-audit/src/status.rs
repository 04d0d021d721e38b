// SPDX-License-Identifier: GPL-2.0

//! What the running kernel has of this, and what it does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Serialize;
use serde_json::Value;

use crate::known::beyond::{self, Exposed};
use crate::known::machine::Machine;
use crate::map::Maps;
use crate::process;
use crate::words::plural;

const OPTION: &str = "CONFIG_VFIO_PCI_UNASSIGNED_ACCESS_AUDIT";
const PARAMETERS: &str = "sys/module/vfio_pci_audit/parameters";
const DEBUGFS: &str = "sys/kernel/debug";
const SESSIONS: &str = "sys/kernel/debug/vfio_pci_audit/sessions";
const ONLY_READS_BLOCKED: &str =
    "DANGEROUS: reads are blocked and writes are not: a guest that reads a register, changes a bit \
     and writes it back clears the other bits; set block_pci_unassigned_write=Y, too";

/// The state of the kernel.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The release of the running kernel.
    pub kernel: String,
    /// Whether it was built with the option; nothing if its configuration cannot be found.
    pub option: Option<bool>,
    /// Where that was read.
    pub option_from: Option<String>,
    /// The module's parameters by name; nothing if it is not there.
    pub parameters: Option<BTreeMap<String, String>>,
    /// The sessions, one for each device that is open; nothing if they cannot be read.
    pub sessions: Option<Vec<Session>>,
    /// What no toggle covers, for each device that VFIO has or may get.
    pub past_the_hook: Vec<Exposed>,
    /// What is missing, and what to do.
    pub advice: Vec<String>,
}

/// A session, as the kernel shows it: fields by name, numbers as numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Session(pub BTreeMap<String, Value>);

impl Session {
    /// Read a line of `KEY=VALUE` words.
    fn parse(line: &str) -> Option<Self> {
        line.split_whitespace()
            .map(|word| {
                let (key, value) = word.split_once('=')?;
                let value = match value.parse::<u64>() {
                    Ok(number) => number.into(),
                    Err(_) => value.into(),
                };
                Some((key.to_owned(), value))
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Add the virtual machine that has the device open, if one has.
    fn look_for_vm(&mut self, root: &Path) {
        let bdf = self.0.get("device").and_then(Value::as_str);
        let vm = bdf.and_then(|bdf| process::vm_of(root, bdf.parse().ok()?));
        if let Some(Ok(vm)) = vm.map(serde_json::to_value) {
            self.0.insert("vm".to_owned(), vm);
        }
    }

    /// A field as a text.
    pub fn text(&self, key: &str) -> String {
        self.get(key)
    }

    /// A field as a number; 0 if it is none.
    pub fn number(&self, key: &str) -> u64 {
        self.0.get(key).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Name and UUID of the virtual machine that has the device open, as far as they are known.
    pub fn vm_names(&self) -> (String, String) {
        let field = |name: &str| {
            let vm = self.0.get("vm")?;
            vm[name].as_str().map(str::to_owned)
        };
        (
            field("name").unwrap_or_default(),
            field("uuid").unwrap_or_default(),
        )
    }

    /// What people call that virtual machine.
    fn vm(&self) -> Option<&str> {
        let vm = self.0.get("vm")?;
        vm["name"].as_str().or_else(|| vm["uuid"].as_str())
    }

    fn get(&self, key: &str) -> String {
        match self.0.get(key) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "?".to_owned(),
        }
    }
}

impl Status {
    /// Look at the machine whose files are under `root`.
    pub fn look(root: &Path) -> Self {
        let kernel = read(&root.join("proc/sys/kernel/osrelease")).unwrap_or_default();
        let (option, option_from) = configured(root, &kernel, &format!("{OPTION}=y")).unzip();
        let mut status = Self {
            kernel,
            option,
            option_from,
            parameters: parameters(&root.join(PARAMETERS)),
            sessions: None,
            past_the_hook: Vec::new(),
            advice: Vec::new(),
        };
        if status.parameters.is_none() {
            status.advise_on_module();
        } else {
            status.advise_on_blocking();
            status.look_for_sessions(root);
            status.past_the_hook = beyond::of_machine(&Machine::new(Maps {
                sysfs: Some(root.join("sys")),
                ..Maps::default()
            }));
        }
        status
    }

    /// Whether the module is loaded.
    pub fn is_there(&self) -> bool {
        self.parameters.is_some()
    }

    fn advise_on_module(&mut self) {
        self.advice.push(match self.option {
            Some(true) => "The kernel has the option, but its module is not loaded: modprobe \
                           vfio-pci"
                .into(),
            Some(false) => format!(
                "This kernel was built without {OPTION}: build it with that, CONFIG_AUDIT and \
                 CONFIG_RUST"
            ),
            None => "Neither the module vfio_pci_audit nor the kernel's configuration was found: \
                     try modprobe vfio-pci"
                .into(),
        });
    }

    fn advise_on_blocking(&mut self) {
        let dangerous = self.parameters.as_ref().and_then(dangerous);
        self.advice.extend(dangerous.map(str::to_owned));
    }

    fn look_for_sessions(&mut self, root: &Path) {
        let file = root.join(SESSIONS);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) => {
                self.advice.push(match error.kind() {
                    io::ErrorKind::PermissionDenied => "Only root may list the sessions".to_owned(),
                    io::ErrorKind::NotFound if is_empty(&root.join(DEBUGFS)) => {
                        format!(
                            "The sessions are listed in debugfs, which is not mounted: mount -t \
                             debugfs debugfs /{DEBUGFS} (the kernel needs CONFIG_DEBUG_FS)"
                        )
                    }
                    _ => format!("/{SESSIONS}: {error}"),
                });
                return;
            }
        };
        let mut sessions = Vec::new();
        for line in text.lines() {
            match Session::parse(line) {
                Some(mut session) => {
                    session.look_for_vm(root);
                    sessions.push(session);
                }
                None => self
                    .advice
                    .push(format!("/{SESSIONS} has an unknown line: {line}")),
            }
        }
        self.sessions = Some(sessions);
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_text(&mut text);
        text
    }

    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "kernel      {}", self.kernel)?;
        let option = match self.option {
            Some(true) => "y",
            Some(false) => "n",
            None => "not known",
        };
        let from = match &self.option_from {
            Some(from) => format!(" ({from})"),
            None => String::new(),
        };
        writeln!(out, "option      {OPTION}: {option}{from}")?;
        match &self.parameters {
            None => writeln!(out, "module      not loaded")?,
            Some(parameters) => write_parameters(out, parameters)?,
        }
        if let Some(sessions) = &self.sessions {
            writeln!(out, "sessions    {}", sessions.len())?;
            for session in sessions {
                write_session(out, session)?;
            }
        }
        if !self.past_the_hook.is_empty() {
            writeln!(out, "neither blocked nor recorded:")?;
        }
        for device in &self.past_the_hook {
            write!(out, "{}", device.text())?;
        }
        for line in &self.advice {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }
}

/// A warning, if the toggles of the machine whose files are under `root` are dangerous.
pub fn dangerous_toggles(root: &Path) -> Option<&'static str> {
    dangerous(&parameters(&root.join(PARAMETERS))?)
}

fn dangerous(parameters: &BTreeMap<String, String>) -> Option<&'static str> {
    let is = |name: &str, value: &str| parameters.get(name).is_some_and(|found| found == value);
    let only_reads = is("block_pci_unassigned_read", "Y") && is("block_pci_unassigned_write", "N");
    only_reads.then_some(ONLY_READS_BLOCKED)
}

fn write_parameters(out: &mut String, parameters: &BTreeMap<String, String>) -> std::fmt::Result {
    let get = |name: &str| parameters.get(name).map_or("?", String::as_str);
    let blocks = |name: &str| {
        match get(name) {
            "Y" => "blocked",
            "N" => "allowed",
            other => other,
        }
        .to_owned()
    };
    writeln!(out, "reads       {}", blocks("block_pci_unassigned_read"))?;
    writeln!(out, "writes      {}", blocks("block_pci_unassigned_write"))?;
    let list = match get("uaccess_allow_ids") {
        "" => "none",
        ids => ids,
    };
    writeln!(out, "exceptions  {list}")?;
    match get("audit_rate") {
        "0" => writeln!(out, "limits      none: every access is recorded"),
        rate => {
            let records = match rate.parse() {
                Ok(number) => plural(number, "record"),
                Err(_) => format!("{rate} records"),
            };
            writeln!(
                out,
                "limits      {records} a second and {} at once, for each device's reads and for \
                 its writes",
                get("audit_burst")
            )
        }
    }
}

fn write_session(out: &mut String, session: &Session) -> std::fmt::Result {
    let get = |key| session.get(key);
    let vm = session.vm().map(|vm| format!(", VM {vm}"));
    let vm = vm.unwrap_or_default();
    let count = |key, what| match session.0.get(key).and_then(Value::as_u64) {
        Some(number) => plural(number, what),
        None => format!("? {what}s"),
    };
    writeln!(
        out,
        "  {} {}{vm}: {} ({} blocked), {} ({} blocked); {} recorded, {} suppressed, {} lost",
        get("device"),
        get("state"),
        count("reads", "read"),
        get("blocked_reads"),
        count("writes", "write"),
        get("blocked_writes"),
        get("records"),
        get("suppressed"),
        get("lost")
    )
}

fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim_end_matches('\n').to_owned())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).map_or(true, |mut entries| entries.next().is_none())
}

fn parameters(folder: &Path) -> Option<BTreeMap<String, String>> {
    let entries = fs::read_dir(folder).ok()?;
    let parameters = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let name = path.file_name()?.to_str()?.to_owned();
        Some((name, read(&path)?))
    });
    Some(parameters.collect())
}

/// Whether the kernel's configuration has a line, such as `CONFIG_RUST=y`, and the file that says
/// so.
pub(crate) fn configured(root: &Path, kernel: &str, wanted: &str) -> Option<(bool, String)> {
    let files = [
        "proc/config.gz".to_owned(),
        format!("boot/config-{kernel}"),
        format!("lib/modules/{kernel}/config"),
    ];
    files.into_iter().find_map(|file| {
        let text = configuration(&root.join(&file))?;
        Some((text.lines().any(|line| line == wanted), format!("/{file}")))
    })
}

/// The first two numbers of a kernel release, such as `7.3.4+deb13-amd64`.
pub(crate) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

fn configuration(file: &PathBuf) -> Option<String> {
    let bytes = fs::read(file).ok()?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return String::from_utf8(bytes).ok();
    }
    let mut text = String::new();
    GzDecoder::new(&bytes[..]).read_to_string(&mut text).ok()?;
    Some(text)
}
