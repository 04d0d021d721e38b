// SPDX-License-Identifier: GPL-2.0

//! A process that holds a device and executes commands, one line of input and output each.

use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{bail, Context, Result};
use vfio_client::{hex, in_child, Region};

/// Listens for a device, and executes commands.
pub(crate) fn receive(path: &Path) -> Result<()> {
    // A killed process may have left one.
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
    say("listening")?;
    let (socket, _) = listener.accept()?;
    let region = Region::receive(&socket)?;
    drop(socket);
    obey_all(&region)
}

/// Executes the lines of standard input, and prints a line when each is done.
pub(crate) fn obey_all(region: &Region) -> Result<()> {
    say("open")?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        match obey(region, &line) {
            Ok(answer) => say(&format!("ok{answer}"))?,
            Err(error) => say(&format!("error {error:#}"))?,
        }
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout();
    writeln!(out, "{line}")?;
    out.flush()
}

fn number(text: &str) -> Result<u64> {
    hex::number(text).map_err(anyhow::Error::msg)
}

fn obey(region: &Region, line: &str) -> Result<String> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["read", offset, size] => {
            let size = number(size)?.min(1 << 16) as usize;
            let bytes = region.read_vec(number(offset)?, size)?;
            Ok(format!(" {}", hex::plain(&bytes)))
        }
        ["write", offset, bytes] => {
            region.write(number(offset)?, &hex::parse(bytes)?)?;
            Ok(String::new())
        }
        ["fork", times, ref rest @ ..] => {
            let line = rest.join(" ");
            let mut pids = String::new();
            for _ in 0..number(times)? {
                let pid = in_child(|| obey(region, &line).is_ok())?;
                pids.push_str(&format!(" {pid}"));
            }
            Ok(pids)
        }
        ["pass", socket] => {
            region.send(&UnixStream::connect(socket).context(socket.to_owned())?)?;
            Ok(String::new())
        }
        ["exec", program] => {
            let words = region.bequeath()?;
            // Returns only on error.
            Err(Command::new(program).arg("inherit").args(words).exec())
                .with_context(|| program.to_owned())
        }
        _ => bail!("unknown command, see --help: {line}"),
    }
}
