// SPDX-License-Identifier: GPL-2.0

//! Accesses to devices while policy, limits and audit change: a program for the kernel, made of
//! any bytes, and a model of what the kernel has to do with it.
//!
//! Runs in the virtual machine, with the module loaded and the devices bound.

mod audit;
mod kcov;
mod model;
mod step;

use std::fmt;

use anyhow::{ensure, Context, Result};
use arbitrary::Unstructured;
use lab::kernel;
use vfio_client::stream::Op;
use vfio_client::{sysfs, Bdf, ConfigMap, Device};

use audit::Switch;
use model::{Model, Piece};
use step::Step;

pub use kcov::Kcov;

/// Maximum number of steps of a program.
const STEPS: usize = 64;

/// Writes the events of the tracepoint to the trace buffer.
const EVENTS: &str = "/sys/kernel/tracing/events/pci_audit/enable";

/// An access that the kernel has to account for, while auditing is on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Done {
    /// The position of the device in the list that the machine was made of.
    pub device: usize,
    /// What was done.
    pub op: Op,
    /// Whether it reached the device.
    pub allowed: bool,
    /// The bytes.
    pub bytes: std::ops::Range<usize>,
}

/// One line, which [`Done::parse`] reads.
impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = match self.op {
            Op::Read => "read",
            Op::Write => "write",
        };
        let allowed = u8::from(self.allowed);
        let std::ops::Range { start, end } = self.bytes;
        write!(f, "{} {op} {allowed} {start} {end}", self.device)
    }
}

impl Done {
    /// From a line.
    pub fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let done = Self {
            device: words.next()?.parse().ok()?,
            op: match words.next()? {
                "read" => Op::Read,
                "write" => Op::Write,
                _ => return None,
            },
            allowed: words.next()? == "1",
            bytes: words.next()?.parse().ok()?..words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(done)
    }
}

struct Slot {
    bdf: Bdf,
    map: ConfigMap,
    id: (u16, u16),
    open: Option<Device>,
}

impl Slot {
    /// The device, which is opened if it is not open.
    fn open(&mut self) -> Result<&Device> {
        match &mut self.open {
            Some(device) => Ok(device),
            none => Ok(none.insert(Device::open(self.bdf)?)),
        }
    }
}

/// The devices, and the state that the kernel should be in.
pub struct Machine {
    slots: Vec<Slot>,
    model: Model,
    switch: Switch,
}

impl Machine {
    /// A machine with devices that are bound to vfio-pci. Its parameters become the default ones.
    pub fn new(devices: &[Bdf]) -> Result<Self> {
        let slots = devices.iter().map(|&bdf| {
            Ok(Slot {
                bdf,
                map: sysfs::config_map(bdf)?,
                id: sysfs::id(bdf)?,
                open: None,
            })
        });
        let mut machine = Self {
            slots: slots.collect::<Result<_>>()?,
            model: Model::default(),
            switch: Switch::open()?,
        };
        machine.reset()?;
        Ok(machine)
    }

    /// Runs the program that some bytes are, and sets everything to its default value. Devices stay
    /// open: opening and closing one takes longer than the rest of a program. Passes to `note` what
    /// has to be in the log in the end.
    ///
    /// An error is a defect of the kernel, or of the model.
    pub fn run(&mut self, bytes: &[u8], mut note: impl FnMut(Done)) -> Result<()> {
        let mut bytes = Unstructured::new(bytes);
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < STEPS {
            steps.push(bytes.arbitrary::<Step>()?);
        }
        for (number, step) in steps.iter().enumerate() {
            self.step(step, &mut note)
                .with_context(|| format!("step {number} of {steps:?}"))?;
        }
        self.reset()
    }

    /// Sets everything to its default value.
    fn reset(&mut self) -> Result<()> {
        for (name, value) in kernel::DEFAULTS {
            kernel::set_parameter(name, value)?;
        }
        std::fs::write(EVENTS, "0").context(EVENTS)?;
        self.switch.set(true)?;
        self.model = Model::default();
        Ok(())
    }

    fn step(&mut self, step: &Step, note: &mut impl FnMut(Done)) -> Result<()> {
        match step {
            Step::Close(device) => {
                let number = self.number(*device);
                self.slots[number].open = None;
            }
            Step::Reset(device) => {
                let number = self.number(*device);
                self.slots[number].open()?.reset();
            }
            Step::Read { device, at } => self.access(*device, Op::Read, at, note)?,
            Step::Write { device, at } => self.access(*device, Op::Write, at, note)?,
            Step::Block { op, block } => {
                let name = match op {
                    step::Operation::Read => kernel::BLOCK_READ,
                    step::Operation::Write => kernel::BLOCK_WRITE,
                };
                kernel::set_parameter(name, if *block { "Y" } else { "N" })?;
                self.model.set_blocks((*op).into(), *block);
            }
            Step::Except(list) => {
                let ids: Vec<_> = self.slots.iter().map(|slot| slot.id).collect();
                let text = list.text(&ids);
                let taken = kernel::write_parameter(kernel::ALLOW_IDS, &text);
                let expected = self.model.set_list(&text);
                ensure!(
                    taken.is_ok() == expected,
                    "the list {} was answered with {taken:?}",
                    String::from_utf8_lossy(&text)
                );
            }
            Step::Limits { rate, burst } => {
                kernel::set_parameter(kernel::RATE, &(rate % 9).to_string())?;
                kernel::set_parameter(kernel::BURST, &(1 + burst % 32).to_string())?;
            }
            Step::Trace(on) => {
                std::fs::write(EVENTS, if *on { "1" } else { "0" }).context(EVENTS)?;
            }
            Step::Audit(on) => {
                self.switch.set(*on)?;
                self.model.audited = *on;
            }
        }
        Ok(())
    }

    /// The position of the device that a step names.
    fn number(&self, device: u8) -> usize {
        usize::from(device) % self.slots.len()
    }

    /// Makes an access and compares what the device's holder sees with the model.
    fn access(
        &mut self,
        device: u8,
        op: Op,
        at: &step::At,
        note: &mut impl FnMut(Done),
    ) -> Result<()> {
        let number = self.number(device);
        self.slots[number].open()?;
        let slot = &self.slots[number];
        let open = slot.open.as_ref().context("it was just opened")?;
        let range = at.range(slot.map.size());
        let (start, size) = (range.start as u64, range.len());
        if range.end > slot.map.size() {
            let result = match op {
                Op::Read => open.read_vec(start, size).map(drop),
                Op::Write => open.write(start, &vec![at.value; size]),
            };
            ensure!(
                result.is_err(),
                "{range:x?} is not in configuration space, and was served"
            );
            return Ok(());
        }

        let mut pieces = self.model.pieces(&slot.map, slot.id, op, range.clone());
        // VFIO does not look at what is written to a capability that it has no function for
        // (vfio_config_do_rw).
        let looks = op == Op::Read || pieces.first().is_some_and(|piece| piece.allowed.is_some());
        if at.nowhere && looks {
            // The first piece fails, after it was noted.
            pieces.truncate(1);
            let result = match op {
                Op::Read => open.region().read_to_nowhere(start, size),
                Op::Write => open.region().write_from_nowhere(start, size),
            };
            ensure!(result.is_err(), "there is no memory for {range:x?}");
        } else {
            match op {
                Op::Read => {
                    let seen = open.read_vec(start, size)?;
                    for piece in pieces.iter().filter(|piece| piece.is_blocked()) {
                        let bytes = piece.bytes.clone();
                        let seen = &seen[bytes.start - range.start..bytes.end - range.start];
                        ensure!(
                            seen.iter().all(|&byte| byte == 0),
                            "{bytes:x?} is blocked, and {seen:x?} was read"
                        );
                    }
                }
                Op::Write => {
                    let blocked: Vec<_> =
                        pieces.iter().filter(|piece| piece.is_blocked()).collect();
                    let before = self.held(number, &blocked)?;
                    open.write(start, &vec![at.value; size])?;
                    let after = self.held(number, &blocked)?;
                    ensure!(
                        before == after,
                        "{range:x?}: blocked bytes held {before:x?} and hold {after:x?}"
                    );
                }
            }
        }
        if !self.model.audited {
            return Ok(());
        }
        for Piece { bytes, allowed } in pieces {
            if let Some(allowed) = allowed {
                note(Done {
                    device: number,
                    op,
                    allowed,
                    bytes,
                });
            }
        }
        Ok(())
    }

    /// What the device holds in the bytes of pieces, by another way than VFIO's.
    fn held(&self, device: usize, pieces: &[&Piece]) -> Result<Vec<Vec<u8>>> {
        let bdf = self.slots[device].bdf;
        pieces
            .iter()
            .map(|piece| sysfs::config_at(bdf, piece.bytes.start as u64, piece.bytes.len()))
            .collect::<Result<_, _>>()
            .context("the device's configuration space in sysfs")
    }
}
