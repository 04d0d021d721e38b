// SPDX-License-Identifier: GPL-2.0

//! Where a device's configuration space is read from: sysfs, a dump by lspci, or a copy of the file
//! `config`.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};
use pci_config::{dump, Bdf, Header, Id, CONVENTIONAL, EXPRESS, LIMITED, SIZES, STANDARD_HEADER};

use crate::input;
use crate::words::plural;

/// A device's configuration space, as far as it can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// The device; nothing for a copy of its `config` that does not say.
    pub bdf: Option<Bdf>,
    /// The name that the dump gives it.
    pub what: String,
    /// Its vendor and device; nothing for a virtual function of which they are not known.
    pub id: Option<Id>,
    /// The bytes.
    pub config: Vec<u8>,
}

impl Space {
    fn new(bdf: Option<Bdf>, what: String, said: Option<Id>, config: Vec<u8>) -> Self {
        let id = match Header::parse(&config) {
            // A virtual function has ones where others have their identifiers, so that of elsewhere
            // counts.
            Some(header) if !header.is_virtual_function() => {
                Some(Id::new(header.vendor, header.device))
            }
            _ => said,
        };
        Self {
            bdf,
            what,
            id,
            config,
        }
    }

    /// As many of the bytes as can be trusted: what a dump has beyond one size but not up to the
    /// next may be damaged.
    pub fn usable(&self) -> &[u8] {
        if let Some(all) = self.limit().and_then(|limit| self.config.get(..limit)) {
            return all;
        }
        match self.config.len() {
            some @ CONVENTIONAL..EXPRESS => &self.config[..some.min(CONVENTIONAL)],
            _ => &self.config,
        }
    }

    /// How many bytes it has, if the kernel limits them.
    pub fn limit(&self) -> Option<usize> {
        self.id.and_then(limit)
    }

    /// The space of a device of this machine, from the folder that sysfs is in.
    pub fn from_sysfs(sysfs: &Path, bdf: Bdf) -> Result<Self> {
        let folder = sysfs.join(format!("bus/pci/devices/{bdf}"));
        let file = folder.join("config");
        let config = fs::read(&file).with_context(|| file.display().to_string())?;
        Ok(Self::new(
            Some(bdf),
            String::new(),
            sysfs_id(&folder),
            config,
        ))
    }
}

/// How many bytes of a device the kernel lets be accessed, if it limits them.
pub fn limit(id: Id) -> Option<usize> {
    let mut limited = LIMITED.into_iter();
    limited.find_map(|(vendor, device, size)| (Id::new(vendor, device) == id).then_some(size))
}

/// What a device's folder in sysfs says that it is.
pub fn sysfs_id(folder: &Path) -> Option<Id> {
    let read = |name: &str| {
        let text = fs::read_to_string(folder.join(name)).ok()?;
        u16::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
    };
    Some(Id::new(read("vendor")?, read("device")?))
}

/// The spaces that a file has, and what of it cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spaces {
    /// One for each device.
    pub spaces: Vec<Space>,
    /// What is wrong with lines of it.
    pub complaints: Vec<String>,
}

impl Spaces {
    /// Read a file: a dump, or a copy of `config`, packed or not; `-` is standard input.
    pub fn read(file: &Path) -> Result<Self> {
        let bytes = input::read_all(file)?;
        if is_raw(&bytes) {
            // The path may be one in sysfs, or a copy of such.
            let named = file
                .iter()
                .rev()
                .find_map(|part| part.to_str()?.trim_end_matches(".config").parse().ok());
            return Ok(Self {
                spaces: vec![Space::new(named, String::new(), None, bytes)],
                complaints: Vec::new(),
            });
        }
        let dump = dump::parse(&bytes);
        if dump.devices.is_empty() {
            bail!(
                "there is no device in it: it has to be output of lspci -xxxx, or a copy of a \
                 device's config in sysfs"
            );
        }
        let space = |device: dump::Device| {
            let id = device.printed_id();
            let id = id.map(|(vendor, device)| Id::new(vendor, device));
            Space::new(Some(device.bdf), device.what, id, device.config)
        };
        Ok(Self {
            complaints: dump.problems.iter().map(ToString::to_string).collect(),
            spaces: dump.devices.into_iter().map(space).collect(),
        })
    }

    /// The one that is asked for. Where there is one only, no address is needed.
    pub fn pick(mut self, bdf: Option<Bdf>) -> Result<Space> {
        if let ([space], Some(bdf)) = (&mut self.spaces[..], bdf) {
            // A copy of config does not say whose it is.
            space.bdf.get_or_insert(bdf);
        }
        let at = match bdf {
            None if self.spaces.len() == 1 => Some(0),
            None => bail!(
                "it has {}: name one\n{}",
                plural(self.spaces.len() as u64, "device"),
                self.listing()
            ),
            Some(_) => self.spaces.iter().position(|space| space.bdf == bdf),
        };
        match (at, bdf) {
            (Some(at), _) => Ok(self.spaces.swap_remove(at)),
            (None, Some(bdf)) => bail!("it has no {bdf}, but\n{}", self.listing()),
            (None, None) => bail!("it has no device"),
        }
    }

    fn listing(&self) -> String {
        let lines = self.spaces.iter().map(|space| {
            let bytes = match space.config.len() {
                0 => "no bytes".to_owned(),
                some => plural(some as u64, "byte"),
            };
            let bdf = space.bdf.map(|bdf| bdf.to_string()).unwrap_or_default();
            format!("  {bdf} {} ({bytes})", space.what)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Whether bytes are a configuration space itself, and no text: such has no NUL in it.
fn is_raw(bytes: &[u8]) -> bool {
    let marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let length = bytes.len() == STANDARD_HEADER || SIZES.contains(&bytes.len());
    let gone = length && bytes.iter().all(|byte| *byte == 0xff);
    gone || length && !marked && bytes.contains(&0) && !is_wide(bytes)
}

/// Whether every other byte is NUL, as in UTF-16.
fn is_wide(bytes: &[u8]) -> bool {
    let half = |start: usize| bytes[start..].iter().step_by(2).all(|byte| *byte == 0);
    half(0) != half(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn config(size: usize, id: [u8; 4]) -> Vec<u8> {
        let mut config = vec![0; size];
        config[..4].copy_from_slice(&id);
        config
    }

    #[test]
    fn copies_of_config() {
        let bytes = config(EXPRESS, [0x86, 0x80, 0xd3, 0x10]);
        for (name, bdf) in [
            ("config", None),
            ("0000:01:00.0.config", Some("0000:01:00.0")),
            ("0000:02:00.1/config", Some("0000:02:00.1")),
        ] {
            let (_folder, path) = file(name, &bytes);
            let read = Spaces::read(&path).unwrap();
            let bdf = bdf.map(|bdf| bdf.parse().unwrap());
            assert_eq!(read.spaces[0].bdf, bdf, "{name}");
            assert_eq!(read.spaces[0].id, Some(Id::new(0x8086, 0x10d3)));
            assert_eq!(read.pick(None).unwrap().config, bytes);
        }
        // Who reads it may say whose it is.
        let (_folder, path) = file("x", &bytes);
        let bdf = "03:00.0".parse().unwrap();
        let picked = Spaces::read(&path).unwrap().pick(Some(bdf)).unwrap();
        assert_eq!(picked.bdf, Some(bdf));
    }

    #[test]
    fn texts_are_not_taken_for_copies() {
        assert!(is_raw(&config(256, [1, 2, 3, 4])));
        assert!(is_raw(&[0xff; 256]));
        assert!(!is_raw(&config(255, [1, 2, 3, 4])));
        assert!(!is_raw(&[b'x'; 256]));
        assert!(!is_raw(&[b'x', 0].repeat(128)));
        assert!(!is_raw(&[0, b'x'].repeat(128)));
        assert!(is_raw(&[0; 64]));
    }

    #[test]
    fn a_device_that_the_kernel_limits_has_fewer_bytes() {
        let nfp = [0xee, 0x19, 0x00, 0x60];
        let citrine = [0x14, 0x10, 0x8c, 0x02];
        let other = [0x86, 0x80, 0xd3, 0x10];
        for (id, size, usable) in [
            (nfp, 0x1000, 0x600),
            (nfp, 0x600, 0x600),
            (nfp, 0x5f0, 0x100),
            (nfp, 0x100, 0x100),
            (citrine, 0x100, 0xa0),
            (citrine, 0xa0, 0xa0),
            (citrine, 0x40, 0x40),
            (other, 0x1000, 0x1000),
            (other, 0x600, 0x100),
        ] {
            let space = Space::new(None, String::new(), None, config(size, id));
            assert_eq!(space.usable().len(), usable, "{id:x?} {size:#x}");
        }
        let map = |id, size| {
            let space = Space::new(None, String::new(), None, config(size, id));
            crate::map::Map::new(&space).map(|map| map.size()).ok()
        };
        assert_eq!(map(nfp, 0x600), Some(0x600));
        assert_eq!(map(citrine, 0xa0), Some(0xa0));
        assert_eq!(map(other, 0xa0), None);
        assert!(is_raw(&config(0xa0, citrine)) && is_raw(&config(0x600, nfp)));
    }

    #[test]
    fn a_virtual_function_is_what_others_say() {
        let space = |said| Space::new(None, String::new(), said, config(256, [0xff; 4])).id;
        let id = Id::new(0x8086, 0x10ca);
        assert_eq!(space(Some(id)), Some(id));
        assert_eq!(space(None), None);
        let other = Space::new(None, String::new(), Some(id), config(256, [1, 0, 2, 0]));
        assert_eq!(other.id, Some(Id::new(1, 2)));
    }
}
