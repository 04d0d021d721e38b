// SPDX-License-Identifier: GPL-2.0

//! The machine that is measured: loaded modules, and the state of audit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{ensure, Context, Result};
use vfio_client::{Bdf, Device};

use crate::{command, kernel};

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

/// The folder of the log during measurements: in memory.
const LOG: &str = "/run/bench";

/// The state of the machine.
pub(crate) struct Lab {
    top: PathBuf,
    build: PathBuf,
    /// Whether it is a stock kernel with the livepatch.
    stock: bool,
    /// The device that is measured.
    pub(crate) device: Bdf,
}

impl Lab {
    /// Creates a lab with no module loaded and no daemon.
    pub(crate) fn new(top: &Path, build: &Path, device: Bdf) -> Self {
        Self {
            top: top.to_owned(),
            build: build.to_owned(),
            stock: std::env::var_os("STOCK").is_some(),
            device,
        }
    }

    /// Whether the kernel is a stock one.
    pub(crate) fn stock(&self) -> bool {
        self.stock
    }

    fn script(&self, name: &str) -> Command {
        Command::new(self.top.join("scripts").join(name))
    }

    /// Replaces the loaded VFIO modules, and binds the devices to them. Parameters are
    /// `vfio_pci_audit.NAME=VALUE`.
    pub(crate) fn load(&self, core: Core, parameters: &[String]) -> Result<()> {
        let folder = match core {
            _ if self.stock => None,
            Core::Unpatched => Some("linux/unpatched"),
            Core::OptionOff => Some("linux/off"),
            Core::Ours => None,
        };
        let mut load = self.script("vm-modules.sh");

        command::stdout(self.script("vm-modules.sh").arg("unload"))?;
        load.arg("load");
        for file in ["vfio-pci-core.ko", "vfio-pci.ko"] {
            if let Some(folder) = folder {
                load.arg("--replace")
                    .arg(self.build.join(folder).join(file));
            }
        }
        if self.stock && core == Core::Unpatched {
            load.args(["vfio-pci", "vfio_iommu_type1"]);
        }
        command::stdout(load.args(parameters))?;
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
        let file = self.build.join("linux/bench/audit_yardstick.ko");
        command::stdout(Command::new("insmod").arg(file)).map(drop)
    }

    /// Opens the measured device.
    pub(crate) fn open(&self) -> Result<Device> {
        Ok(Device::open(self.device)?)
    }

    /// Runs auditctl.
    pub(crate) fn auditctl(&self, arguments: &[&str]) -> Result<String> {
        let audit = self.build.join("audit");
        let mut ctl = Command::new(audit.join("sbin/auditctl"));
        command::stdout(
            ctl.args(arguments)
                .env("LD_LIBRARY_PATH", audit.join("lib")),
        )
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
        command::stdout(self.script("vm-auditd.sh").args(["start", LOG])).map(drop)
    }

    /// Waits until the daemon has all records. Fails if any was lost.
    pub(crate) fn drain(&self) -> Result<()> {
        for _ in 0..600 {
            if self.status("backlog")? == 0 {
                let lost = self.status("lost")?;
                ensure!(lost == 0, "audit lost {lost} records");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("the daemon does not take the backlog")
    }

    /// Stops the daemon, and removes its log.
    pub(crate) fn stop_daemon(&self) -> Result<()> {
        self.enable_audit(false)?;
        command::stdout(self.script("vm-auditd.sh").arg("stop"))?;
        fs::remove_dir_all(LOG).context(LOG)
    }

    fn status(&self, name: &str) -> Result<u64> {
        let text = self.auditctl(&["-s"])?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .with_context(|| format!("auditctl -s tells no {name}: {text}"))
    }
}
