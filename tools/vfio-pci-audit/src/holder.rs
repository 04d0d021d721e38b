// SPDX-License-Identifier: GPL-2.0

//! Who holds a device.

use std::borrow::Cow;

use crate::printable::printable;
use crate::record::{number, pairs};

/// Who holds a device, as `op=open` says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u64>,
    /// Its user.
    pub uid: Option<u64>,
    /// The user who logged in to start it; nothing where there was no login, as for a service.
    pub auid: Option<u64>,
    /// Its name.
    pub comm: String,
    /// Its program.
    pub exe: String,
    /// Its security context, which names the virtual machine under libvirt.
    pub subj: String,
}

impl Holder {
    /// Whether two are one process. Its name does not matter: every thread has one of its own.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.pid, &self.exe, &self.subj) == (other.pid, &other.exe, &other.subj)
    }

    /// What people call it: the program, since `comm` may be the name of a thread, such as `CPU
    /// 0/KVM`.
    pub fn name(&self) -> &str {
        match self.exe.rsplit('/').next() {
            Some(name) if self.exe.starts_with('/') && !name.is_empty() => name,
            _ => &self.comm,
        }
    }

    /// Read the task's fields of a record's text.
    pub fn parse(text: &str) -> Self {
        /// What auid has where there was no login.
        const NO_LOGIN: u64 = u32::MAX as u64;

        let mut holder = Self::default();
        for (key, value) in pairs(text) {
            match key {
                "pid" => holder.pid = number(value),
                "uid" => holder.uid = number(value),
                "auid" => holder.auid = number(value).filter(|auid| *auid != NO_LOGIN),
                "comm" => holder.comm = untrusted(value).into_owned(),
                "exe" => holder.exe = untrusted(value).into_owned(),
                "subj" => holder.subj = value.to_owned(),
                _ => {}
            }
        }
        holder
    }
}

/// A string that the kernel did not trust: in quotes, or in hexadecimal if it has a character that
/// would end it. It is told as it may be shown.
pub(crate) fn untrusted(value: &str) -> Cow<'_, str> {
    printable(decoded(value))
}

fn decoded(value: &str) -> Cow<'_, str> {
    if let Some(quoted) = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
        return quoted.into();
    }
    let bytes: Option<Vec<u8>> = (value.len() % 2 == 0 && value.is_ascii())
        .then(|| {
            (0..value.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&value[at..at + 2], 16).ok())
                .collect()
        })
        .flatten();
    match bytes {
        Some(bytes) if !bytes.is_empty() => String::from_utf8_lossy(&bytes).into_owned().into(),
        // (null), and what a daemon to come may write.
        _ => value.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_holds_a_device() {
        let text = r#"device="0000:01:00.0" op=open ppid=1 pid=77 auid=4294967295 uid=64055 gid=64055 ses=4294967295 subj=libvirt-6f2c (enforce) tty=(none) comm=71656D7520787838 exe="/usr/bin/qemu-system-x86_64" res=1"#;
        assert_eq!(
            Holder::parse(text),
            Holder {
                pid: Some(77),
                uid: Some(64055),
                auid: None,
                comm: "qemu xx8".into(),
                exe: "/usr/bin/qemu-system-x86_64".into(),
                subj: "libvirt-6f2c (enforce)".into(),
            }
        );
        assert_eq!(Holder::parse(text).name(), "qemu-system-x86_64");
        assert_eq!(Holder::parse("pid=77 comm=\"x\" exe=(null)").name(), "x");
        assert_eq!(untrusted("(null)"), "(null)");
        assert_eq!(untrusted("abc"), "abc");
        assert_eq!(untrusted("2F711B5B324A0A"), "/q\\u{1b}[2J\\u{a}");
        assert_eq!(untrusted("E280AE61"), "\\u{202e}a");
    }
}
