// SPDX-License-Identifier: GPL-2.0

//! What journald has of this machine, as journalctl prints it.

use std::io::{self, Read};
use std::process::{Child, Command, Stdio};

/// Whether there is such a program.
pub(crate) fn is_there() -> bool {
    let quiet = Command::new("journalctl")
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// The records of the types that matter, and the kernel's own messages of the same.
pub(crate) fn records() -> io::Result<Printed> {
    let types = [1340, 2500, 2501, 2502, 1127].map(|number| format!("_AUDIT_TYPE={number}"));
    let matches = types.join(" + ");
    // All of these are in the journal of the system. For that one alone, journalctl fails if this
    // user may not read it; otherwise it would print what the user's own journal has: nothing.
    Printed::by(
        Command::new("journalctl")
            .args(["--no-pager", "--system", "--output=json"])
            .args(matches.split(' '))
            .args(["+", "_TRANSPORT=kernel"]),
    )
}

/// What a program prints. If the program fails, reading fails behind the last byte.
pub(crate) struct Printed {
    name: String,
    child: Child,
}

impl Printed {
    /// Run a program.
    pub(crate) fn by(command: &mut Command) -> io::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        match child {
            Ok(child) => Ok(Self { name, child }),
            Err(error) => Err(io::Error::new(error.kind(), format!("{name}: {error}"))),
        }
    }
}

impl Read for Printed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.child.stdout {
            Some(out) => out.read(buffer)?,
            None => 0,
        };
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(0),
            false => Err(io::Error::other(format!(
                "{} ended with {status}",
                self.name
            ))),
        }
    }
}

/// It may be read in part only.
impl Drop for Printed {
    fn drop(&mut self) {
        // It may have ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
