// SPDX-License-Identifier: GPL-2.0

//! Devices to exempt, as `uaccess_allow_ids` takes them.

use std::collections::BTreeSet;
use std::fmt;

use pci_audit_core::allow_list::Id;

/// What an exemption covers.
pub const WHOLE_DEVICE: &str =
    "An exemption is for the whole device: nothing is blocked for it at any offset.";

/// Devices to exempt, each with all of its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exceptions(BTreeSet<Id>);

impl Exceptions {
    /// Exempt a device, and all others of its kind.
    pub fn add(&mut self, id: Id) {
        self.0.insert(id);
    }
}

/// Sorted, so that equal lists have equal texts.
impl fmt::Display for Exceptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for id in &self.0 {
            write!(f, "{comma}{id}")?;
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pci_audit_core::allow_list;

    use super::*;

    #[test]
    fn the_kernel_reads_the_same_devices() {
        let mut exceptions = Exceptions::default();
        assert_eq!(exceptions.to_string(), "");
        for device in [0x1eb8, 0x10d3, 0x1eb8] {
            exceptions.add(Id::new(0x10de, device));
        }
        let text = exceptions.to_string();
        assert_eq!(text, "10de:10d3,10de:1eb8");
        let mut read = BTreeSet::new();
        let parsed = allow_list::parse(text.as_bytes(), |id| {
            read.insert(id);
            Ok::<_, ()>(())
        });
        assert!(parsed.is_ok());
        assert_eq!(read, exceptions.0);
    }
}
