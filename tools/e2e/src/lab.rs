// SPDX-License-Identifier: GPL-2.0

//! The machine that scenarios run on. It is reset before each scenario.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) use ::lab::ktap::Skip;
use ::lab::paths::Paths;
use anyhow::{ensure, Context, Result};
use vfio_client::{sysfs, Bdf, Device};

use crate::account::{self, Loss, Truth};
use crate::audit::{wait_until, Audit};
use crate::kernel;
use crate::modules::Modules;
use crate::record::{self, Kind, Record, Totals};
use crate::rules;

/// The emulated devices, by vendor and device.
const E1000E: (u16, u16) = (0x8086, 0x10d3);
const E1000: (u16, u16) = (0x8086, 0x100e);
const EDU: (u16, u16) = (0x1234, 0x11e8);
const NVME: (u16, u16) = (0x1b36, 0x0010);
const I6300ESB: (u16, u16) = (0x8086, 0x25ab);
const IGB: (u16, u16) = (0x8086, 0x10c9);

/// What scenarios work with.
pub(crate) struct Lab {
    /// Where things are.
    pub(crate) paths: Paths,
    /// The repository.
    pub(crate) top: PathBuf,
    /// The build folder.
    pub(crate) build: PathBuf,
    /// The folder of VFIO's modules.
    pub(crate) modules: Modules,
    /// The default values of the parameters.
    pub(crate) at_start: HashMap<&'static str, String>,
    audit: Audit,
    devices: Vec<(Bdf, (u16, u16))>,
    taken: HashMap<Bdf, usize>,
    notes: Vec<String>,
}

/// The folder of the logs: in memory, since the disk belongs to the host.
const LOGS: &str = "/run/e2e";

impl Lab {
    /// Inspects the machine and resets it.
    pub(crate) fn new(paths: &Paths, prefix: &Path) -> Result<Self> {
        let modules = Modules::new(paths);
        let devices = sysfs::devices()?
            .into_iter()
            .map(|bdf| Ok((bdf, sysfs::id(bdf)?)))
            .collect::<Result<_>>()?;
        let mut at_start = HashMap::new();
        if kernel::has_policy() {
            for (name, _) in kernel::DEFAULTS {
                at_start.insert(name, kernel::parameter(name)?);
            }
        }
        Ok(Self {
            at_start,
            audit: Audit::fresh(prefix, Path::new(LOGS).join("start"))?,
            paths: paths.clone(),
            top: paths.top.clone(),
            build: paths.build.clone(),
            modules,
            devices,
            taken: HashMap::new(),
            notes: Vec::new(),
        })
    }

    /// Resets modules, parameters, devices, audit and the log. With `rules`, loads audit rules as
    /// real hosts have them.
    pub(crate) fn reset(&mut self, name: &str, rules: bool) -> Result<()> {
        self.notes.clear();
        self.taken.clear();
        let is_there = kernel::has_policy() || self.modules.is_plain_and_loaded();
        if !is_there && self.modules.with_vfio() {
            // Unpatched modules may be loaded, or none.
            if Path::new("/sys/module/vfio_pci_core").exists() {
                self.modules.unload()?;
            }
            self.modules.load(&[])?;
            ensure!(
                kernel::has_policy() || self.modules.plain(),
                "the kernel has no vfio_pci_audit, or it has no parameters"
            );
        }
        // The daemon may have been stopped, so that auditctl would wait for it, or it may have
        // exited.
        let _ = self.audit.signal(rustix::process::Signal::CONT);
        self.audit.reset()?;
        if self.modules.plain() {
            self.bind()?;
        }
        if kernel::has_policy() {
            self.default_policy()?;
            self.bind()?;
            self.tell_pending_ends()?;
        }
        let prefix = self.audit.prefix().to_owned();
        let folder = Path::new(LOGS).join(name.replace('/', "-"));
        // The old daemon has to exit before the new one starts.
        self.audit.stop(rustix::process::Signal::TERM)?;
        self.audit = Audit::new(&prefix, folder)?;
        self.audit.start()?;
        if rules {
            self.audit.load_rules(rules::GUIDE)?;
            self.note(format!("with {} audit rules loaded", rules::GUIDE.len()));
        }
        // Previous scenarios must not have used up the limits of the devices.
        if kernel::has_policy() {
            self.fill()?;
        }
        Ok(())
    }

    /// Flushes the op=close records of the previous scenario, so that they do not reach the log of
    /// the next one.
    fn tell_pending_ends(&mut self) -> Result<()> {
        let patience = Duration::from_secs(10);
        if wait_until(patience, || Ok(!kernel::has_sessions()))? {
            return Ok(());
        }
        // Records that audit refused are written after the next session ends.
        for shown in kernel::sessions()? {
            let device = Device::open(shown.device.parse()?)?;
            if let Some(run) = device.map().all_runs().first() {
                device.read_vec(run.start as u64, 1)?;
            }
        }
        let told = wait_until(patience, || Ok(!kernel::has_sessions()))?;
        ensure!(told, "sessions stay: {:?}", kernel::sessions()?);
        Ok(())
    }

    /// Fills the buckets of all devices: writing a parameter does that, even with the same value.
    pub(crate) fn fill(&self) -> Result<()> {
        kernel::set_parameter(kernel::BURST, &kernel::parameter(kernel::BURST)?)
    }

    /// Sets all parameters to their default values.
    pub(crate) fn default_policy(&self) -> Result<()> {
        kernel::DEFAULTS
            .iter()
            .try_for_each(|(name, value)| kernel::set_parameter(name, value))
    }

    /// Binds every device that scenarios use to vfio-pci.
    pub(crate) fn bind(&self) -> Result<()> {
        self.devices
            .iter()
            .filter(|(_, id)| [E1000E, E1000, EDU, NVME].contains(id))
            .try_for_each(|(bdf, _)| kernel::bind(*bdf))
    }

    /// Reloads the patched modules with parameters, and binds the devices to them.
    pub(crate) fn reload(&self, parameters: &[String]) -> Result<()> {
        self.modules.unload()?;
        self.modules.load(parameters)?;
        self.bind()
    }

    fn device(&self, id: (u16, u16), nth: usize) -> Result<Bdf> {
        self.devices
            .iter()
            .filter(|(_, other)| *other == id)
            .nth(nth)
            .map(|(bdf, _)| *bdf)
            .with_context(|| format!("there is no device {:04x}:{:04x} #{nth}", id.0, id.1))
    }

    /// A PCIe device.
    pub(crate) fn express(&self) -> Result<Bdf> {
        self.device(E1000E, 0)
    }

    /// Another one of the same kind.
    pub(crate) fn second_express(&self) -> Result<Bdf> {
        self.device(E1000E, 1)
    }

    /// A PCIe device of another kind.
    pub(crate) fn nvme(&self) -> Result<Bdf> {
        self.device(NVME, 0)
    }

    /// A network card with virtual functions, which is there in long runs only.
    pub(crate) fn igb(&self) -> Result<Bdf> {
        self.device(IGB, 0)
    }

    /// A conventional device, of 256 bytes.
    pub(crate) fn conventional(&self) -> Result<Bdf> {
        self.device(E1000, 0)
    }

    /// A conventional device that only tests use.
    pub(crate) fn edu(&self) -> Result<Bdf> {
        self.device(EDU, 0)
    }

    /// A conventional device whose Linux driver writes to unassigned bytes.
    pub(crate) fn watchdog(&self) -> Result<Bdf> {
        self.device(I6300ESB, 0)
    }

    /// One of each kind.
    pub(crate) fn kinds(&self) -> Result<[Bdf; 4]> {
        Ok([
            self.express()?,
            self.nvme()?,
            self.conventional()?,
            self.edu()?,
        ])
    }

    /// The audit system.
    pub(crate) fn audit(&mut self) -> &mut Audit {
        &mut self.audit
    }

    /// Sets both blocking parameters.
    pub(crate) fn block(&self, read: bool, write: bool) -> Result<()> {
        let yes_no = |yes| if yes { "Y" } else { "N" };
        kernel::set_parameter(kernel::BLOCK_READ, yes_no(read))?;
        kernel::set_parameter(kernel::BLOCK_WRITE, yes_no(write))
    }

    /// Set the allow list.
    pub(crate) fn allow(&self, list: &str) -> Result<()> {
        kernel::set_parameter(kernel::ALLOW_IDS, list)
    }

    /// Removes the limits and enlarges the backlog, for scenarios that are not about limits.
    pub(crate) fn unlimited(&mut self) -> Result<()> {
        kernel::set_parameter(kernel::RATE, "0")?;
        self.audit.ctl(&["-b", "0"]).map(drop)
    }

    /// Adds a line to the result of the scenario.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// The lines.
    pub(crate) fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Every PCI record so far, as ausearch finds them.
    pub(crate) fn all_records(&mut self) -> Result<Vec<Record>> {
        self.audit.drain()?;
        record::parse_all(&self.audit.search(&["-m", "PCI", "--raw"])?)
    }

    /// All records of a device in this scenario.
    pub(crate) fn records_of(&mut self, bdf: Bdf) -> Result<Vec<Record>> {
        let device = bdf.to_string();
        let mut records = self.all_records()?;
        records.retain(|record| record.device == device);
        Ok(records)
    }

    /// The records of a device since the last call.
    pub(crate) fn take(&mut self, bdf: Bdf) -> Result<Vec<Record>> {
        let mut records = self.records_of(bdf)?;
        let taken = self.taken.entry(bdf).or_default();
        let new = records.split_off((*taken).min(records.len()));
        *taken += new.len();
        Ok(new)
    }

    /// The records of a device, read from the log itself when it contains the op=close of a
    /// session. Forgets them, because reading a growing log would take ever longer.
    pub(crate) fn take_logged_session(&mut self, bdf: Bdf) -> Result<Vec<Record>> {
        let device = bdf.to_string();
        let mut records = Vec::new();
        let closed = wait_until(Duration::from_secs(10), || {
            records = record::parse_all(&self.audit.logged()?)?;
            records.retain(|record| record.device == device);
            Ok(records
                .iter()
                .any(|record| matches!(record.kind, Kind::Close(_))))
        })?;
        ensure!(closed, "no op=close among {records:?}");
        self.forget()?;
        Ok(records)
    }

    /// Discards the records that are in the log now.
    fn forget(&mut self) -> Result<()> {
        self.taken.clear();
        self.audit.forget()
    }

    /// Discards all records so far.
    pub(crate) fn forget_all(&mut self) -> Result<()> {
        self.audit.drain()?;
        self.forget()
    }

    /// The records of a device since the last call, when the last of them is an op=close.
    pub(crate) fn take_session(&mut self, bdf: Bdf) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        let closed = wait_until(Duration::from_secs(10), || {
            records.extend(self.take(bdf)?);
            Ok(records
                .iter()
                .any(|record| matches!(record.kind, Kind::Close(_))))
        })?;
        ensure!(closed, "no op=close among {records:?}");
        Ok(records)
    }

    /// Closes a device and checks the account of its only session. Returns the totals.
    pub(crate) fn settle(&mut self, device: Device, truth: &Truth, loss: Loss) -> Result<Totals> {
        let bdf = device.bdf();
        drop(device);
        self.settled(bdf, loss, |records| account::check(records, truth, loss))
    }

    /// Checks the account of all sessions of a device, which have ended. Returns the sum of the
    /// totals.
    pub(crate) fn settle_all(&mut self, bdf: Bdf, truth: &Truth, loss: Loss) -> Result<Totals> {
        self.settled(bdf, loss, |records| {
            account::check_all(records, truth, loss)
        })
    }

    fn settled(
        &mut self,
        bdf: Bdf,
        loss: Loss,
        check: impl Fn(&[Record]) -> Result<Totals>,
    ) -> Result<Totals> {
        // op=close records and reports that audit refused are written later, so the check may yet
        // succeed.
        let patience = match loss {
            Loss::Refused => Duration::from_secs(60),
            Loss::None | Loss::Unnoticed => Duration::from_secs(15),
        };
        let mut account = Err(anyhow::anyhow!("never checked"));
        wait_until(patience, || {
            let records = self.records_of(bdf)?;
            account = check(&records);
            Ok(account.is_ok())
        })?;
        account.with_context(|| format!("the account of {bdf}"))
    }

    /// Copies the log to a folder that outlives this machine. Returns the folder.
    pub(crate) fn keep_log(&self, name: &str) -> Result<PathBuf> {
        let folder = self.build.join("e2e");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.log", name.replace('/', "-")));
        std::fs::copy(self.audit.log(), &file)?;
        Ok(file)
    }
}
