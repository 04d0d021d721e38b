// SPDX-License-Identifier: GPL-2.0

//! The virtual machines of one host, and which of them a process was.
//!
//! libvirt tells of a machine's process only once it runs, which is after it opened its devices. So
//! a process is looked up when all records are read.

use std::collections::VecDeque;

use pci_config::Bdf;

use crate::holder::Holder;
use crate::virt::{Virt, What};

/// The most machines of one host that are remembered; those that ended longest ago are forgotten
/// first.
pub const MAX_VMS: usize = 512;

/// How long a machine may take from opening a device to the record of its start, in milliseconds.
const STARTING: u64 = 10 * 60 * 1000;

/// A virtual machine.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Vm {
    /// Its name; nothing if only its UUID is known.
    pub name: Option<String>,
    /// Its UUID; nothing if only its name is known.
    pub uuid: Option<String>,
}

impl Vm {
    /// What people call it.
    pub fn text(&self) -> &str {
        let name = self.name.as_deref();
        name.or(self.uuid.as_deref()).unwrap_or_default()
    }

    /// Whether it has a name or a UUID.
    pub fn is_called(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name) || self.uuid.as_deref() == Some(name)
    }
}

/// One run of a virtual machine, from its start to its end.
#[derive(Clone, Debug)]
struct Run {
    vm: String,
    uuid: String,
    pid: Option<u64>,
    context: Option<String>,
    devices: Vec<Bdf>,
    boot: u64,
    first: u64,
    stopped: Option<u64>,
}

impl Run {
    fn vm(&self) -> Vm {
        Vm {
            name: Some(self.vm.clone()),
            uuid: Some(self.uuid.clone()),
        }
    }

    /// Whether it ran, or was about to, at a time of a boot.
    fn ran(&self, time: u64, boot: u64) -> bool {
        self.boot == boot
            && time.saturating_add(STARTING) >= self.first
            && self.stopped.is_none_or(|stopped| time <= stopped)
    }
}

/// The virtual machines of one host.
#[derive(Clone, Debug, Default)]
pub struct Vms {
    runs: VecDeque<Run>,
    forgotten: u64,
}

impl Vms {
    /// Take a record into account.
    pub fn add(&mut self, virt: &Virt<'_>, boot: u64) {
        let live =
            |run: &&mut Run| run.uuid == virt.uuid && run.boot == boot && run.stopped.is_none();
        let run = match (self.runs.iter_mut().rev().find(live), &virt.what) {
            // Another process is another run, of which the end of the one before is not in the log.
            (Some(run), What::Start(pid)) if run.pid.is_some_and(|other| other != *pid) => {
                run.stopped = Some(virt.time);
                self.start(virt, boot)
            }
            (Some(run), _) => run,
            (None, What::Stop) => return,
            (None, _) => self.start(virt, boot),
        };
        match virt.what {
            What::Start(pid) => run.pid = Some(pid),
            What::Stop => run.stopped = Some(virt.time),
            What::Context(context) => run.context = Some(context.to_owned()),
            What::Device(bdf) => {
                if !run.devices.contains(&bdf) && run.devices.len() < 64 {
                    run.devices.push(bdf);
                }
            }
        }
    }

    fn start(&mut self, virt: &Virt<'_>, boot: u64) -> &mut Run {
        if self.runs.len() == MAX_VMS {
            let ended = self.runs.iter().position(|run| run.stopped.is_some());
            self.runs.remove(ended.unwrap_or(0));
            self.forgotten += 1;
        }
        self.runs.push_back(Run {
            vm: virt.vm.clone().into_owned(),
            uuid: virt.uuid.to_owned(),
            pid: None,
            context: None,
            devices: Vec::new(),
            boot,
            first: virt.time,
            stopped: None,
        });
        let last = self.runs.len() - 1;
        &mut self.runs[last]
    }

    /// How many runs were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The machine that a process was which held a device at a time.
    pub fn find(&self, holder: &Holder, time: u64, boot: u64) -> Option<Vm> {
        let ran = || self.runs.iter().filter(|run| run.ran(time, boot));
        let nearest = |runs: &mut dyn Iterator<Item = &Run>| {
            runs.min_by_key(|run| run.first.abs_diff(time)).map(Run::vm)
        };
        let by_pid = |run: &&Run| run.pid.is_some() && run.pid == holder.pid;
        let by_context = |run: &&Run| {
            // Under AppArmor and without confinement all machines may have the same one.
            let known = run.context.as_deref();
            known.is_some_and(|context| context == holder.subj && context.contains(':'))
        };
        nearest(&mut ran().filter(by_pid))
            .or_else(|| nearest(&mut ran().filter(by_context)))
            .or_else(|| self.by_profile(holder))
    }

    /// The machine that was a process in any boot: the one that ran at a time, or else the last.
    pub fn of_process(&self, pid: u64, time: Option<u64>) -> Option<Vm> {
        let mut runs = self.runs.iter().filter(|run| run.pid == Some(pid));
        match time {
            Some(time) => {
                let ran = runs.filter(|run| run.ran(time, run.boot));
                ran.min_by_key(|run| run.first.abs_diff(time)).map(Run::vm)
            }
            None => runs.next_back().map(Run::vm),
        }
    }

    /// AppArmor's profile of a machine is named by its UUID.
    fn by_profile(&self, holder: &Holder) -> Option<Vm> {
        let uuid = holder.subj.strip_prefix("libvirt-")?.get(..36)?;
        let dashes = uuid.bytes().filter(|byte| *byte == b'-').count();
        if dashes != 4 || !uuid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-') {
            return None;
        }
        let known = self.runs.iter().rev().find(|run| run.uuid == uuid);
        Some(known.map_or_else(
            || Vm {
                name: None,
                uuid: Some(uuid.to_owned()),
            },
            Run::vm,
        ))
    }

    /// The machine that had a device at a time, for sessions of which the start is not in the log.
    pub fn of_device(&self, bdf: Bdf, time: u64, boot: u64) -> Option<Vm> {
        let ran = self.runs.iter().filter(|run| run.ran(time, boot));
        let with = ran.filter(|run| run.devices.contains(&bdf));
        with.min_by_key(|run| run.first.abs_diff(time)).map(Run::vm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn virt<'a>(vm: &'a str, time: u64, what: What<'a>) -> Virt<'a> {
        Virt {
            node: None,
            boot: None,
            time,
            vm: vm.into(),
            uuid: vm,
            what,
        }
    }

    fn holder(pid: u64, subj: &str) -> Holder {
        Holder {
            pid: Some(pid),
            subj: subj.into(),
            ..Holder::default()
        }
    }

    fn name(vm: Option<Vm>) -> Option<String> {
        vm.and_then(|vm| vm.name)
    }

    const MINUTE: u64 = 60_000;

    #[test]
    fn a_process_is_found_before_and_after_its_start() {
        let mut vms = Vms::default();
        vms.add(&virt("a", 100 * MINUTE, What::Start(42)), 0);
        vms.add(&virt("a", 200 * MINUTE, What::Stop), 0);
        vms.add(&virt("b", 300 * MINUTE, What::Start(42)), 0);
        let at = |minute: u64| name(vms.find(&holder(42, ""), minute * MINUTE, 0));
        assert_eq!(at(80), None);
        assert_eq!(at(99).as_deref(), Some("a"));
        assert_eq!(at(150).as_deref(), Some("a"));
        assert_eq!(at(250), None);
        assert_eq!(at(299).as_deref(), Some("b"));
        assert_eq!(at(9999).as_deref(), Some("b"));
        assert_eq!(name(vms.find(&holder(43, ""), 150 * MINUTE, 0)), None);
        // Another boot has other processes.
        assert_eq!(name(vms.find(&holder(42, ""), 9999 * MINUTE, 1)), None);
        let of = |time: Option<u64>| name(vms.of_process(42, time.map(|t| t * MINUTE)));
        assert_eq!(of(Some(150)).as_deref(), Some("a"));
        assert_eq!(of(Some(250)), None);
        assert_eq!(of(None).as_deref(), Some("b"));
        assert_eq!(vms.of_process(43, None), None);
    }

    #[test]
    fn contexts_and_profiles() {
        let uuid = "8f3b2c11-1c2d-4e5f-8a9b-0c1d2e3f4a5b";
        let mut vms = Vms::default();
        vms.add(&virt("a", MINUTE, What::Context("u:r:svirt_t:s0:c1,c2")), 0);
        let find = |vms: &Vms, subj: &str| vms.find(&holder(1, subj), 2 * MINUTE, 0);
        assert_eq!(
            name(find(&vms, "u:r:svirt_t:s0:c1,c2")).as_deref(),
            Some("a")
        );
        assert_eq!(find(&vms, "u:r:svirt_t:s0:c1,c3"), None);
        let profile = format!("libvirt-{uuid} (enforce)");
        let unnamed = find(&vms, &profile).unwrap();
        assert_eq!((unnamed.name.as_deref(), unnamed.text()), (None, uuid));
        let named = Virt {
            uuid,
            ..virt("b", MINUTE, What::Start(9))
        };
        vms.add(&named, 0);
        assert_eq!(name(find(&vms, &profile)).as_deref(), Some("b"));
        assert_eq!(find(&vms, "libvirt-xyz"), None);
    }

    #[test]
    fn a_device_is_found_while_the_machine_runs() {
        let bdf = "01:00.0".parse().unwrap();
        let mut vms = Vms::default();
        vms.add(&virt("a", 100 * MINUTE, What::Device(bdf)), 0);
        vms.add(&virt("a", 100 * MINUTE, What::Start(42)), 0);
        vms.add(&virt("a", 200 * MINUTE, What::Stop), 0);
        let at = |minute: u64| name(vms.of_device(bdf, minute * MINUTE, 0));
        assert_eq!(at(150).as_deref(), Some("a"));
        assert_eq!(at(201), None);
        assert_eq!(
            vms.of_device("01:00.1".parse().unwrap(), 150 * MINUTE, 0),
            None
        );
    }

    #[test]
    fn memory_is_bounded() {
        let mut vms = Vms::default();
        for pid in 0..2 * MAX_VMS as u64 {
            let vm = format!("v{pid}");
            vms.add(&virt(&vm, pid, What::Start(pid)), 0);
        }
        assert_eq!(vms.runs.len(), MAX_VMS);
        assert_eq!(vms.forgotten(), MAX_VMS as u64);
    }
}
