// SPDX-License-Identifier: GPL-2.0

//! A process with others below it, which is ended as a whole: when it takes too long, or when this
//! one is interrupted.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{kill_process_group, Pid, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How it came to its end.
pub(super) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long.
    TimedOut,
    /// This process got a signal.
    Interrupted(i32),
}

/// How long it has to end when it is asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Run it to its end, in a process group of its own.
pub(super) fn run(command: &mut Command, patience: Duration) -> io::Result<End> {
    let signal = Arc::new(AtomicUsize::new(0));
    let mut hooks = Vec::new();
    for number in [SIGINT, SIGTERM, SIGHUP] {
        hooks.push(signal_hook::flag::register_usize(
            number,
            Arc::clone(&signal),
            number as usize,
        )?);
    }
    let deadline = Instant::now() + patience;
    let end = watch(command.process_group(0), deadline, &signal);
    for hook in hooks {
        signal_hook::low_level::unregister(hook);
    }
    end
}

fn watch(command: &mut Command, deadline: Instant, signal: &AtomicUsize) -> io::Result<End> {
    let mut child = command.spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(End::Exited(status));
        }
        let number = signal.load(Ordering::Relaxed);
        if number != 0 {
            stop(&mut child)?;
            return Ok(End::Interrupted(number as i32));
        }
        if Instant::now() >= deadline {
            stop(&mut child)?;
            return Ok(End::TimedOut);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// End it and what it started.
fn stop(child: &mut Child) -> io::Result<()> {
    let group = Pid::from_child(child);
    // What has gone already needs no signal.
    let _ = kill_process_group(group, Signal::TERM);
    let deadline = Instant::now() + GRACE;
    while child.try_wait()?.is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    let _ = kill_process_group(group, Signal::KILL);
    child.wait().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::wait_until;

    #[test]
    fn what_takes_too_long_is_ended_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 60 & echo $! >{}; wait", file.display());
        let mut command = Command::new("sh");
        let end = run(command.args(["-c", &script]), Duration::from_secs(2)).unwrap();
        assert!(matches!(end, End::TimedOut));
        let pid = std::fs::read_to_string(&file).unwrap();
        // A signal is sent, and the process ends when it gets a processor. A zombie waits for its
        // new parent.
        let ended = wait_until(GRACE, || {
            let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            Ok(state.map_or(true, |stat| stat.contains(") Z ")))
        });
        assert!(ended.unwrap());
    }

    #[test]
    fn exit_codes_are_passed_on() {
        let mut command = Command::new("sh");
        let end = run(command.args(["-c", "exit 3"]), Duration::from_secs(10)).unwrap();
        assert!(matches!(end, End::Exited(status) if status.code() == Some(3)));
    }
}
