// SPDX-License-Identifier: GPL-2.0

//! A device that another process holds, which may be killed.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{ensure, Context, Result};
use vfio_client::Bdf;

/// The process: `vfio-client hold`.
pub(crate) struct Holder {
    program: PathBuf,
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Holder {
    /// Start it, and wait until the device is open.
    pub(crate) fn start(bdf: Bdf) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("vfio-client");
        let mut child = Command::new(&program)
            .args(["hold", &bdf.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        let mut holder = Self {
            commands: child.stdin.take().context("no input")?,
            answers: BufReader::new(child.stdout.take().context("no output")?).lines(),
            child,
            program,
        };
        let said = holder.answer()?;
        ensure!(said == "open", "the client said {said:?}");
        Ok(holder)
    }

    fn answer(&mut self) -> Result<String> {
        Ok(self.answers.next().context("the client ended")??)
    }

    /// Have it read a dword of configuration space.
    pub(crate) fn read(&mut self, at: usize) -> Result<()> {
        writeln!(self.commands, "read {at:#x} 4")?;
        let said = self.answer()?;
        ensure!(said.starts_with("ok "), "the client said {said:?}");
        Ok(())
    }

    /// What it runs.
    pub(crate) fn program(&self) -> String {
        self.program.display().to_string()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kill it, and wait until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.kill();
    }
}
