// SPDX-License-Identifier: GPL-2.0

//! What the BPF program sends, as `bpf/event.h` lays it out.

use pci_audit::access::CONFIG_SPACE_SIZE;
use pci_audit::Op;
use pci_audit_core::holders::Process;

/// Bytes of [`Access`] in the ring.
pub const ACCESS_SIZE: usize = 40;

const EXE_AT: usize = 160;
const EXE_SIZE: usize = 4096;

/// One system call on configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The number that the BPF program gave the session.
    pub session: u64,
    /// Nanoseconds of the monotonic clock.
    pub time: u64,
    /// Who made it.
    pub process: Process,
    /// Its first byte.
    pub offset: usize,
    /// Its length in bytes.
    pub size: usize,
    /// What it did.
    pub op: Op,
}

/// The start of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The number that the BPF program gave it.
    pub session: u64,
    /// The device's name, such as `0000:01:00.0`.
    pub device: String,
    /// How many bytes of configuration space the device has.
    pub config_size: usize,
    /// VFIO's config map, as long as that; nothing if the program could not find it.
    pub map: Option<Vec<u8>>,
}

/// Who a process is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The number of its parent.
    pub ppid: u32,
    /// The user who logged in.
    pub auid: u32,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The effective user.
    pub euid: u32,
    /// The saved user.
    pub suid: u32,
    /// The user for files.
    pub fsuid: u32,
    /// The effective group.
    pub egid: u32,
    /// The saved group.
    pub sgid: u32,
    /// The group for files.
    pub fsgid: u32,
    /// The number of the login.
    pub ses: u32,
    /// The name of the thread.
    pub comm: Vec<u8>,
    /// The terminal; empty if it has none.
    pub tty: Vec<u8>,
    /// The path of its program; nothing if it has none, or one that is too long for the ring.
    pub exe: Option<Vec<u8>>,
}

/// What is not an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A session begins.
    Session(Session),
    /// A process makes its first access in a session.
    Process {
        /// The session.
        session: u64,
        /// The process.
        process: Process,
        /// Who it is.
        identity: Identity,
    },
    /// A session ends.
    Close(u64),
}

/// System calls of one kind that there was no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dropped {
    /// The number that the BPF program gave the session.
    pub session: u64,
    /// Their first byte.
    pub offset: u16,
    /// Their length; 0 for those of any kind.
    pub size: u16,
    /// Whether they wrote.
    pub write: bool,
}

/// The fields of an event, one after the other. Past its end they are 0.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, size: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(size.min(self.0.len()));
        self.0 = rest;
        bytes
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.bytes(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }

    fn u16(&mut self) -> u16 {
        u16::from_ne_bytes(self.array())
    }

    fn u32(&mut self) -> u32 {
        u32::from_ne_bytes(self.array())
    }

    fn u64(&mut self) -> u64 {
        u64::from_ne_bytes(self.array())
    }

    /// A string that ends with a NUL or with its `size` bytes.
    fn text(&mut self, size: usize) -> &'a [u8] {
        let bytes = self.bytes(size);
        let end = bytes.iter().position(|byte| *byte == 0);
        &bytes[..end.unwrap_or(bytes.len())]
    }

    fn process(&mut self) -> Process {
        Process {
            started: self.u64(),
            executed: self.u32().into(),
            tgid: self.u32() as i32,
        }
    }
}

fn op(write: u32) -> Op {
    match write {
        0 => Op::Read,
        _ => Op::Write,
    }
}

impl Access {
    /// Read one. Nothing if it is too short to be one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < ACCESS_SIZE {
            return None;
        }
        let mut fields = Fields(bytes);
        Some(Self {
            session: fields.u64(),
            time: fields.u64(),
            process: fields.process(),
            offset: fields.u16().into(),
            size: fields.u16().into(),
            op: op(fields.u32()),
        })
    }
}

impl Event {
    /// Read one. Nothing if it is of no known kind.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let kind = fields.u32();
        let number = fields.u32();
        let session = fields.u64();
        match kind {
            1 => {
                let device = fields.text(32);
                let has_map = fields.u64() != 0;
                let config_size = (number as usize).min(CONFIG_SPACE_SIZE);
                let map = fields.bytes(config_size);
                Some(Self::Session(Session {
                    session,
                    device: String::from_utf8_lossy(device).into_owned(),
                    config_size,
                    map: (has_map && map.len() == config_size).then(|| map.to_vec()),
                }))
            }
            2 => Some(Self::Process {
                session,
                process: fields.process(),
                identity: identity(number, fields, bytes),
            }),
            3 => Some(Self::Close(session)),
            _ => None,
        }
    }
}

fn identity(ppid: u32, mut fields: Fields<'_>, bytes: &[u8]) -> Identity {
    let mut identity = Identity {
        ppid,
        auid: fields.u32(),
        uid: fields.u32(),
        gid: fields.u32(),
        euid: fields.u32(),
        suid: fields.u32(),
        fsuid: fields.u32(),
        egid: fields.u32(),
        sgid: fields.u32(),
        fsgid: fields.u32(),
        ses: fields.u32(),
        comm: fields.text(16).to_vec(),
        tty: fields.text(64).to_vec(),
        exe: None,
    };
    let length = (fields.u32() as usize).min(EXE_SIZE);
    let cut = fields.u16() != 0;
    let deleted = fields.u16() != 0;
    let names = bytes.get(EXE_AT..EXE_AT + length).unwrap_or_default();
    if !cut && !names.is_empty() {
        identity.exe = Some(path(names, deleted));
    }
    identity
}

/// The path whose names, each with a NUL, come in reverse.
fn path(names: &[u8], deleted: bool) -> Vec<u8> {
    let names = names.strip_suffix(b"\0").unwrap_or(names);
    let mut path = Vec::new();
    for name in names.rsplit(|byte| *byte == 0) {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    if deleted {
        path.extend_from_slice(b" (deleted)");
    }
    path
}

impl Dropped {
    /// Bytes of a key of the map.
    pub const SIZE: usize = 16;

    /// Those of a session that are of any kind.
    pub fn anywhere(session: u64, write: bool) -> Self {
        Self {
            session,
            offset: 0,
            size: 0,
            write,
        }
    }

    /// Read a key of the map.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut fields = Fields(bytes);
        Self {
            session: fields.u64(),
            offset: fields.u16(),
            size: fields.u16(),
            write: fields.u32() != 0,
        }
    }

    /// The key of the map.
    pub fn key(&self) -> [u8; Self::SIZE] {
        let mut key = [0; Self::SIZE];
        key[..8].copy_from_slice(&self.session.to_ne_bytes());
        key[8..10].copy_from_slice(&self.offset.to_ne_bytes());
        key[10..12].copy_from_slice(&self.size.to_ne_bytes());
        key[12..].copy_from_slice(&u32::from(self.write).to_ne_bytes());
        key
    }

    /// What they did.
    pub fn op(&self) -> Op {
        op(self.write.into())
    }
}
