// SPDX-License-Identifier: GPL-2.0

//! The exceptions that the devices of this machine need.

use std::fmt::Write;

use serde::Serialize;

use super::data::Register;
use super::exceptions::{too_long_for, Exceptions};
use super::machine::Machine;
use super::subject::Subject;
use crate::words::range_text;

/// What a machine's devices need.
#[derive(Debug, Serialize)]
pub struct Modprobe {
    /// The devices that VFIO has, or may get.
    pub devices: Vec<DeviceNeeds>,
    /// The value of `uaccess_allow_ids`.
    pub uaccess_allow_ids: String,
}

/// What one device needs.
#[derive(Debug, Serialize)]
pub struct DeviceNeeds {
    /// Its address.
    pub device: String,
    /// `vendor:device`.
    pub id: String,
    /// How it comes to VFIO.
    pub binding: String,
    /// Whether its configuration space could be read whole, so that it is known which bytes are
    /// unassigned.
    pub layout_known: bool,
    /// The registers that its drivers use.
    pub registers: Vec<Need>,
}

/// A register that a device's drivers use.
#[derive(Debug, Serialize)]
pub struct Need {
    /// Its first byte.
    pub offset: usize,
    /// How many bytes.
    pub size: usize,
    /// What it is.
    pub name: &'static str,
    /// What comes of blocking it.
    pub breaks: &'static str,
    /// Why it is excepted or not.
    pub fate: Fate,
}

/// What becomes of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is excepted: its bytes are unassigned on this device.
    Excepted,
    /// It is excepted, and whether its bytes are unassigned was seen on such a device only.
    Verified,
    /// It is excepted, and where its bytes lie is not verified.
    NotVerified,
    /// VFIO knows its bytes, so that nothing is blocked.
    Assigned,
    /// Nothing comes of blocking it.
    Harmless,
}

impl Modprobe {
    /// Look at a machine.
    pub fn new(machine: &Machine) -> Self {
        let mut exceptions = Exceptions::default();
        let devices = machine
            .of_vfio()
            .into_iter()
            .map(|(bdf, binding, subject)| DeviceNeeds {
                device: bdf.to_string(),
                id: subject.device.id.to_string(),
                binding: binding.to_string(),
                layout_known: subject.map().is_some(),
                registers: subject
                    .registers()
                    .map(|row| need(row, &subject, &mut exceptions))
                    .collect(),
            })
            .collect();
        Self {
            devices,
            uaccess_allow_ids: exceptions.to_string(),
        }
    }

    /// A file for /etc/modprobe.d, with the reasons as comments.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for device in &self.devices {
            // Writing to a String cannot fail.
            let _ = device.write_text(&mut text);
        }
        text += &match (self.devices.is_empty(), self.uaccess_allow_ids.as_str()) {
            (true, _) => {
                "# no device is bound to vfio-pci, or has it as driver_override\n".to_owned()
            }
            (false, "") => "# no exception is known to be needed\n".to_owned(),
            (false, ids) => {
                let limit = too_long_for(ids).map(|why| format!("# {why}\n"));
                limit.unwrap_or_default()
                    + &format!("options vfio_pci_audit uaccess_allow_ids={ids}\n")
            }
        };
        text
    }
}

fn need(row: &'static Register, subject: &Subject, exceptions: &mut Exceptions) -> Need {
    let range = row.bytes.range();
    let runs = subject.unassigned(range);
    let fate = match &runs {
        _ if row.harmless => Fate::Harmless,
        Some(runs) if runs.is_empty() => Fate::Assigned,
        Some(_) => Fate::Excepted,
        None if row.layout.is_verified(&subject.device) => Fate::Verified,
        None => Fate::NotVerified,
    };
    if matches!(fate, Fate::Excepted | Fate::Verified | Fate::NotVerified) {
        for run in runs.unwrap_or_else(|| vec![range.clone()]) {
            exceptions.add(subject.device.id, run);
        }
    }
    Need {
        offset: range.start,
        size: range.len(),
        name: &row.name,
        breaks: &row.breaks,
        fate,
    }
}

impl DeviceNeeds {
    fn write_text(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# {} {}, {}", self.device, self.id, self.binding)?;
        if !self.layout_known {
            writeln!(
                out,
                "#   its unassigned bytes are unknown: run this as root"
            )?;
        }
        for need in &self.registers {
            let bytes = range_text(&(need.offset..need.offset + need.size));
            writeln!(out, "#   {bytes} {}: {}", need.name, need.fate.text())?;
        }
        Ok(())
    }
}

impl Fate {
    fn text(self) -> &'static str {
        match self {
            Self::Excepted => "excepted, unassigned on this device",
            Self::Verified => "excepted, layout verified",
            Self::NotVerified => "excepted, layout not verified",
            Self::Assigned => "assigned on this device, so never blocked",
            Self::Harmless => "harmless if blocked, so not excepted",
        }
    }
}
