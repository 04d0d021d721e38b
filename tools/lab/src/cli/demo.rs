// SPDX-License-Identifier: GPL-2.0

//! In the VM: shows what the modules do, scene by scene, on an emulated e1000e.
//!
//! What reached the device is not guessed: probes on the kernel's last functions before the
//! hardware tell. All accesses are of one byte, unlike those that others make by the way.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use lab::auditd::Audit;
use lab::command;
use lab::guest::{Backend, Guest};
use lab::kernel::{self, ALLOW_IDS, BLOCK_READ, BLOCK_WRITE};
use lab::livepatch;
use lab::modules::{Load, Modules};
use lab::paths::Paths;
use lab::trace::Probe;
use vfio_client::{sysfs, Bdf};

/// The device.
pub(crate) const DEVICE: &str = "0000:01:00.0";
/// A byte of its configuration space that belongs to no capability.
const OFFSET: usize = 0x2f8;
/// The same, as it is written.
pub(crate) const OFFSET_TEXT: &str = "0x2f8";

/// How long a guest may take that waits for the other scenes.
const PATIENCE: Duration = Duration::from_secs(1200);

struct Demo<'a> {
    paths: &'a Paths,
    modules: Modules,
    device: Bdf,
    audit: Audit,
    probe: Probe,
    rows: Vec<String>,
}

/// Run it.
pub(crate) fn run(paths: &Paths) -> Result<()> {
    let modules = Modules::find(paths);
    let device: Bdf = DEVICE.parse()?;
    let stock = modules.stock().is_some();
    modules.load(&Load::words(["vfio-pci", "vfio_iommu_type1"]))?;
    kernel::bind(device)?;
    let mut demo = Demo {
        audit: Audit::fresh(&paths.audit(), Path::new("/run/demo").to_owned())?,
        probe: Probe::config_bytes(OFFSET)?,
        rows: Vec::new(),
        paths,
        modules,
        device,
    };
    demo.introduce()?;
    if stock {
        demo.modules_come_and_go()?;
    }
    demo.scenes()?;
    if !stock {
        demo.real_guest()?;
    }
    demo.conclude()
}

impl Demo<'_> {
    fn introduce(&self) -> Result<()> {
        let device = self.device;
        let (vendor, id) = sysfs::id(device)?;
        println!(
            "Device {device} ({vendor:04x}:{id:04x}), an emulated e1000e, is bound to vfio-pci."
        );
        println!(
            "Byte {OFFSET_TEXT} of its configuration space belongs to no capability. Its \
             config space:"
        );
        let map = self.client(&["map", DEVICE])?;
        for line in map.lines().take(12) {
            println!("    {line}");
        }
        Ok(())
    }

    fn scenes(&mut self) -> Result<()> {
        let read = |demo: &mut Self| demo.client(&["read", DEVICE, OFFSET_TEXT, "1"]);
        let write = |demo: &mut Self| demo.client(&["write", DEVICE, OFFSET_TEXT, "ff"]);
        self.scene("read, nothing blocked", read)?;
        self.scene("write, nothing blocked", write)?;
        kernel::set_parameter(BLOCK_READ, "Y")?;
        self.scene("read, block_pci_unassigned_read=Y", read)?;
        self.scene("write, block_pci_unassigned_read=Y", write)?;
        kernel::set_parameter(BLOCK_WRITE, "Y")?;
        self.scene("write, block_pci_unassigned_write=Y too", write)?;
        kernel::set_parameter(ALLOW_IDS, "8086:10d3")?;
        self.scene("write, device in uaccess_allow_ids", write)?;
        kernel::set_parameter(ALLOW_IDS, "")
    }

    fn real_guest(&mut self) -> Result<()> {
        println!(
            "\nA real guest comes next: QEMU with a vfio-pci device, in which root writes through \
             the guest's own sysfs.\n\
             (It is an emulated machine inside an emulated machine. Give it a minute.)"
        );
        self.scene("a guest's root writes, both toggles Y", |demo| {
            let mut guest = Guest::resume(demo.paths, PATIENCE)?;
            guest.plug(demo.device, Backend::Container)?;
            let said = guest.ask(&poke())?;
            guest.end()?;
            Ok(said)
        })
    }

    /// A guest holds the device before the modules are there, and goes on while they come and go.
    fn modules_come_and_go(&mut self) -> Result<()> {
        println!(
            "\nFirst a real guest takes the device, before the modules are there: QEMU with a \
             vfio-pci device, an emulated machine\n\
             inside an emulated machine. Give it a minute."
        );
        let mut guest = Guest::resume(self.paths, PATIENCE)?;
        guest.plug(self.device, Backend::Container)?;
        let mut step = |demo: &mut Self, what: &str| demo.scene(what, |_| guest.ask(&poke()));
        step(self, "a guest's root writes, no module loaded")?;
        println!("\n* modprobe {}, while the guest runs", livepatch::NAME);
        self.modules.load(&Load::default())?;
        step(self, "the same guest, vfio_pci_audit loaded")?;
        kernel::set_parameter(BLOCK_WRITE, "Y")?;
        step(self, "the same guest, block_pci_unassigned_write=Y")?;
        println!(
            "\n* echo 0 >/sys/kernel/livepatch/{}/enabled; rmmod, while the guest runs",
            livepatch::NAME
        );
        self.modules
            .unload(&[livepatch::NAME, "vfio_pci_audit", "pci_audit"])?;
        step(self, "the same guest, vfio_pci_audit unloaded")?;
        guest.end()?;
        println!("\n* modprobe {} again", livepatch::NAME);
        self.modules.load(&Load::default())
    }

    /// Do something, and note what came of it.
    fn scene(&mut self, what: &str, act: impl FnOnce(&mut Self) -> Result<String>) -> Result<()> {
        let before = self.records()?.len();
        self.probe.forget()?;
        println!("\n* {what}");
        for line in act(self).with_context(|| what.to_owned())?.lines() {
            println!("    {line}");
        }
        let reached = if self.probe.hits()? > 0 { "yes" } else { "no" };
        let records = self.records()?;
        let recorded = match records.last() {
            Some(record) if records.len() > before => record.as_str(),
            _ => "",
        };
        self.rows
            .push(format!("{what:46}  {reached:7}  {recorded}"));
        Ok(())
    }

    /// The records of accesses to the byte, from their op on.
    fn records(&mut self) -> Result<Vec<String>> {
        self.audit.drain()?;
        let found = self.audit.search(&["-m", "PCI", "--raw"])?;
        let offset = format!(" offset={OFFSET_TEXT}");
        Ok(found
            .lines()
            .filter_map(|line| line.find(" op=").map(|at| &line[at + 1..]))
            .filter(|text| text.starts_with("op=read") || text.starts_with("op=write"))
            .filter(|text| text.contains(&offset))
            .map(str::to_owned)
            .collect())
    }

    fn client(&self, arguments: &[&str]) -> Result<String> {
        command::stdout(Command::new(self.paths.tool("vfio-client")).args(arguments))
    }

    fn conclude(&mut self) -> Result<()> {
        println!("\nausearch -m PCI:");
        let found = self.audit.search(&["-m", "PCI"])?;
        let lines: Vec<_> = found
            .lines()
            .filter(|line| line.starts_with("type="))
            .collect();
        for line in &lines[lines.len().saturating_sub(25)..] {
            println!("    {line}");
        }
        println!("\n{:46}  {:7}  recorded", "what was tried", "reached");
        for row in &self.rows {
            println!("{row}");
        }
        Ok(())
    }
}

/// What the guest's root is asked for.
fn poke() -> String {
    format!("poke={OFFSET_TEXT}:0xff:1")
}
