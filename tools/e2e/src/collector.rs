// SPDX-License-Identifier: GPL-2.0

//! A second audit daemon that receives records over the network, and none from this kernel.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use anyhow::{ensure, Context, Result};

use crate::audit::{self, wait_until};
use crate::command;
use crate::record::{self, Record};

/// Timeout for the start of the daemon.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon. It is stopped when this is dropped.
pub(crate) struct Collector {
    prefix: PathBuf,
    folder: PathBuf,
    child: Child,
}

impl Collector {
    /// Starts the daemon with an empty log in `folder`, listening on `port`.
    pub(crate) fn start(prefix: &Path, folder: PathBuf, port: u16) -> Result<Self> {
        has_address()?;
        fs::create_dir_all(folder.join("plugins.d"))
            .with_context(|| folder.display().to_string())?;
        let conf = audit::configuration(&folder).replace("local_events = yes", "local_events = no");
        fs::write(
            folder.join("auditd.conf"),
            format!("{conf}tcp_listen_port = {port}\nuse_libwrap = no\n"),
        )?;
        let child = audit::spawn(prefix, &folder)?;
        let mut collector = Self {
            prefix: prefix.to_owned(),
            folder,
            child,
        };
        let listens = wait_until(PATIENCE, || {
            let ended = collector.child.try_wait()?;
            ensure!(ended.is_none(), "the collector ended: {ended:?}");
            is_listening(port)
        })?;
        ensure!(
            listens,
            "the collector does not listen on {port} after {PATIENCE:?}"
        );
        Ok(collector)
    }

    /// The PCI records received from `node`.
    pub(crate) fn records(&self, node: &str) -> Result<Vec<Record>> {
        let log = self.folder.join("audit.log");
        let found = ["-m", "PCI", "--node", node, "--raw"];
        record::parse_all(&audit::search_in(&self.prefix, &log, &found)?)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // The daemon may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Give the machine an address besides those of the loopback interface, as a host that collects
/// records has: one for documentation (RFC 5737). With none, getaddrinfo(3) offers auditd addresses
/// of IPv6 as well as of IPv4. It takes the former alone, and crashes if the kernel has no IPv6.
fn has_address() -> Result<()> {
    let mut ip = Command::new("ip");
    ip.args(["addr", "replace", "192.0.2.1/32", "dev", "lo"]);
    command::stdout(&mut ip).map(drop)
}

/// Whether a process listens on a TCP port: see proc_net_tcp.rst.
fn is_listening(port: u16) -> Result<bool> {
    let local = format!(":{port:04X}");
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            // A kernel may be built without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).context(file),
        };
        let listens = |line: &str| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|word| word.ends_with(&local)) && words.nth(1) == Some("0A")
        };
        if text.lines().any(listens) {
            return Ok(true);
        }
    }
    Ok(false)
}
