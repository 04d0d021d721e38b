// SPDX-License-Identifier: GPL-2.0

//! Switches auditing on and off without a process for it, which takes a second in an emulated
//! machine.

use std::os::fd::OwnedFd;

use anyhow::{ensure, Context, Result};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{recv, sendto, socket, AddressFamily, RecvFlags, SendFlags, SocketType};

/// Changes audit's state: a `struct audit_status`, of which the first words are enough.
const AUDIT_SET: u16 = 1001;
/// The word that is to change: `AUDIT_STATUS_ENABLED`.
const ENABLED: u32 = 1;
/// `NLM_F_REQUEST | NLM_F_ACK`.
const FLAGS: u16 = 1 | 4;
/// The type of the answer.
const NLMSG_ERROR: u16 = 2;
/// Bytes of a message's header.
const HEADER: usize = 16;

pub(super) struct Switch(OwnedFd);

impl Switch {
    pub(super) fn open() -> Result<Self> {
        socket(
            AddressFamily::NETLINK,
            SocketType::RAW,
            Some(netlink::AUDIT),
        )
        .map(Self)
        .context("a netlink socket for audit")
    }

    pub(super) fn set(&self, on: bool) -> Result<()> {
        let mut message = Vec::with_capacity(HEADER + 8);
        message.extend((HEADER as u32 + 8).to_ne_bytes());
        message.extend(AUDIT_SET.to_ne_bytes());
        message.extend(FLAGS.to_ne_bytes());
        // Neither sequence nor port.
        message.extend([0; 8]);
        message.extend(ENABLED.to_ne_bytes());
        message.extend(u32::from(on).to_ne_bytes());
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.0, &message, SendFlags::empty(), &kernel).context("AUDIT_SET")?;

        let mut answer = [0; 256];
        let (length, _) =
            recv(&self.0, &mut answer[..], RecvFlags::empty()).context("AUDIT_SET")?;
        let answer = &answer[..length];
        let word = |at: usize| -> Option<[u8; 4]> { answer.get(at..at + 4)?.try_into().ok() };
        let kind = answer.get(4..6).context("AUDIT_SET: a short answer")?;
        let error = i32::from_ne_bytes(word(HEADER).context("AUDIT_SET: a short answer")?);
        ensure!(
            kind == NLMSG_ERROR.to_ne_bytes() && error == 0,
            "AUDIT_SET was answered with {error}"
        );
        Ok(())
    }
}
