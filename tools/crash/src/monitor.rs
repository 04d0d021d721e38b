// SPDX-License-Identifier: GPL-2.0

//! QEMU's monitor.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use serde_json::{json, Value};

/// A connection to it.
pub(crate) struct Monitor {
    answers: BufReader<UnixStream>,
    commands: UnixStream,
}

impl Monitor {
    /// Connect to the socket that QEMU makes.
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if start.elapsed() > Duration::from_secs(30) => {
                    return Err(error).context("QEMU's monitor");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut monitor = Self {
            commands: stream.try_clone()?,
            answers: BufReader::new(stream),
        };
        monitor.read()?;
        monitor.command("qmp_capabilities", json!({}))?;
        Ok(monitor)
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line)?;
        ensure!(read > 0, "QEMU has ended");
        Ok(serde_json::from_str(&line)?)
    }

    /// Have it obey, and take its answer.
    pub(crate) fn command(&mut self, name: &str, arguments: Value) -> Result<Value> {
        let command = json!({ "execute": name, "arguments": arguments });
        writeln!(self.commands, "{command}")?;
        loop {
            let answer = self.read()?;
            if let Some(error) = answer.get("error") {
                bail!("{name}: {error}");
            }
            // Everything else is an event.
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
        }
    }

    /// The same for a command that only people have.
    pub(crate) fn human(&mut self, line: &str) -> Result<String> {
        let answer = self.command("human-monitor-command", json!({ "command-line": line }))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }
}
