// SPDX-License-Identifier: GPL-2.0

//! Loading and unloading VFIO's modules, patched and not.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use ::lab::insmod;
use ::lab::modules::Load;
use ::lab::paths::Paths;

use crate::lab::Skip;
use crate::livepatch::{self, Livepatch};

/// VFIO's modules as the build left them.
pub(crate) struct Modules {
    kernel: ::lab::modules::Modules,
    with_vfio: bool,
    plain: bool,
    unpatched: PathBuf,
    variant: PathBuf,
    faults: PathBuf,
    other: PathBuf,
    own: PathBuf,
}

/// The variant driver that cuts accesses up by itself.
pub(crate) const VARIANT: &str = "vfio_pci_loop";

/// The module that has parameters, and so a folder in sysfs even when it is built in.
const ANY: &str = "/sys/module/vfio_pci_audit";

impl Modules {
    pub(crate) fn new(paths: &Paths) -> Self {
        let build = &paths.build;
        let kernel = ::lab::modules::Modules::find(paths);
        // What is built outside the kernel's folder is for one kernel only.
        let others = std::env::var_os("OBJECTS").map_or_else(|| build.join("linux"), PathBuf::from);
        let own = std::env::var_os("OBJECTS").map_or_else(|| build.join("linux/m"), PathBuf::from);
        let has_modules = std::fs::read_to_string(own.join("modules.order"))
            .is_ok_and(|order| order.contains("/vfio-pci.o"));
        let faults = kernel.stock().unwrap_or(&others).join("faults");
        Self {
            faults,
            other: others.join("other/src/drivers/pci/audit/pci-audit.ko"),
            with_vfio: kernel.stock().is_some() || has_modules || Path::new(ANY).exists(),
            kernel,
            plain: std::env::var_os("PLAIN").is_some(),
            unpatched: others.join("unpatched"),
            variant: others.join("variant/vfio_pci_loop.ko"),
            own,
        }
    }

    /// Load the patched modules. A parameter is written `vfio_pci_audit.NAME=VALUE`.
    pub(crate) fn load(&self, parameters: &[String]) -> Result<()> {
        if self.plain {
            return self.load_unpatched();
        }
        self.kernel.load(&Load::words(parameters.iter().cloned()))
    }

    /// Load vfio-pci and its core as they are without the patches.
    pub(crate) fn load_unpatched(&self) -> Result<()> {
        if self.stock() {
            return self
                .kernel
                .load(&Load::words(["vfio-pci", "vfio_iommu_type1"]));
        }
        let mut replace = Vec::new();
        for name in ["vfio-pci-core.ko", "vfio-pci.ko"] {
            let file = self.unpatched.join(name);
            if !file.exists() {
                bail!(Skip(format!(
                    "there is no unpatched {name} to compare with"
                )));
            }
            replace.push(file);
        }
        self.kernel.load(&Load {
            replace,
            ..Load::default()
        })
    }

    /// Load one of the sample drivers, besides what is loaded.
    pub(crate) fn load_sample(&self, name: &str) -> Result<()> {
        if self.stock() {
            bail!(Skip("samples are not built for a stock kernel".into()));
        }
        self.load(&[name.to_owned()])
    }

    /// Whether the kernel has VFIO, built in or as modules.
    pub(crate) fn with_vfio(&self) -> bool {
        self.with_vfio
    }

    /// Whether the kernel has VFIO as it is, and nothing of ours comes to it.
    pub(crate) fn plain(&self) -> bool {
        self.plain
    }

    /// Whether that is loaded.
    pub(crate) fn is_plain_and_loaded(&self) -> bool {
        self.plain && Path::new("/sys/module/vfio_pci").exists()
    }

    /// Load the variant driver, besides what is loaded.
    pub(crate) fn load_variant(&self) -> Result<()> {
        if self.stock() {
            bail!(Skip(
                "a livepatch does not cover variant drivers that call vfio_pci_config_rw_single() \
                 themselves"
                    .into()
            ));
        }
        if self.built_in() || !self.variant.exists() {
            bail!(Skip("there is no variant driver for this kernel".into()));
        }
        self.kernel.load(&Load {
            replace: vec![self.variant.clone()],
            ..Load::words([VARIANT])
        })
    }

    /// A module that only tests load, built for this kernel (tools/modules/faults).
    pub(crate) fn of_the_tests(&self, name: &str) -> Result<PathBuf> {
        let file = self.faults.join(format!("{name}.ko"));
        if !file.exists() {
            bail!(Skip(format!("there is no {name} for this kernel")));
        }
        Ok(file)
    }

    /// The files of pci_audit and vfio_pci_audit.
    pub(crate) fn ours(&self) -> Result<[PathBuf; 2]> {
        if self.built_in() || self.stock() {
            bail!(Skip(
                "this is tried with the modules of a kernel of ours".into()
            ));
        }
        let drivers = self.own.join("drivers");
        Ok([
            drivers.join("pci/audit/pci-audit.ko"),
            drivers.join("vfio/pci/audit/vfio-pci-audit.ko"),
        ])
    }

    /// A pci_audit that was built of other sources than the modules which use it.
    pub(crate) fn other_pci_audit(&self) -> Result<PathBuf> {
        if !self.other.exists() {
            bail!(Skip("there is no other pci_audit for this kernel".into()));
        }
        Ok(self.other.clone())
    }

    /// Unload them, whichever they are.
    pub(crate) fn unload(&self) -> Result<()> {
        if self.built_in() {
            bail!(Skip("VFIO is built in, so it cannot be unloaded".into()));
        }
        self.kernel.unload_all()
    }

    /// Whether the kernel is a stock one, which vfio_pci_audit comes to by a livepatch.
    pub(crate) fn stock(&self) -> bool {
        self.kernel.stock().is_some()
    }

    /// The livepatch, to load and unload quickly.
    pub(crate) fn livepatch(&self) -> Result<Livepatch> {
        let Some(stock) = self.kernel.stock() else {
            bail!(Skip("this kernel takes no livepatch of ours".into()));
        };
        Livepatch::read(stock)
    }

    /// Load the livepatch and the policy that it is of, and nothing of VFIO.
    pub(crate) fn load_livepatch(&self, parameters: &[String]) -> Result<()> {
        let mut arguments = parameters.to_vec();
        arguments.push(livepatch::NAME.to_owned());
        self.load(&arguments)
    }

    /// Load VFIO, as `file` of modprobe.d has it.
    pub(crate) fn load_by(&self, file: &Path) -> Result<()> {
        self.kernel.load(&Load {
            options: Some(file.to_owned()),
            ..Load::words(["vfio-pci", "vfio_iommu_type1"])
        })
    }

    /// Disable and unload the livepatch, unless another has replaced it; unload the policy that it
    /// is of, and nothing of VFIO.
    pub(crate) fn unload_livepatch(&self) -> Result<()> {
        self.kernel.unload(&[livepatch::NAME, "vfio_pci_audit"])
    }

    /// A livepatch that replaces all others.
    pub(crate) fn replacing(&self) -> Result<PathBuf> {
        let Some(stock) = self.kernel.stock() else {
            bail!(Skip("this kernel takes no livepatch of ours".into()));
        };
        let file = stock.join("replace/e2e-replace.ko");
        if !file.exists() {
            bail!(Skip(
                "there is no livepatch that replaces others (scripts/build-stock.sh --image)"
                    .into()
            ));
        }
        Ok(file)
    }

    /// Unload all of them, one by one, and how long each took; without what scripts and programs
    /// take to start.
    pub(crate) fn unload_each(&self) -> Result<Vec<(&'static str, Duration)>> {
        if self.built_in() {
            bail!(Skip("VFIO is built in, so it cannot be unloaded".into()));
        }
        let mut took = Vec::new();
        for name in [
            livepatch::NAME,
            "vfio_pci",
            "vfio_pci_core",
            "vfio_pci_audit",
            "pci_audit",
        ] {
            if !Path::new("/sys/module").join(name).exists() {
                continue;
            }
            let started = Instant::now();
            if name == livepatch::NAME {
                livepatch::unload()?;
            } else {
                insmod::unload(name).with_context(|| format!("delete_module({name})"))?;
            }
            took.push((name, started.elapsed()));
        }
        Ok(took)
    }

    /// Unload VFIO, but not the livepatch.
    pub(crate) fn unload_vfio(&self) -> Result<()> {
        self.kernel
            .unload(&["vfio_pci", "vfio_pci_core", "vfio_iommu_type1", "vfio"])
    }

    /// Whether VFIO is part of the kernel image. Only a module has a state.
    pub(crate) fn built_in(&self) -> bool {
        Path::new(ANY).exists() && !Path::new(ANY).join("initstate").exists()
    }
}
