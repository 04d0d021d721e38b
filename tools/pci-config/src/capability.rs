// SPDX-License-Identifier: GPL-2.0

//! A capability of a device, and what it is called.

use std::ops::Range;

/// A capability in one of a device's two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its identifier. That of a standard capability is at most 0xff.
    pub id: u16,
    /// Whether it is in the list that begins at 0x100.
    pub extended: bool,
    /// Its first byte.
    pub offset: usize,
    /// How many bytes VFIO takes it to have; it may reach past the end of the space. None at all if
    /// VFIO hides the capability, so that its bytes are unassigned, or the four of its header if it
    /// is the first extended one: nothing comes before it that could be linked past it.
    pub length: usize,
    /// Whether VFIO hides it.
    pub hidden: bool,
}

impl Capability {
    /// Whether VFIO keeps it from the process that holds the device.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// The bytes that VFIO takes for it.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.length
    }

    /// What the PCI specifications call it; nothing for an identifier that they, or Linux, do not
    /// know.
    pub fn name(&self) -> Option<&'static str> {
        if self.extended {
            extended(self.id)
        } else {
            standard(self.id)
        }
    }

    /// How it is written in front of the name: `01`, or `0001` if it is extended.
    pub fn id_text(&self) -> String {
        if self.extended {
            format!("{:04x}", self.id)
        } else {
            format!("{:02x}", self.id)
        }
    }
}

/// The names of `PCI_CAP_ID_*` in include/uapi/linux/pci_regs.h.
fn standard(id: u16) -> Option<&'static str> {
    Some(match id {
        0x00 => "Null",
        0x01 => "Power Management",
        0x02 => "Accelerated Graphics Port",
        0x03 => "Vital Product Data",
        0x04 => "Slot Identification",
        0x05 => "Message Signalled Interrupts",
        0x06 => "CompactPCI Hot Swap",
        0x07 => "PCI-X",
        0x08 => "HyperTransport",
        0x09 => "Vendor-Specific",
        0x0a => "Debug Port",
        0x0b => "CompactPCI Central Resource Control",
        0x0c => "Standard Hot-Plug Controller",
        0x0d => "Bridge Subsystem Vendor/Device ID",
        0x0e => "AGP Target PCI-PCI Bridge",
        0x0f => "Secure Device",
        0x10 => "PCI Express",
        0x11 => "MSI-X",
        0x12 => "SATA Data/Index Configuration",
        0x13 => "Advanced Features",
        0x14 => "Enhanced Allocation",
        _ => return None,
    })
}

/// The names of `PCI_EXT_CAP_ID_*` in include/uapi/linux/pci_regs.h, and those of the PCI Code and
/// ID Assignment Specification for numbers between them.
fn extended(id: u16) -> Option<&'static str> {
    Some(match id {
        0x00 => "Null",
        0x01 => "Advanced Error Reporting",
        0x02 => "Virtual Channel",
        0x03 => "Device Serial Number",
        0x04 => "Power Budgeting",
        0x05 => "Root Complex Link Declaration",
        0x06 => "Root Complex Internal Link Control",
        0x07 => "Root Complex Event Collector",
        0x08 => "Multi-Function Virtual Channel",
        0x09 => "Virtual Channel (with MFVC)",
        0x0a => "Root Complex Register Block",
        0x0b => "Vendor-Specific Extended",
        0x0c => "Configuration Access Correlation",
        0x0d => "Access Control Services",
        0x0e => "Alternative Routing-ID Interpretation",
        0x0f => "Address Translation Services",
        0x10 => "Single Root I/O Virtualization",
        0x11 => "Multi-Root I/O Virtualization",
        0x12 => "Multicast",
        0x13 => "Page Request Interface",
        0x14 => "Reserved for AMD",
        0x15 => "Resizable BAR",
        0x16 => "Dynamic Power Allocation",
        0x17 => "TPH Requester",
        0x18 => "Latency Tolerance Reporting",
        0x19 => "Secondary PCI Express",
        0x1a => "Protocol Multiplexing",
        0x1b => "Process Address Space ID",
        0x1c => "LN Requester",
        0x1d => "Downstream Port Containment",
        0x1e => "L1 PM Substates",
        0x1f => "Precision Time Measurement",
        0x20 => "PCI Express over M-PHY",
        0x21 => "FRS Queueing",
        0x22 => "Readiness Time Reporting",
        0x23 => "Designated Vendor-Specific",
        0x24 => "VF Resizable BAR",
        0x25 => "Data Link Feature",
        0x26 => "Physical Layer 16.0 GT/s",
        0x27 => "Lane Margining at the Receiver",
        0x28 => "Hierarchy ID",
        0x29 => "Native PCIe Enclosure Management",
        0x2a => "Physical Layer 32.0 GT/s",
        0x2b => "Alternate Protocol",
        0x2c => "System Firmware Intermediary",
        0x2d => "Shadow Functions",
        0x2e => "Data Object Exchange",
        0x2f => "Device 3",
        0x30 => "Integrity and Data Encryption",
        0x31 => "Physical Layer 64.0 GT/s",
        0x32 => "Flit Logging",
        0x33 => "Flit Performance Measurement",
        0x34 => "Flit Error Injection",
        _ => return None,
    })
}
