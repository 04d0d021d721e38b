// SPDX-License-Identifier: GPL-2.0

//! Starts the machine to try things in, as `make shell` does, on a terminal that script(1) makes,
//! and types what its hint suggests.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure, Context, Result};
use lab::paths::Paths;
use lab::progress;

use crate::cli::checks::Checks;
use crate::cli::demo::{DEVICE, OFFSET_TEXT};
use crate::cli::show::PROMPT;

/// How long it may take to come up, and to answer.
const PATIENCE: Duration = Duration::from_secs(600);

/// Try it; whether nothing failed.
pub(crate) fn run(paths: &Paths) -> Result<bool> {
    let mut terminal = Terminal::open(paths)?;
    let mut checks = Checks::new(4)?;
    let hint = terminal.until(PROMPT).map_err(|error| format!("{error:#}"));
    checks.check("make shell comes up, and suggests five commands", || {
        let said = hint.as_ref().map_err(|said| anyhow!(said.clone()))?;
        // Before the hint come the steps, which are indented when they take a second.
        let (_, hint) = said.split_once("Try:").context("there is no hint")?;
        let commands = hint.lines().filter(|line| line.starts_with("    "));
        ensure!(commands.count() == 5, "{said}");
        Ok(())
    })?;
    checks.check("a device is bound there, and can be accessed", || {
        terminal.type_line(&format!(
            "vfio-client write {DEVICE} {OFFSET_TEXT} ff && echo did it"
        ))?;
        let said = terminal.until(PROMPT)?;
        ensure!(said.lines().any(|line| line == "did it"), "{said}");
        Ok(())
    })?;
    checks.check("auditd runs there, and has a record of the access", || {
        let hint = hint.as_deref().unwrap_or_default();
        let line = hint.lines().find(|line| line.contains("ausearch"));
        let search = line.context("the hint has no ausearch")?.trim();
        // The daemon writes it a moment later.
        terminal.type_line(&format!("sleep 2; {search}"))?;
        let said = terminal.until(PROMPT)?;
        let record = format!("op=write offset={OFFSET_TEXT} size=1");
        ensure!(said.contains(&record), "{said}");
        Ok(())
    })?;
    checks.check("exit ends it", || {
        terminal.type_line("exit")?;
        terminal.end()
    })?;
    checks.end()
}

/// A terminal with the machine's shell.
struct Terminal {
    child: Child,
    input: ChildStdin,
    output: Receiver<Vec<u8>>,
}

impl Terminal {
    fn open(paths: &Paths) -> Result<Self> {
        let words = ["script", "-qec", "scripts/lab.sh shell", "/dev/null"].map(str::to_owned);
        let mut child = progress::command(paths, &words)
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("script")?;
        let input = child.stdin.take().context("a terminal without input")?;
        let mut from = child.stdout.take().context("a terminal without output")?;
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = from.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            child,
            input,
            output,
        })
    }

    fn type_line(&mut self, line: &str) -> Result<()> {
        writeln!(self.input, "{line}").context("the terminal")
    }

    /// What is said until this comes.
    fn until(&mut self, end: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&said).replace('\r', "");
            if text.ends_with(end) {
                return Ok(text);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(more) => said.extend(more),
                Err(error) => bail!("no {end:?}, {error}: {text}"),
            }
        }
    }

    /// Wait until it ends by itself.
    fn end(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "it ended with {status}");
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("it does not end")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
