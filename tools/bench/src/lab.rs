// SPDX-License-Identifier: GPL-2.0

//! The machine that is measured: loaded modules, and the state of audit.

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::lab::auditd::Audit;
use ::lab::modules::{Load, Modules};
use ::lab::paths::Paths;
use ::lab::{insmod, kernel, wait_until};
use anyhow::{ensure, Context, Result};
use rustix::process::Signal;
use vfio_client::{Bdf, Device};

/// Which vfio-pci-core is loaded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Core {
    /// Without the series.
    Unpatched,
    /// With the series, the option off.
    OptionOff,
    /// With the series, the option on.
    Ours,
}

/// Has the module keep accesses for the next boot, which it does where memory is reserved for that
/// unless it is told not to.
pub(crate) const KEEP: &str = "pci_audit.keep=Y";

/// The folder of the log during measurements: in memory.
const LOG: &str = "/run/bench";

/// The state of the machine.
pub(crate) struct Lab {
    build: PathBuf,
    modules: Modules,
    audit: RefCell<Audit>,
    /// The device that is measured.
    pub(crate) device: Bdf,
}

impl Lab {
    /// A lab with nothing loaded and no daemon.
    pub(crate) fn new(paths: &Paths, device: Bdf) -> Result<Self> {
        Ok(Self {
            build: paths.build.clone(),
            modules: Modules::find(paths),
            audit: RefCell::new(Audit::new(&paths.audit(), PathBuf::from(LOG))?),
            device,
        })
    }

    /// Whether the kernel is a stock one, and ours comes as a livepatch.
    pub(crate) fn stock(&self) -> bool {
        self.modules.stock().is_some()
    }

    /// Replaces the loaded VFIO modules, and binds the devices to them. Parameters are
    /// `vfio_pci_audit.NAME=VALUE`, or [`KEEP`].
    pub(crate) fn load(&self, core: Core, parameters: &[String]) -> Result<()> {
        let folder = match core {
            _ if self.stock() => None,
            Core::Unpatched => Some("linux/unpatched"),
            Core::OptionOff => Some("linux/off"),
            Core::Ours => None,
        };
        let mut load = Load::words(parameters.iter().cloned());
        if !parameters.iter().any(|word| word == KEEP) {
            load.parameters.push("pci_audit.keep=N".to_owned());
        }
        for file in ["vfio-pci-core.ko", "vfio-pci.ko"] {
            load.replace
                .extend(folder.map(|folder| self.build.join(folder).join(file)));
        }
        if self.stock() && core == Core::Unpatched {
            load.names = ["vfio-pci", "vfio_iommu_type1"].map(str::to_owned).to_vec();
        }
        self.modules.unload_all()?;
        self.modules.load(&load)?;
        ensure!(
            kernel::has_policy() == (core == Core::Ours),
            "{core:?} was to be loaded, and another one is"
        );
        kernel::bind(self.device)
    }

    /// Loads the yardstick module, unless it is loaded.
    pub(crate) fn load_yardstick(&self) -> Result<()> {
        if Path::new("/sys/module/audit_yardstick").exists() {
            return Ok(());
        }
        self.load_module("yardstick")
    }

    /// Loads a module of tools/modules, `audit_NAME`.
    pub(crate) fn load_module(&self, name: &str) -> Result<()> {
        let file = self
            .build
            .join(format!("linux/bench/{name}/audit_{name}.ko"));
        insmod::load(&file, "")
    }

    /// Unloads it.
    pub(crate) fn unload_module(&self, name: &str) -> Result<()> {
        let name = format!("audit_{name}");
        insmod::unload(&name).with_context(|| format!("delete_module({name})"))
    }

    /// Opens the measured device.
    pub(crate) fn open(&self) -> Result<Device> {
        Ok(Device::open(self.device)?)
    }

    /// Runs auditctl.
    pub(crate) fn auditctl(&self, arguments: &[&str]) -> Result<String> {
        self.audit.borrow().ctl(arguments)
    }

    /// Switches auditing on or off.
    pub(crate) fn enable_audit(&self, on: bool) -> Result<()> {
        self.auditctl(&["-e", if on { "1" } else { "0" }]).map(drop)
    }

    /// Loads one rule only: no task gets an audit context, whose cost per system call is not
    /// measured here.
    pub(crate) fn spare_tasks(&self) -> Result<()> {
        self.auditctl(&["-D"])?;
        self.auditctl(&["-a", "never,task"]).map(drop)
    }

    /// Starts the daemon, with a backlog for all records of a measurement.
    pub(crate) fn start_daemon(&self) -> Result<()> {
        self.auditctl(&["-b", "16384"])?;
        self.audit.borrow_mut().start()
    }

    /// Waits until the daemon has all records. Fails if any was lost.
    pub(crate) fn drain(&self) -> Result<()> {
        let audit = self.audit.borrow();
        let drained = wait_until(
            Duration::from_secs(60),
            || Ok(audit.status("backlog")? == 0),
        )?;
        ensure!(drained, "the daemon does not take the backlog");
        let lost = audit.status("lost")?;
        ensure!(lost == 0, "audit lost {lost} records");
        Ok(())
    }

    /// Stops the daemon, and removes its log.
    pub(crate) fn stop_daemon(&self) -> Result<()> {
        self.enable_audit(false)?;
        self.audit.borrow_mut().stop(Signal::TERM)?;
        let log = self.audit.borrow().log();
        fs::remove_file(&log).with_context(|| log.display().to_string())
    }
}
