// SPDX-License-Identifier: GPL-2.0

//! A PCI driver that gives root access to configuration space, and audits it.
//!
//! It binds to QEMU's pci-testdev, and through `driver_override` to its edu. The file
//! `pci_audit_rust/config` in debugfs reads and writes the device's configuration space. A write to
//! the standard header is refused: the PCI core relies on its contents.

use kernel::{
    debugfs::{
        BinaryReader,
        BinaryWriter,
        Dir,
        File, //
    },
    device::{
        Bound,
        Core, //
    },
    devres::DevresLt,
    fs::file,
    io::Io,
    pci,
    prelude::*,
    sync::aref::ARef,
    types::CovariantForLt,
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    },
};

use pci_audit::{
    Context,
    Op,
    Outcome, //
};

/// Bytes of the standard header, and of the device's whole configuration space.
const HEADER_SIZE: usize = 64;
const CONFIG_SIZE: usize = 256;

kernel::module_pci_driver! {
    type: Sample,
    name: "pci_audit_rust",
    authors: ["The vfio-pci-audit authors"],
    description: "PCI driver that audits config accesses, in Rust",
    license: "GPL",
}

/// The device for as long as it is bound to this driver.
type BoundDevice = DevresLt<CovariantForLt!(&pci::Device<Bound>)>;

/// The device's configuration space, as the file shows it.
struct Config {
    pdev: ARef<pci::Device>,
    bound: BoundDevice,
}

impl Config {
    /// Decides upon an access, and records the decision. Returns its offset and size in bytes.
    fn access(&self, op: Op, offset: file::Offset, size: usize) -> Result<(usize, usize)> {
        let offset = usize::try_from(offset)?;
        let size = size.min(CONFIG_SIZE.saturating_sub(offset));
        if size == 0 {
            return Ok((offset, 0));
        }
        let range = pci_audit::range(&self.pdev, offset, size)?;
        let outcome = Outcome::from_allowed(op == Op::Read || offset >= HEADER_SIZE);

        // The record comes first, since the access may bring the machine down. Without a record,
        // there is no access.
        let _ = pci_audit::access(&self.pdev, op, range, outcome, Context::Sleep)?;
        match outcome {
            Outcome::Allowed => Ok((offset, size)),
            Outcome::Blocked => Err(EPERM),
        }
    }
}

impl BinaryWriter for Config {
    fn write_to_slice(&self, user: &mut UserSliceWriter, pos: &mut file::Offset) -> Result<usize> {
        let (offset, size) = self.access(Op::Read, *pos, user.len())?;
        let mut bytes = [0; CONFIG_SIZE];
        let device = self.bound.try_access().ok_or(ENXIO)?;
        for (i, byte) in bytes[..size].iter_mut().enumerate() {
            *byte = device.config_space().try_read8(offset + i)?;
        }
        drop(device); // Copying to user memory may sleep.
        user.write_slice(&bytes[..size])?;
        *pos += size as file::Offset;
        Ok(size)
    }
}

impl BinaryReader for Config {
    fn read_from_slice(&self, user: &mut UserSliceReader, pos: &mut file::Offset) -> Result<usize> {
        let (offset, size) = self.access(Op::Write, *pos, user.len())?;
        let mut bytes = [0; CONFIG_SIZE];
        user.read_slice(&mut bytes[..size])?;
        let device = self.bound.try_access().ok_or(ENXIO)?;
        for (i, byte) in bytes[..size].iter().enumerate() {
            device.config_space().try_write8(*byte, offset + i)?;
        }
        *pos += size as file::Offset;
        Ok(size)
    }
}

#[pin_data]
struct Sample {
    #[pin]
    _config: File<Config>,
    _dir: Dir,
}

kernel::pci_device_table!(
    PCI_TABLE,
    <Sample as pci::Driver>::IdInfo,
    [(pci::DeviceId::from_id(pci::Vendor::REDHAT, 0x5), ())]
);

impl pci::Driver for Sample {
    type IdInfo = ();
    type Data<'bound> = Self;

    const ID_TABLE: pci::IdTable<Self::IdInfo> = &PCI_TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self, Error> + 'bound {
        pin_init::pin_init_scope(move || {
            let bound: &pci::Device<Bound> = pdev;
            let dir = Dir::new(c"pci_audit_rust");
            let config = Config {
                pdev: pdev.into(),
                // SAFETY: A bound device is one until it is unbound.
                bound: unsafe { DevresLt::new(pdev.as_ref(), bound)? },
            };
            Ok(try_pin_init!(Self {
                _config <- dir.read_write_binary_file(c"config", config),
                _dir: dir.clone(),
            }))
        })
    }
}
