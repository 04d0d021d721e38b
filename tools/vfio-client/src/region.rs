// SPDX-License-Identifier: GPL-2.0

//! The configuration space of an open device, in this process or in one that received the
//! descriptor.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;

use rustix::io::{fcntl_setfd, FdFlags};
use rustix::net::{
    recvmsg, sendmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::{fd, Error};

/// The descriptor of a device, and the offset of configuration space in it.
pub struct Region {
    file: File,
    start: u64,
}

impl Region {
    pub(crate) fn new(file: File, start: u64) -> Self {
        Self { file, start }
    }

    /// Reads with one system call.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<(), Error> {
        let done = self.file.read_at(bytes, self.start + offset);
        check("read", offset, bytes.len(), done)
    }

    /// Reads with one system call into a new vector.
    pub fn read_vec(&self, offset: u64, size: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = vec![0; size];
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes with one system call.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let done = self.file.write_at(bytes, self.start + offset);
        check("write", offset, bytes.len(), done)
    }

    /// Reads with one system call into memory that is not mapped.
    pub fn read_to_nowhere(&self, offset: u64, size: usize) -> Result<(), Error> {
        let done = fd::read_to_nowhere(self.file.as_fd(), self.start + offset, size);
        check("read", offset, size, done)
    }

    /// Writes with one system call from memory that is not mapped.
    pub fn write_from_nowhere(&self, offset: u64, size: usize) -> Result<(), Error> {
        let done = fd::write_from_nowhere(self.file.as_fd(), self.start + offset, size);
        check("write", offset, size, done)
    }

    /// The descriptor and the offset of configuration space in it.
    pub fn descriptor(&self) -> (BorrowedFd<'_>, u64) {
        (self.file.as_fd(), self.start)
    }

    /// Keeps the descriptor open across exec. Returns the arguments with which the new program can
    /// [`inherit`](Self::inherit) it.
    pub fn bequeath(&self) -> io::Result<[String; 2]> {
        fcntl_setfd(&self.file, FdFlags::empty())?;
        Ok([self.file.as_raw_fd().to_string(), self.start.to_string()])
    }

    /// Opens the region that this process had before exec.
    pub fn inherit(fd: i32, start: u64) -> io::Result<Self> {
        let file = fd::inherited(fd)?;
        Ok(Self { file, start })
    }

    /// Sends the descriptor to the process at the other end of a socket.
    pub fn send(&self, mut socket: &UnixStream) -> io::Result<()> {
        let descriptors = [self.file.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        // The space is for one, and this is one.
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        sendmsg(
            socket,
            &[IoSlice::new(b"d")],
            &mut control,
            SendFlags::empty(),
        )?;
        socket.write_all(&self.start.to_le_bytes())
    }

    /// Receives what another process [sends](Self::send).
    pub fn receive(mut socket: &UnixStream) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut first = [0];
        recvmsg(
            socket,
            &mut [IoSliceMut::new(&mut first)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let file = control
            .drain()
            .find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut files) => files.next(),
                _ => None,
            })
            .ok_or_else(|| io::Error::other("the other process sent no descriptor"))?;
        let mut start = [0; 8];
        socket.read_exact(&mut start)?;
        Ok(Self {
            file: file.into(),
            start: u64::from_le_bytes(start),
        })
    }
}

fn check(op: &'static str, offset: u64, size: usize, done: io::Result<usize>) -> Result<(), Error> {
    match done {
        Ok(done) if done == size => Ok(()),
        Ok(done) => Err(Error::Short {
            op,
            offset,
            size,
            done,
        }),
        Err(cause) => Err(Error::Access {
            op,
            offset,
            size,
            cause,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        use rustix::fs::{memfd_create, MemfdFlags};

        let mut file = File::from(memfd_create(c"region", MemfdFlags::CLOEXEC).unwrap());
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_descriptor_goes_to_another_end() {
        let (here, there) = UnixStream::pair().unwrap();
        Region::new(file(b"abcdef"), 2).send(&here).unwrap();
        let region = Region::receive(&there).unwrap();
        assert_eq!(region.read_vec(1, 2).unwrap(), b"de");
    }

    #[test]
    fn a_message_without_a_descriptor_is_refused() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[0; 9]).unwrap();
        assert!(Region::receive(&there).is_err());
    }

    #[test]
    fn an_inherited_descriptor_is_the_same_file() {
        let first = Region::new(file(b"abcdef"), 1);
        let [fd, start] = first.bequeath().unwrap();
        let region = Region::inherit(fd.parse().unwrap(), start.parse().unwrap()).unwrap();
        assert_eq!(region.read_vec(0, 2).unwrap(), b"bc");
        assert!(Region::inherit(1_000_000, 0).is_err());
    }

    #[test]
    fn memory_that_is_not_there_is_a_fault() {
        const EFAULT: Option<i32> = Some(14);

        let region = Region::new(file(b"abcdef"), 0);
        assert_eq!(region.read_to_nowhere(0, 4).unwrap_err().errno(), EFAULT);
        assert_eq!(region.write_from_nowhere(0, 4).unwrap_err().errno(), EFAULT);
    }
}
