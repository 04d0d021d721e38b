// SPDX-License-Identifier: GPL-2.0

//! Records as the kernel hands them to all who listen, whether or not there is an audit daemon.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{sync_channel, Receiver, SyncSender};
use std::thread;

use anyhow::{anyhow, Context, Error, Result};
use netlink_packet_core::{NetlinkBuffer, NLMSG_ERROR, NLM_F_REQUEST};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{bind, getsockname, recv, sendto, socket};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};

use crate::record;

/// The group that gets a copy of every record, `AUDIT_NLGRP_READLOG`, as a bit.
const READLOG: u32 = 1;
/// Asks for audit's state, and is the type of the answer.
const AUDIT_GET: u16 = 1000;
/// Where the answer has whether audit is on: behind a mask, `struct audit_status`.
const ENABLED: std::ops::Range<usize> = 4..8;
/// What the kernel keeps for a listener that is slow, in bytes. All types of records share it.
const KERNEL_KEEPS: usize = 8 << 20;
/// How many of the records that matter are kept while nothing takes them.
const KEPT: usize = 1 << 14;
/// A message has `MAX_AUDIT_MESSAGE_LENGTH`, 8970 bytes, at most.
const LONGEST: usize = 16 << 10;

/// What comes from the kernel.
#[derive(Debug)]
pub(super) enum Message {
    /// A record that matters, as auditd writes it.
    Record(String),
    /// Messages of any type were lost, since they were not taken in time; how many, if that is
    /// known.
    Lost(Option<u64>),
    /// Audit is off, so that nothing is recorded.
    Off,
    /// There will be no more.
    Broken(io::Error),
}

/// Listen from now on.
pub(super) fn listen() -> Result<Receiver<Message>> {
    let socket = open()?;
    // The answer is one of the messages. Without the right to ask there is none.
    let _ = sendto(
        &socket,
        &request(AUDIT_GET),
        SendFlags::empty(),
        &SocketAddrNetlink::new(0, 0),
    );
    let (sender, receiver) = sync_channel(KEPT);
    // A thread of its own takes messages as fast as they come, however slow the output is.
    thread::Builder::new()
        .name("netlink".into())
        .spawn(move || take(&socket, &sender))
        .context("a thread")?;
    Ok(receiver)
}

fn open() -> Result<OwnedFd> {
    let socket = socket(
        AddressFamily::NETLINK,
        SocketType::RAW,
        Some(netlink::AUDIT),
    )
    .map_err(no_socket)?;
    // More than the system's limit takes a right that not all have who may listen.
    set_socket_recv_buffer_size_force(&socket, KERNEL_KEEPS)
        .or_else(|_| set_socket_recv_buffer_size(&socket, KERNEL_KEEPS))
        .context("the size of a netlink socket's buffer")?;
    bind(&socket, &SocketAddrNetlink::new(0, READLOG)).map_err(no_group)?;
    Ok(socket)
}

fn no_socket(error: Errno) -> Error {
    match error {
        Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => {
            anyhow!("this kernel has no audit: it was built without CONFIG_AUDIT")
        }
        error => Error::new(error).context("a netlink socket for audit"),
    }
}

fn no_group(error: Errno) -> Error {
    match error {
        Errno::PERM | Errno::ACCESS => anyhow!(
            "the kernel's records take root or CAP_AUDIT_READ to read; or name a log to follow"
        ),
        error => Error::new(error).context("audit's netlink group"),
    }
}

/// A request without anything in it.
fn request(kind: u16) -> Vec<u8> {
    const HEADER: u32 = 16;

    let mut buffer = vec![0; HEADER as usize];
    let mut packet = NetlinkBuffer::new(&mut buffer);
    packet.set_length(HEADER);
    packet.set_message_type(kind);
    packet.set_flags(NLM_F_REQUEST);
    buffer
}

/// Take messages until there is nothing to take them for.
fn take(socket: &OwnedFd, sender: &SyncSender<Message>) {
    let mut buffer = vec![0; LONGEST];
    // Of a new socket; by the time that this thread runs there may be some.
    let mut drops = 0;
    loop {
        let message = match recv(socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((read, _)) => understand(&buffer[..read]),
            Err(Errno::INTR) => None,
            Err(Errno::NOBUFS) => {
                let now = self::drops(socket);
                let lost = now.map(|now| now.wrapping_sub(drops));
                drops = now.unwrap_or(drops);
                Some(Message::Lost(lost))
            }
            Err(error) => Some(Message::Broken(error.into())),
        };
        let last = matches!(message, Some(Message::Broken(_)));
        let taken = message.is_none_or(|message| sender.send(message).is_ok());
        if last || !taken {
            return;
        }
    }
}

/// What a message tells; nothing if it does not matter here.
fn understand(bytes: &[u8]) -> Option<Message> {
    let packet = NetlinkBuffer::new_checked(bytes).ok()?;
    let payload = packet.payload();
    match packet.message_type() {
        NLMSG_ERROR => None,
        AUDIT_GET => {
            let enabled = payload.get(ENABLED)?.try_into().ok()?;
            (u32::from_ne_bytes(enabled) == 0).then_some(Message::Off)
        }
        number => {
            let kind = record::kind_of(number)?;
            let text = String::from_utf8_lossy(payload);
            let text = text.trim_end_matches(['\0', '\n']);
            Some(Message::Record(format!("type={kind} msg={text}")))
        }
    }
}

/// How many messages were lost for a socket.
fn drops(socket: &OwnedFd) -> Option<u64> {
    let address = SocketAddrNetlink::try_from(getsockname(socket).ok()?).ok()?;
    let table = fs::read_to_string("/proc/net/netlink").ok()?;
    drops_in(&table, address.pid())
}

/// The same from the kernel's table, by the socket's port.
fn drops_in(table: &str, port: u32) -> Option<u64> {
    let mut lines = table.lines();
    let place = |head: &str, name: &str| head.split_whitespace().position(|word| word == name);
    let head = lines.next()?;
    let (family, pid, drops) = (
        place(head, "Eth")?,
        place(head, "Pid")?,
        place(head, "Drops")?,
    );
    /// `NETLINK_AUDIT`.
    const AUDIT: &str = "9";
    let port = port.to_string();
    lines.find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ours = words.get(family) == Some(&AUDIT) && words.get(pid) == Some(&&*port);
        ours.then(|| words.get(drops)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = request(kind);
        bytes.extend_from_slice(payload);
        let length = bytes.len() as u32;
        NetlinkBuffer::new(&mut bytes).set_length(length);
        bytes
    }

    #[test]
    fn records_that_matter_are_as_auditd_writes_them() {
        let text = b"audit(1747758000.123:456): device=\"0000:01:00.1\" op=open res=1";
        let Some(Message::Record(line)) = understand(&message(1340, text)) else {
            panic!("it is a record");
        };
        assert_eq!(
            line,
            format!("type=PCI msg={}", std::str::from_utf8(text).unwrap())
        );
        record::parse(line.as_bytes()).unwrap().unwrap();
        assert!(understand(&message(1300, text)).is_none());
        assert!(understand(&message(1340, text)[..20]).is_none());
        assert!(understand(b"").is_none());
    }

    #[test]
    fn audit_that_is_off_is_told() {
        let status = |enabled: u32| [1u32.to_ne_bytes(), enabled.to_ne_bytes()].concat();
        let told = |enabled| understand(&message(AUDIT_GET, &status(enabled)));
        assert!(matches!(told(0), Some(Message::Off)));
        assert!(told(1).is_none());
        assert!(understand(&message(AUDIT_GET, &[0; 4])).is_none());
    }

    #[test]
    fn lost_messages_are_counted_by_the_kernel() {
        let table = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    \
                     Drops    Inode\n\
                     0000000000000000 0   4242       00000001 0        0        0     2        \
                     5        11\n\
                     0000000000000000 9   4242       00000001 0        0        0     2        \
                     77       12\n";
        assert_eq!(drops_in(table, 4242), Some(77));
        assert_eq!(drops_in(table, 1), None);
        assert_eq!(drops_in("", 4242), None);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert!(no_socket(Errno::PROTONOSUPPORT)
            .to_string()
            .contains("CONFIG_AUDIT"));
        assert!(no_group(Errno::PERM).to_string().contains("CAP_AUDIT_READ"));
    }
}
