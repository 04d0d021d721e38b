// SPDX-License-Identifier: GPL-2.0

//! A device that is held by another process, which can be killed.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{ensure, Context, Result};
use vfio_client::Bdf;

/// The process: `vfio-client hold`, or a program that received its descriptors.
pub(crate) struct Holder {
    program: PathBuf,
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// The path of the program. Scenarios may use a copy of it.
pub(crate) fn program() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("vfio-client"))
}

impl Holder {
    /// Starts the program, and waits until the device is open.
    pub(crate) fn start(bdf: Bdf) -> Result<Self> {
        let mut holder = Self::spawn(&program()?, &["hold", &bdf.to_string()])?;
        holder.expect("open")?;
        Ok(holder)
    }

    /// Starts another program that waits for a device on `socket`.
    pub(crate) fn receiver(program: &Path, socket: &Path) -> Result<Self> {
        let mut holder = Self::spawn(program, &["receive", &socket.display().to_string()])?;
        holder.expect("listening")?;
        Ok(holder)
    }

    /// Passes the device to the program that waits for it.
    pub(crate) fn pass(&mut self, other: &mut Self, socket: &Path) -> Result<()> {
        self.command(&format!("pass {}", socket.display()))?;
        other.expect("open")
    }

    /// Executes another program in the same process.
    pub(crate) fn exec(&mut self, program: &Path) -> Result<()> {
        writeln!(self.commands, "exec {}", program.display())?;
        self.expect("open")?;
        self.program = program.to_owned();
        Ok(())
    }

    fn spawn(program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        Ok(Self {
            commands: child.stdin.take().context("no input")?,
            answers: BufReader::new(child.stdout.take().context("no output")?).lines(),
            child,
            program: program.to_owned(),
        })
    }

    fn answer(&mut self) -> Result<String> {
        Ok(self.answers.next().context("the client ended")??)
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        let said = self.answer()?;
        ensure!(said == word, "the client said {said:?}, not {word:?}");
        Ok(())
    }

    /// Sends a command line, and returns the reply.
    fn command(&mut self, line: &str) -> Result<String> {
        writeln!(self.commands, "{line}")?;
        let said = self.answer()?;
        let answer = said.strip_prefix("ok");
        let answer = answer.with_context(|| format!("{line:?}: the client said {said:?}"))?;
        Ok(answer.trim_start().to_owned())
    }

    /// Makes it read a dword of configuration space.
    pub(crate) fn read(&mut self, at: usize) -> Result<()> {
        self.command(&format!("read {at:#x} 4")).map(drop)
    }

    /// Writes zeros to a dword of configuration space.
    pub(crate) fn write(&mut self, at: usize) -> Result<()> {
        self.command(&format!("write {at:#x} 00000000")).map(drop)
    }

    /// Makes child processes read a dword each, one after the other. Returns their process ids.
    pub(crate) fn read_in_children(&mut self, times: u64, at: usize) -> Result<Vec<u32>> {
        let pids = self.command(&format!("fork {times} read {at:#x} 4"))?;
        pids.split_whitespace()
            .map(|pid| pid.parse().with_context(|| pids.clone()))
            .collect()
    }

    /// The path of the program.
    pub(crate) fn program(&self) -> String {
        self.program.display().to_string()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process, and waits until it is gone.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.kill();
    }
}
