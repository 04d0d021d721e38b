// SPDX-License-Identifier: GPL-2.0

//! The record that libvirt writes when a virtual machine runs, by the form that it has.

use anyhow::{ensure, Context, Result};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{sendto, socket, AddressFamily, SendFlags, SocketType};

/// `AUDIT_VIRT_CONTROL`: it comes from a program, and the kernel puts that program in front.
const VIRT_CONTROL: u16 = 2500;
const NLM_F_REQUEST: u16 = 1;

/// Say that a virtual machine was started as a process; its name is as it is written in a record:
/// virDomainAuditLifecycle() of libvirt, by libaudit's audit_log_user_message().
pub(crate) fn started(vm: &str, uuid: &str, pid: u32) -> Result<()> {
    let text = format!(
        "virt=kvm op=start reason=booted vm={vm} uuid={uuid} vm-pid={pid} \
         exe=\"/usr/sbin/libvirtd\" hostname=? addr=? terminal=? res=success\0"
    );
    let length = 16 + text.len() as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(VIRT_CONTROL.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    // A number and a port of ours, which nothing needs.
    message.extend([0; 8]);
    message.extend(text.as_bytes());
    let socket = socket(
        AddressFamily::NETLINK,
        SocketType::RAW,
        Some(netlink::AUDIT),
    )?;
    let kernel = SocketAddrNetlink::new(0, 0);
    let sent = sendto(&socket, &message, SendFlags::empty(), &kernel);
    let sent = sent.context("a message for audit")?;
    ensure!(sent == message.len(), "only {sent} bytes of a message");
    Ok(())
}
