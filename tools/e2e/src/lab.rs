// SPDX-License-Identifier: GPL-2.0

//! The machine that a scenario works on, brought to the same state before each.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use vfio_client::{sysfs, Bdf, Device};

use crate::account::{self, Loss, Truth};
use crate::audit::{wait_until, Audit};
use crate::kernel;
use crate::modules::Modules;
use crate::record::{Kind, Record, Totals};
use crate::rules;

/// An error that means: this cannot be tried here.
#[derive(Debug)]
pub(crate) struct Skip(pub(crate) String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Skip {}

/// The emulated devices, by vendor and device.
const E1000E: (u16, u16) = (0x8086, 0x10d3);
const E1000: (u16, u16) = (0x8086, 0x100e);
const EDU: (u16, u16) = (0x1234, 0x11e8);
const NVME: (u16, u16) = (0x1b36, 0x0010);

/// Everything a scenario needs.
pub(crate) struct Lab {
    /// The repository.
    pub(crate) top: PathBuf,
    /// Where it builds.
    pub(crate) build: PathBuf,
    /// VFIO's modules.
    pub(crate) modules: Modules,
    /// The parameters as they were before anybody set them.
    pub(crate) at_start: HashMap<&'static str, String>,
    audit: Audit,
    devices: Vec<(Bdf, (u16, u16))>,
    taken: HashMap<Bdf, usize>,
    notes: Vec<String>,
}

/// Where logs are while scenarios run: in memory, since the disk is another machine's.
const LOGS: &str = "/run/e2e";

impl Lab {
    /// Look at the machine and bring it to the state in which scenarios begin.
    pub(crate) fn new(top: PathBuf, build: PathBuf, prefix: &Path) -> Result<Self> {
        let modules = Modules::new(&top, &build);
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
            top,
            build,
            modules,
            devices,
            taken: HashMap::new(),
            notes: Vec::new(),
        })
    }

    /// Nothing is left of what came before: modules, parameters, devices, audit, log. With `rules`, audit rules are loaded
    /// as they are on a real host.
    pub(crate) fn reset(&mut self, name: &str, rules: bool) -> Result<()> {
        self.notes.clear();
        self.taken.clear();
        if !kernel::has_policy() && self.modules.with_vfio() {
            // Unpatched modules may be there, or none.
            if Path::new("/sys/module/vfio_pci_core").exists() {
                self.modules.unload()?;
            }
            self.modules.load(&[])?;
            ensure!(
                kernel::has_policy(),
                "the kernel has no vfio_pci_audit, or it has no parameters"
            );
        }
        // It may have been stopped, and auditctl would wait for it; or it may have ended.
        let _ = self.audit.signal(rustix::process::Signal::CONT);
        self.audit.reset()?;
        if kernel::has_policy() {
            self.default_policy()?;
            self.bind()?;
            self.tell_pending_ends()?;
        }
        let prefix = self.audit.prefix().to_owned();
        let folder = Path::new(LOGS).join(name.replace('/', "-"));
        // The old daemon has to be gone before the new one comes.
        self.audit.stop(rustix::process::Signal::TERM)?;
        self.audit = Audit::fresh(&prefix, folder)?;
        if rules {
            self.audit.load_rules(rules::GUIDE)?;
            self.note(format!("with {} audit rules loaded", rules::GUIDE.len()));
        }
        // Nothing of what came before has used up what a device may write.
        if kernel::has_policy() {
            self.fill()?;
        }
        Ok(())
    }

    /// Have the ends told that a scenario left behind, which is not for the log of the next.
    fn tell_pending_ends(&mut self) -> Result<()> {
        let patience = Duration::from_secs(10);
        if wait_until(patience, || Ok(!kernel::has_sessions()))? {
            return Ok(());
        }
        // What audit refused goes out when there is a new end.
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

    /// Fill what every device may write: a parameter that is written does it, though it stays as it is.
    pub(crate) fn fill(&self) -> Result<()> {
        kernel::set_parameter(kernel::BURST, &kernel::parameter(kernel::BURST)?)
    }

    /// All parameters as they are when nobody has set them.
    pub(crate) fn default_policy(&self) -> Result<()> {
        kernel::DEFAULTS
            .iter()
            .try_for_each(|(name, value)| kernel::set_parameter(name, value))
    }

    /// Give every device that scenarios use to vfio-pci.
    pub(crate) fn bind(&self) -> Result<()> {
        self.devices
            .iter()
            .filter(|(_, id)| [E1000E, E1000, EDU, NVME].contains(id))
            .try_for_each(|(bdf, _)| kernel::bind(*bdf))
    }

    /// Load the patched modules anew, with parameters, and give them the devices.
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

    /// A conventional device, of 256 bytes.
    pub(crate) fn conventional(&self) -> Result<Bdf> {
        self.device(E1000, 0)
    }

    /// A conventional device that nothing but tests use.
    pub(crate) fn edu(&self) -> Result<Bdf> {
        self.device(EDU, 0)
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

    /// Set both toggles.
    pub(crate) fn block(&self, read: bool, write: bool) -> Result<()> {
        let yes_no = |yes| if yes { "Y" } else { "N" };
        kernel::set_parameter(kernel::BLOCK_READ, yes_no(read))?;
        kernel::set_parameter(kernel::BLOCK_WRITE, yes_no(write))
    }

    /// Set the allow list.
    pub(crate) fn allow(&self, list: &str) -> Result<()> {
        kernel::set_parameter(kernel::ALLOW_IDS, list)
    }

    /// Record everything, and have room for it: for scenarios that are not about limits.
    pub(crate) fn unlimited(&mut self) -> Result<()> {
        kernel::set_parameter(kernel::RATE, "0")?;
        self.audit.ctl(&["-b", "0"]).map(drop)
    }

    /// Remember a line for whoever reads the result.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// The lines.
    pub(crate) fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// All records of a device in this scenario.
    pub(crate) fn records_of(&mut self, bdf: Bdf) -> Result<Vec<Record>> {
        let device = bdf.to_string();
        let mut records = self.audit.records()?;
        records.retain(|record| record.device == device);
        Ok(records)
    }

    /// The records of a device that were not taken before.
    pub(crate) fn take(&mut self, bdf: Bdf) -> Result<Vec<Record>> {
        let mut records = self.records_of(bdf)?;
        let taken = self.taken.entry(bdf).or_default();
        let new = records.split_off((*taken).min(records.len()));
        *taken += new.len();
        Ok(new)
    }

    /// The records of a device as soon as the log has that of a session's end, read from the log itself. They are
    /// forgotten then: a log that grows would take ever longer to read.
    pub(crate) fn take_logged_session(&mut self, bdf: Bdf) -> Result<Vec<Record>> {
        let device = bdf.to_string();
        let mut records = Vec::new();
        let closed = wait_until(Duration::from_secs(10), || {
            records = self.audit.logged()?;
            records.retain(|record| record.device == device);
            Ok(records
                .iter()
                .any(|record| matches!(record.kind, Kind::Close(_))))
        })?;
        ensure!(closed, "no op=close among {records:?}");
        self.forget()?;
        Ok(records)
    }

    /// Forget the records that are in the log by now.
    fn forget(&mut self) -> Result<()> {
        self.taken.clear();
        self.audit.forget()
    }

    /// Forget all records so far.
    pub(crate) fn forget_all(&mut self) -> Result<()> {
        self.audit.drain()?;
        self.forget()
    }

    /// The records of a device that were not taken before, as soon as the last of them is that of a session's end.
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

    /// Close a device and check the account of its only session; its totals.
    pub(crate) fn settle(&mut self, device: Device, truth: &Truth, loss: Loss) -> Result<Totals> {
        let bdf = device.bdf();
        drop(device);
        self.settled(bdf, loss, |records| account::check(records, truth, loss))
    }

    /// Check the account of all sessions of a device, which are over; the sum of their totals.
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
        // Ends, and reports that audit has refused, come later, so a wrong account may yet become right.
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

    /// Put the log where it outlives this machine; the folder.
    pub(crate) fn keep_log(&self, name: &str) -> Result<PathBuf> {
        let folder = self.build.join("e2e");
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(format!("{}.log", name.replace('/', "-")));
        std::fs::copy(self.audit.log(), &file)?;
        Ok(file)
    }
}
