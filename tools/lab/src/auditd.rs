// SPDX-License-Identifier: GPL-2.0

//! The audit system: a daemon with a log of its own, auditctl to set the kernel's side, ausearch as
//! the judge.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use rustix::process::{kill_process, Pid, Signal};

use crate::command;
use crate::wait::wait_until;

/// How long anything of audit's may take, on a machine that is emulated and shared.
const PATIENCE: Duration = Duration::from_secs(30);

/// The patched audit userspace, with a daemon that may run.
pub struct Audit {
    prefix: PathBuf,
    folder: PathBuf,
    daemon: Option<Child>,
    markers: u32,
}

impl Audit {
    /// The configuration of a daemon with an empty log in `folder`; it is not started, and the
    /// kernel's side stays as it is.
    pub fn new(prefix: &Path, folder: PathBuf) -> Result<Self> {
        ensure!(
            prefix.join("sbin/auditd").exists(),
            "no audit userspace in {}: scripts/build-audit.sh builds it",
            prefix.display()
        );
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("plugins.d"))
            .with_context(|| folder.display().to_string())?;
        let audit = Self {
            prefix: prefix.to_owned(),
            folder,
            daemon: None,
            markers: 0,
        };
        let conf = audit.configuration_file();
        fs::write(&conf, configuration(&audit.folder))
            .with_context(|| conf.display().to_string())?;
        Ok(audit)
    }

    /// A daemon with an empty log in `folder`, and the kernel's side as it is after booting.
    pub fn fresh(prefix: &Path, folder: PathBuf) -> Result<Self> {
        let mut audit = Self::new(prefix, folder)?;
        audit.reset()?;
        audit.start()?;
        Ok(audit)
    }

    /// The kernel's side as it is after booting.
    pub fn reset(&self) -> Result<()> {
        // Without -f 1, a failure of the test that came before could panic in this one.
        self.ctl_lines(&["-D", "-f 1", "-b 64", "-r 0", "-e 1", "--reset-lost"])
    }

    /// Start the daemon; it goes on with the log there is.
    pub fn start(&mut self) -> Result<()> {
        let prefix = self.prefix.clone();
        self.start_from(&prefix)
    }

    /// Start the daemon of another build.
    pub fn start_from(&mut self, prefix: &Path) -> Result<()> {
        let mut child = spawn(prefix, &self.folder)?;
        let started = wait_until(PATIENCE, || {
            if let Some(status) = child.try_wait()? {
                bail!(
                    "auditd ended with {status}: {}",
                    fs::read_to_string(self.folder.join("stderr")).unwrap_or_default()
                );
            }
            // It writes that it starts before it tells the kernel, and to ask the kernel takes
            // a program.
            let pid = format!(" pid={} ", child.id());
            let starts = |line: &str| line.contains("DAEMON_START") && line.contains(&pid);
            // There may be no log yet.
            let log = self.logged().unwrap_or_default();
            Ok(log.lines().any(starts) && self.status("pid")? == u64::from(child.id()))
        });
        self.daemon = Some(child);
        ensure!(
            started?,
            "the kernel does not know auditd after {PATIENCE:?}"
        );
        Ok(())
    }

    /// Send the daemon a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let child = self.daemon.as_ref().context("auditd does not run")?;
        let pid = Pid::from_raw(child.id() as i32).context("auditd has no pid")?;
        kill_process(pid, signal).context("auditd")
    }

    /// End the daemon, at once or as it likes.
    pub fn stop(&mut self, signal: Signal) -> Result<()> {
        if self.daemon.is_some() {
            // A stopped one would never see the other.
            self.signal(Signal::CONT)?;
            self.signal(signal)?;
        }
        if let Some(mut child) = self.daemon.take() {
            child.wait().context("auditd")?;
        }
        Ok(())
    }

    /// Run auditctl.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String> {
        command::stdout(Command::new(self.prefix.join("sbin/auditctl")).args(arguments))
    }

    /// Run auditctl once for several lines of arguments. A program takes a quarter of a second to
    /// start in an emulated machine. auditctl ends at a line that fails, and fails itself.
    fn ctl_lines(&self, lines: &[&str]) -> Result<()> {
        let file = self.folder.join("audit.rules");
        fs::write(&file, lines.join("\n") + "\n")
            .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o600)))
            .with_context(|| file.display().to_string())?;
        self.ctl(&["-R", &file.display().to_string()]).map(drop)
    }

    /// Load audit rules, besides those that are there.
    pub fn load_rules(&self, rules: &[&str]) -> Result<()> {
        self.ctl_lines(rules)
    }

    /// One number of `auditctl -s`.
    pub fn status(&self, name: &str) -> Result<u64> {
        let text = self.ctl(&["-s"])?;
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .with_context(|| format!("auditctl -s does not print {name}: {text}"))
    }

    /// What the daemon reads when it starts.
    pub fn configuration_file(&self) -> PathBuf {
        self.folder.join("auditd.conf")
    }

    /// The daemon's log.
    pub fn log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// Wait until everything that was recorded before this call is in the log.
    ///
    /// A message of our own is sent after it and waited for; the kernel keeps the order. It takes
    /// an enabled audit and a daemon that runs.
    pub fn drain(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.markers += 1;
            let marker = format!("e2e-drain-{}-", self.markers);
            self.ctl(&["-m", &marker])?;
            // A full backlog loses it as it loses anything, so it may take another.
            let seen = wait_until(Duration::from_secs(2), || {
                let log = fs::read(self.log()).unwrap_or_default();
                Ok(String::from_utf8_lossy(&log).contains(&marker))
            })?;
            if seen {
                return Ok(());
            }
        }
        bail!("no record reaches the log any more")
    }

    /// Run ausearch on the log; nothing if it finds nothing.
    pub fn search(&self, arguments: &[&str]) -> Result<String> {
        search_in(&self.prefix, &self.log(), arguments)
    }

    /// The log, line for line, with every type of record.
    pub fn lines(&mut self) -> Result<Vec<String>> {
        self.drain()?;
        let log = fs::read(self.log()).with_context(|| self.log().display().to_string())?;
        let log = String::from_utf8_lossy(&log);
        Ok(log.lines().map(str::to_owned).collect())
    }

    /// The whole lines that are in the log by now, as the daemon wrote them. For callers that look
    /// again and again: ausearch, a program, takes a second to start in an emulated machine.
    pub fn logged(&self) -> Result<String> {
        let log = fs::read(self.log()).with_context(|| self.log().display().to_string())?;
        let log = String::from_utf8_lossy(&log);
        // The last line may be on its way.
        Ok(log.rfind('\n').map_or("", |end| &log[..end]).to_owned())
    }

    /// Empty the log, which the daemon appends to. What is on its way there is not lost.
    pub fn forget(&self) -> Result<()> {
        let log = self.log();
        fs::File::options()
            .write(true)
            .open(&log)
            .and_then(|file| file.set_len(0))
            .with_context(|| log.display().to_string())
    }

    /// Where the programs are.
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        // What cannot be stopped is reported by the next one that cannot start.
        let _ = self.stop(Signal::TERM);
    }
}

/// The configuration of a daemon: plain records, no rotation, no check of disk space, no further
/// receivers.
pub fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "local_events = yes\n\
         write_logs = yes\n\
         log_file = {folder}/audit.log\n\
         log_group = root\n\
         log_format = RAW\n\
         flush = NONE\n\
         max_log_file = 1024\n\
         max_log_file_action = IGNORE\n\
         num_logs = 0\n\
         name_format = NONE\n\
         priority_boost = 4\n\
         verify_email = no\n\
         space_left = 2\n\
         space_left_action = IGNORE\n\
         admin_space_left = 1\n\
         admin_space_left_action = IGNORE\n\
         disk_full_action = IGNORE\n\
         disk_error_action = IGNORE\n\
         overflow_action = IGNORE\n\
         q_depth = 20000\n\
         plugin_dir = {folder}/plugins.d\n"
    )
}

/// Start a daemon with the configuration in `folder`.
pub fn spawn(prefix: &Path, folder: &Path) -> Result<Child> {
    let program = prefix.join("sbin/auditd");
    Command::new(&program)
        .args(["-n", "-s", "nochange", "-c"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("stderr"))?)
        .spawn()
        .with_context(|| program.display().to_string())
}

/// Run ausearch on a log.
pub fn search_in(prefix: &Path, log: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(prefix.join("sbin/ausearch"));
    command.args(arguments).arg("-if").arg(log);
    let output = command::output(&mut command)?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => Ok(stdout),
        Some(1) if stdout.is_empty() || stdout.contains("<no matches>") => {
            // It also says that it found no configuration, which it does not need with -if.
            let harmless = |line: &str| line == "<no matches>" || line.starts_with("Config file ");
            ensure!(stderr.lines().all(harmless), "{command:?}: {stderr}");
            Ok(String::new())
        }
        _ => bail!("{command:?} ended with {}: {stdout}{stderr}", output.status),
    }
}
