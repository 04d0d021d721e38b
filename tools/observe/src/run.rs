// SPDX-License-Identifier: GPL-2.0

//! Observes until it is told to stop.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

use pci_audit_core::bucket;
use pci_audit_core::holders::Process;
use pci_audit_core::ledger::Limits;
use rustix::time::{clock_gettime, ClockId};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::device::Sink;
use crate::event::Identity;
use crate::kernel::{self, Lack};
use crate::log::{Last, Log, Origin};
use crate::notify;
use crate::observer::{Observer, Source, World};
use crate::probe::{Mode, NotAttached, Probe};
use crate::process::{self, Proc};

/// How long system calls may wait in the ring.
const INTERVAL: Duration = Duration::from_millis(100);

/// How often to look whether VFIO was loaded.
const LOOK: Duration = Duration::from_millis(200);

/// What to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where records go; nothing for standard output.
    pub log: Option<PathBuf>,
    /// Records a second, for each device's reads and for its writes; 0 for no limit.
    pub rate: u32,
    /// Records at once.
    pub burst: u32,
    /// How the program is to be attached; nothing for what works.
    pub by: Option<By>,
}

/// How the program is to be attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By fentry.
    Fentry,
    /// By kprobe.
    Kprobe,
    /// By kprobe, as if the kernel did not say where the config map is.
    KprobeWithoutMap,
}

/// Why nothing is observed any more.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is missing.
    #[error(transparent)]
    Lack(#[from] Lack),
    /// The kernel refuses the program.
    #[error("the kernel rejects the BPF program:{}", lines(.0))]
    NotAttached(Vec<NotAttached>),
    /// A limit is too high.
    #[error("rate and burst are at most {}, and burst is at least 1", bucket::MAX)]
    Limits,
    /// The log cannot be written.
    #[error("{0}: {1}")]
    Log(String, #[source] io::Error),
}

fn lines(errors: &[NotAttached]) -> String {
    errors.iter().map(|error| format!("\n  {error}")).collect()
}

/// Signals.
struct Signals {
    stop: Arc<AtomicBool>,
    reopen: Arc<AtomicBool>,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let reopen = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        signal_hook::flag::register(SIGHUP, Arc::clone(&reopen))?;
        Ok(Self { stop, reopen })
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Nanoseconds of a clock.
fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn now() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Writes to the log by the wall's clock.
struct Writer {
    log: Log,
    /// The name of the log, for complaints.
    name: String,
    /// What the records are of, if that has a name.
    origin: Option<Origin>,
    /// Whether the last record could be written.
    works: bool,
    /// Why not, if there will never be a reader again.
    closed: bool,
}

impl Writer {
    fn open(path: Option<&Path>, root: &Path) -> Result<(Self, Last), Error> {
        let name = path.map_or("standard output".to_owned(), |path| {
            path.display().to_string()
        });
        let (log, last) = match path {
            Some(path) => Log::append(path).map_err(|error| Error::Log(name.clone(), error))?,
            None => (Log::stdout(), Last::default()),
        };
        let mut writer = Self {
            log,
            name,
            origin: Origin::find(root),
            works: true,
            closed: false,
        };
        writer.begin(last.session);
        Ok((writer, last))
    }

    /// Begins a log, after the session with a number.
    fn begin(&mut self, session: u64) {
        if let Some(origin) = &self.origin {
            let now = nanoseconds(ClockId::Realtime);
            let result = self.log.begin(now, origin, session);
            self.judge(&result);
        }
    }

    fn reopen(&mut self, session: u64) {
        match self.log.reopen() {
            Ok(true) => self.begin(session),
            Ok(false) => {}
            Err(error) => say(&format!("{}: {error}", self.name)),
        }
    }

    /// Says it when writing begins to fail, and when it works again.
    fn judge(&mut self, result: &io::Result<()>) {
        match result {
            Ok(()) if !self.works => say(&format!("{}: writing works again", self.name)),
            Err(error) if self.works => say(&format!(
                "{}: {error}: records are counted, and reported when writing works again",
                self.name
            )),
            _ => {}
        }
        self.works = result.is_ok();
        self.closed |= matches!(result, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
    }
}

impl Sink for Writer {
    fn write(&mut self, time: u64, text: &[u8]) -> io::Result<()> {
        let ago = now().saturating_sub(time);
        let result = self.log.write(nanoseconds(ClockId::Realtime) - ago, text);
        self.judge(&result);
        result
    }
}

/// This machine.
struct Machine<'a> {
    root: &'a Path,
}

impl World for Machine<'_> {
    fn map(&mut self, device: &str) -> Option<Vec<u8>> {
        let map = device
            .parse()
            .ok()
            .and_then(|device| kernel::work_out_map(self.root, device));
        if map.is_none() {
            say(&format!(
                "{device}: cannot find out which bytes are unassigned: all outside the standard \
                 header are taken for unassigned; run this as root"
            ));
        }
        map
    }

    fn fields(&mut self, process: Process, identity: &Identity) -> Vec<u8> {
        let proc = Proc::new(self.root, process);
        let mut identity = identity.clone();
        identity.exe = identity.exe.or_else(|| proc.exe());
        process::fields(process, &identity, proc.subject().as_deref())
    }
}

fn say(text: &str) {
    // There is no better place to say that this fails.
    let _ = writeln!(io::stderr(), "vfio-pci-audit observe: {text}");
}

/// Tells systemd that what is to be started after this may be.
fn be_ready() {
    if let Some(socket) = std::env::var_os(notify::SOCKET) {
        if let Err(error) = notify::ready(&socket) {
            say(&format!("{}: {error}", socket.to_string_lossy()));
        }
    }
}

/// Waits for VFIO. Whether it came.
fn wait_for_vfio(root: &Path, signals: &Signals) -> bool {
    if kernel::is_there(root) {
        return true;
    }
    say("waiting for vfio_pci_core to be loaded");
    // What loads it may be among what waits for this.
    be_ready();
    while !signals.is_over() {
        std::thread::sleep(LOOK);
        if kernel::is_there(root) {
            return true;
        }
    }
    false
}

fn attach(root: &Path, options: &Options) -> Result<(Probe, Mode), Error> {
    let privileges = kernel::check(root)?;
    let kprobe = || kernel::config_map_offset(root).map_or(Mode::KprobeWithoutMap, Mode::Kprobe);
    let modes = match options.by {
        Some(By::Fentry) => vec![Mode::Fentry],
        Some(By::Kprobe) => vec![kprobe()],
        Some(By::KprobeWithoutMap) => vec![Mode::KprobeWithoutMap],
        None if privileges.sees_module_types() => vec![Mode::Fentry, kprobe()],
        None => vec![kprobe()],
    };
    let mut errors = Vec::new();
    for mode in modes {
        match Probe::attach(mode) {
            Ok(probe) => return Ok((probe, mode)),
            Err(error) => errors.push(error),
        }
    }
    Err(Error::NotAttached(errors))
}

/// Observes until SIGINT or SIGTERM, or until standard output has no reader.
pub fn run(options: &Options) -> Result<(), Error> {
    let root = Path::new("/");
    if options.rate > bucket::MAX || !(1..=bucket::MAX).contains(&options.burst) {
        return Err(Error::Limits);
    }
    kernel::check(root)?;
    let (mut writer, last) = Writer::open(options.log.as_deref(), root)?;
    let signals = Signals::new().map_err(|error| Error::Log("signals".into(), error))?;
    if !wait_for_vfio(root, &signals) {
        return Ok(());
    }
    let (mut probe, mode) = attach(root, options)?;
    be_ready();
    say(&format!(
        "observing by {mode}; nothing is blocked; records go to {}",
        writer.name
    ));
    if kernel::records_by_itself(root) {
        say(
            "this kernel has vfio_pci_audit, which records by itself: accesses that it blocks are \
             recorded here as allowed",
        );
    }
    let limits = Limits::new(options.rate, options.burst);
    let mut observer = Observer::new(limits, last.session);
    let mut machine = Machine { root };

    while !signals.is_over() && !writer.closed {
        if signals.reopen.swap(false, Ordering::Relaxed) {
            writer.reopen(observer.last_session());
        }
        if !observer.step(&mut probe, &mut machine, &mut writer, now()) {
            probe.wait(INTERVAL);
        }
    }
    probe.detach();
    let written = observer.finish(&mut probe, &mut machine, &mut writer, now());
    tell(&observer, &mut probe);
    if !written && !writer.closed {
        say(&format!(
            "{}: some records could not be written",
            writer.name
        ));
    }
    Ok(())
}

/// Says what was seen.
fn tell(observer: &Observer, probe: &mut Probe) {
    let seen = observer.seen();
    say(&format!(
        "{} accesses to unassigned bytes in {} sessions; nothing was blocked",
        seen.accesses, seen.sessions
    ));
    if seen.dropped > 0 {
        say(&format!(
            "{} of them came faster than they could be read: they are counted as lost, with the \
             bytes that they touched",
            seen.dropped
        ));
    }
    let unattended = seen.unattended + probe.unattended();
    if unattended > 0 {
        say(&format!(
            "{unattended} more system calls were not examined: no memory for their device"
        ));
    }
    if probe.dropped_ends() > 0 {
        say("some ends of sessions were missed: they came faster than they could be read");
    }
}
