// SPDX-License-Identifier: GPL-2.0

//! What libvirt writes into the audit log of its virtual machines.
//!
//! The fields are within a field of their own: `msg='virt=kvm op=start … vm="win11" uuid=…
//! vm-pid=4242 … res=success'`.

use std::borrow::Cow;

use pci_config::Bdf;

use crate::holder::untrusted;
use crate::record::{number, pairs};

/// One record. It borrows from its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Virt<'a> {
    /// The machine that it is from, where the daemon was told to say so.
    pub node: Option<&'a str>,
    /// The identity of the boot, where journald says it.
    pub boot: Option<&'a str>,
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// The virtual machine's name.
    pub vm: Cow<'a, str>,
    /// Its UUID.
    pub uuid: &'a str,
    /// What it tells.
    pub what: What<'a>,
}

/// What a record tells of a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// It runs as a process.
    Start(u64),
    /// It has ended.
    Stop,
    /// It has a security context.
    Context(&'a str),
    /// It got a device.
    Device(Bdf),
}

impl<'a> Virt<'a> {
    /// Read a record of a type; nothing if it tells nothing that matters, or did not succeed.
    pub(crate) fn parse(
        kind: &str,
        (node, boot): (Option<&'a str>, Option<&'a str>),
        time: u64,
        text: &'a str,
    ) -> Option<Self> {
        let (_, inner) = text.split_once("msg='")?;
        let inner = inner.rsplit_once('\'').map_or(inner, |(inner, _)| inner);
        let field = |name: &str| {
            let mut all = pairs(inner);
            all.find_map(|(key, value)| (key == name).then_some(value))
        };
        if field("res").is_some_and(|res| !matches!(res, "success" | "1" | "yes")) {
            return None;
        }
        let what = match kind {
            "VIRT_CONTROL" => match field("op")? {
                "start" => What::Start(number(field("vm-pid")?)?),
                "stop" => What::Stop,
                _ => return None,
            },
            "VIRT_MACHINE_ID" => What::Context(field("vm-ctx").filter(|context| *context != "?")?),
            "VIRT_RESOURCE" if field("bus")? == "pci" => {
                if !matches!(field("reason")?, "start" | "attach") {
                    return None;
                }
                What::Device(field("device")?.trim_matches('"').parse().ok()?)
            }
            _ => return None,
        };
        Some(Self {
            node,
            boot,
            time,
            vm: untrusted(field("vm")?),
            uuid: field("uuid")?,
            what,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "8f3b2c11-1c2d-4e5f-8a9b-0c1d2e3f4a5b";

    fn parse<'a>(kind: &str, text: &'a str) -> Option<Virt<'a>> {
        Virt::parse(kind, (None, None), 5, text)
    }

    fn wrap(inner: &str) -> String {
        format!(
            "pid=1510 uid=0 auid=1 ses=1 subj=x msg='virt=kvm {inner} \
             exe=\"/usr/sbin/libvirtd\" hostname=? addr=? terminal=? res=success'"
        )
    }

    #[test]
    fn what_matters_is_read() {
        let vm = format!("vm=\"win11-gpu\" uuid={UUID}");
        for (kind, inner, what) in [
            (
                "VIRT_CONTROL",
                format!("op=start reason=booted {vm} vm-pid=4242 init-pid=0"),
                What::Start(4242),
            ),
            (
                "VIRT_CONTROL",
                format!("op=stop reason=shutdown {vm} vm-pid=-1"),
                What::Stop,
            ),
            (
                "VIRT_MACHINE_ID",
                format!("{vm} vm-ctx=u:r:svirt_t:s0:c1,c2 img-ctx=x model=selinux"),
                What::Context("u:r:svirt_t:s0:c1,c2"),
            ),
            (
                "VIRT_RESOURCE",
                format!("resrc=dev reason=start {vm} bus=pci device=0000:01:00.1"),
                What::Device("0000:01:00.1".parse().unwrap()),
            ),
            (
                "VIRT_RESOURCE",
                format!("resrc=dev reason=attach {vm} bus=pci device=\"0000:01:00.1\""),
                What::Device("0000:01:00.1".parse().unwrap()),
            ),
        ] {
            let text = wrap(&inner);
            let virt = parse(kind, &text).unwrap();
            assert_eq!((&*virt.vm, virt.uuid), ("win11-gpu", UUID));
            assert_eq!(virt.what, what, "{inner}");
        }
        // A name that has what would end it is in hexadecimal.
        let text = wrap(&format!("op=stop vm=77696E2031 uuid={UUID}"));
        assert_eq!(parse("VIRT_CONTROL", &text).unwrap().vm, "win 1");
    }

    /// Records of libvirt 9.0 with QEMU, whose machine is called "win 11".
    #[test]
    fn what_libvirt_writes() {
        const WHO: &str = "pid=78 uid=0 auid=4294967295 ses=4294967295";
        const END: &str = "exe=\"/usr/sbin/libvirtd\" hostname=? addr=? terminal=? res=success'";

        for (kind, inner, what) in [
            (
                "VIRT_MACHINE_ID",
                "vm=77696E203131 uuid=U vm-ctx=+0:+0 img-ctx=+0:+0 model=dac",
                Some(What::Context("+0:+0")),
            ),
            (
                "VIRT_RESOURCE",
                "resrc=mem reason=start vm=77696E203131 uuid=U old-mem=0 new-mem=32768",
                None,
            ),
            (
                "VIRT_CONTROL",
                "op=start reason=booted vm=77696E203131 uuid=U vm-pid=120",
                Some(What::Start(120)),
            ),
        ] {
            let text = format!(
                "{WHO} msg='virt=qemu {} {END}",
                inner.replace("uuid=U", &format!("uuid={UUID}"))
            );
            let virt = parse(kind, &text);
            assert_eq!(
                virt.as_ref().map(|virt| &virt.what),
                what.as_ref(),
                "{inner}"
            );
            assert!(virt.is_none_or(|virt| virt.vm == "win 11" && virt.uuid == UUID));
        }
    }

    #[test]
    fn what_does_not_matter_is_not() {
        let vm = format!("vm=\"x\" uuid={UUID}");
        for (kind, inner) in [
            ("VIRT_CONTROL", format!("op=start {vm} vm-pid=-1")),
            ("VIRT_CONTROL", format!("op=start {vm}")),
            ("VIRT_CONTROL", "op=start vm-pid=7".to_owned()),
            ("VIRT_RESOURCE", format!("resrc=disk reason=start {vm}")),
            (
                "VIRT_RESOURCE",
                format!("resrc=dev reason=detach {vm} bus=pci device=0000:01:00.1"),
            ),
            (
                "VIRT_RESOURCE",
                format!("resrc=dev reason=start {vm} bus=usb device=1.2"),
            ),
            ("VIRT_MACHINE_ID", format!("{vm} vm-ctx=?")),
        ] {
            assert_eq!(parse(kind, &wrap(&inner)), None, "{inner}");
        }
        let failed = wrap(&format!("op=start {vm} vm-pid=7")).replace("success", "failed");
        assert_eq!(parse("VIRT_CONTROL", &failed), None);
        assert_eq!(parse("VIRT_CONTROL", "pid=1 uid=0"), None);
    }
}
