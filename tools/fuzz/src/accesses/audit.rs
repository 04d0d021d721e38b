// SPDX-License-Identifier: GPL-2.0

//! Switches auditing on and off without a process for it, which takes a second in an emulated
//! machine.

use std::os::fd::OwnedFd;

use anyhow::{ensure, Context, Result};
use netlink_packet_core::{
    ErrorBuffer, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    NLMSG_ERROR, NLM_F_ACK, NLM_F_REQUEST,
};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{recv, sendto, socket, AddressFamily, RecvFlags, SendFlags, SocketType};

/// Changes audit's state: a `struct audit_status`, of which the first words are enough.
const AUDIT_SET: u16 = 1001;
/// The word that is to change: `AUDIT_STATUS_ENABLED`.
const ENABLED: u32 = 1;

/// The message that switches.
struct Enable(bool);

impl NetlinkSerializable for Enable {
    fn message_type(&self) -> u16 {
        AUDIT_SET
    }

    fn buffer_len(&self) -> usize {
        8
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let words = [ENABLED, self.0.into()].map(u32::to_ne_bytes);
        buffer.copy_from_slice(words.as_flattened());
    }
}

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
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | NLM_F_ACK;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(Enable(on)));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.0, &bytes, SendFlags::empty(), &kernel).context("AUDIT_SET")?;

        let mut answer = [0; 256];
        let (length, _) =
            recv(&self.0, &mut answer[..], RecvFlags::empty()).context("AUDIT_SET")?;
        let answer = NetlinkBuffer::new_checked(&answer[..length]).context("AUDIT_SET")?;
        ensure!(
            answer.message_type() == NLMSG_ERROR,
            "AUDIT_SET was answered with a message of type {}",
            answer.message_type()
        );
        let error = ErrorBuffer::new_checked(answer.payload())
            .context("AUDIT_SET")?
            .code();
        ensure!(error.is_none(), "AUDIT_SET failed with {error:?}");
        Ok(())
    }
}
