// SPDX-License-Identifier: GPL-2.0

//! What `op=open` says of a process: the fields of `audit_log_task_info()`, as the kernel formats
//! them.

use std::fs;
use std::path::Path;

use pci_audit_core::holders::Process;

use crate::event::Identity;

/// The fields, each with a space before it. `subject` is the security context, if there is one.
pub fn fields(process: Process, identity: &Identity, subject: Option<&[u8]>) -> Vec<u8> {
    let Identity {
        ppid,
        auid,
        uid,
        gid,
        euid,
        suid,
        fsuid,
        egid,
        sgid,
        fsgid,
        ses,
        ..
    } = identity;
    let pid = process.tgid;
    let mut text = format!(
        " ppid={ppid} pid={pid} auid={auid} uid={uid} gid={gid} euid={euid} suid={suid} \
         fsuid={fsuid} egid={egid} sgid={sgid} fsgid={fsgid} tty="
    )
    .into_bytes();
    match &identity.tty[..] {
        b"" => text.extend(b"(none)"),
        tty => text.extend(tty),
    }
    text.extend(format!(" ses={ses} comm=").as_bytes());
    push_untrusted(&mut text, &identity.comm);
    text.extend(b" exe=");
    match &identity.exe {
        Some(exe) => push_untrusted(&mut text, exe),
        None => text.extend(b"(null)"),
    }
    if let Some(subject) = subject {
        text.extend(b" subj=");
        text.extend(subject);
    }
    text
}

/// A string that may have any byte: in quotes, or in hexadecimal if one of them could end it.
fn push_untrusted(text: &mut Vec<u8>, string: &[u8]) {
    let is_plain = |byte: &u8| (0x21..=0x7e).contains(byte) && *byte != b'"';
    if string.iter().all(is_plain) {
        text.push(b'"');
        text.extend(string);
        text.push(b'"');
    } else {
        text.extend(
            string
                .iter()
                .flat_map(|byte| format!("{byte:02X}").into_bytes()),
        );
    }
}

/// What only `/proc` says of a process. Nothing if the process is gone.
pub struct Proc<'a> {
    root: &'a Path,
    process: Process,
}

impl<'a> Proc<'a> {
    /// A process, as the machine has it whose files are under `root`.
    pub fn new(root: &'a Path, process: Process) -> Self {
        Self { root, process }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.root.join(format!("proc/{}/{name}", self.process.tgid))
    }

    /// Whether the process with this number is still the one that is meant.
    fn is_same(&self) -> bool {
        // Of a hundredth of a second each, as for all of user space.
        const TICK: u64 = 10_000_000;

        let stat = fs::read_to_string(self.file("stat")).unwrap_or_default();
        // Fields are counted from behind the name, which may have anything in it.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest);
        let started = fields.and_then(|fields| fields.split_whitespace().nth(19)?.parse().ok());
        started == Some(self.process.started / TICK)
    }

    /// The security context.
    pub fn subject(&self) -> Option<Vec<u8>> {
        let mut subject = fs::read(self.file("attr/current")).ok()?;
        while matches!(subject.last(), Some(b'\n' | 0)) {
            subject.pop();
        }
        (!subject.is_empty() && self.is_same()).then_some(subject)
    }

    /// The path of the program.
    pub fn exe(&self) -> Option<Vec<u8>> {
        use std::os::unix::ffi::OsStringExt;

        let exe = fs::read_link(self.file("exe")).ok()?;
        self.is_same().then(|| exe.into_os_string().into_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: Process = Process {
        tgid: 77,
        started: 12_345_678_901,
        executed: 3,
    };

    fn identity() -> Identity {
        Identity {
            ppid: 1,
            auid: u32::MAX,
            uid: 2,
            gid: 3,
            euid: 4,
            suid: 5,
            fsuid: 6,
            egid: 7,
            sgid: 8,
            fsgid: 9,
            ses: u32::MAX,
            comm: b"qemu".to_vec(),
            tty: Vec::new(),
            exe: Some(b"/usr/bin/qemu".to_vec()),
        }
    }

    fn said(identity: &Identity, subject: Option<&[u8]>) -> String {
        String::from_utf8(fields(PROCESS, identity, subject)).unwrap()
    }

    #[test]
    fn fields_are_the_kernels() {
        assert_eq!(
            said(&identity(), Some(b"unconfined")),
            " ppid=1 pid=77 auid=4294967295 uid=2 gid=3 euid=4 suid=5 fsuid=6 egid=7 sgid=8 \
             fsgid=9 tty=(none) ses=4294967295 comm=\"qemu\" exe=\"/usr/bin/qemu\" subj=unconfined"
        );
        let odd = Identity {
            comm: b"CPU 0/KVM".to_vec(),
            tty: b"pts3".to_vec(),
            exe: None,
            ..identity()
        };
        let text = said(&odd, None);
        assert!(text.ends_with("tty=pts3 ses=4294967295 comm=43505520302F4B564D exe=(null)"));
    }

    #[test]
    fn proc_is_asked_only_while_the_process_is_the_same() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("proc/77");
        fs::create_dir_all(folder.join("attr")).unwrap();
        fs::write(folder.join("attr/current"), "unconfined\n").unwrap();
        std::os::unix::fs::symlink("/usr/bin/qemu", folder.join("exe")).unwrap();
        let stat = |started: u64| {
            let zeros = "0 ".repeat(18);
            fs::write(
                folder.join("stat"),
                format!("77 (a b) c) S {zeros}{started} 0\n"),
            )
            .unwrap();
        };
        stat(1234);
        let proc = Proc::new(root.path(), PROCESS);
        assert_eq!(proc.subject(), Some(b"unconfined".to_vec()));
        assert_eq!(proc.exe(), Some(b"/usr/bin/qemu".to_vec()));
        stat(1235);
        assert_eq!(proc.subject(), None);
        assert_eq!(proc.exe(), None);
    }
}
