// SPDX-License-Identifier: GPL-2.0

//! Who holds a device while it happens.

use std::collections::HashMap;
use std::path::PathBuf;

use pci_config::Bdf;

use crate::process;
use crate::record::Record;
use crate::rows::Who;
use crate::tally::Tally;

/// The most sessions of which the processes are remembered.
const MAX_REMEMBERED: usize = 1024;

/// Finds who holds a device, by the records so far and by the processes of this machine.
pub(super) struct Holders {
    /// Where the files of this machine are; nothing for the log of another.
    root: Option<PathBuf>,
    processes: HashMap<(Bdf, Option<u64>), Who>,
}

impl Holders {
    /// With the processes under `root`, if the records are of those.
    pub(super) fn new(root: Option<PathBuf>) -> Self {
        Self {
            root,
            processes: HashMap::new(),
        }
    }

    /// Who made the accesses that a record tells of, which `tally` has.
    pub(super) fn of(&mut self, tally: &Tally, record: &Record<'_>, boot: u64) -> Who {
        let session = tally.session(record, boot);
        let vm = session.and_then(|session| session.vm(tally.vms(record.node), record.device));
        let holder = session.and_then(|session| session.holders.first());
        let told = Who::new(holder, vm);
        // libvirt writes its record when a machine runs, which its first accesses may precede.
        let Some(root) = self.root.as_ref().filter(|_| told.vm.is_none()) else {
            return told;
        };
        let number = session.and_then(|session| session.number);
        if self.processes.len() >= MAX_REMEMBERED {
            self.processes.clear();
        }
        // The files of a process are many, so that they are looked through once a session.
        let found = self
            .processes
            .entry((record.device, number))
            .or_insert_with(|| {
                let process = match told.pid {
                    Some(pid) => process::Process::new(root, pid),
                    None => process::holder(root, record.device),
                };
                process.map_or_else(Who::default, |process| Who {
                    pid: Some(process.pid()),
                    program: process.program(),
                    vm: process.vm().and_then(|vm| vm.name),
                    uuid: process.vm().and_then(|vm| vm.uuid),
                })
            });
        Who {
            vm: found.vm.clone(),
            uuid: told.uuid.or_else(|| found.uuid.clone()),
            program: told.program.or_else(|| found.program.clone()),
            pid: told.pid.or(found.pid),
        }
    }

    /// A session of a device begins, or goes on in another process.
    pub(super) fn forget(&mut self, bdf: Bdf) {
        self.processes.retain(|(of, _), _| *of != bdf);
    }
}
