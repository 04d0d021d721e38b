// SPDX-License-Identifier: GPL-2.0

//! Long steps, one line each: what runs, for how long, where its log is, and what comes next.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{bail, Context, Result};

use crate::paths::{is_set, last_lines, Paths};

/// One of several.
#[derive(Clone, Debug)]
pub struct Step {
    /// The name of its log.
    pub name: String,
    /// What it does.
    pub what: String,
    /// The program and its arguments; a path is within the repository.
    pub command: Vec<String>,
}

impl Step {
    /// A step that runs a program of the repository.
    pub fn new(name: &str, what: &str, command: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
        }
    }
}

/// How often it is said that a step is alive, where no terminal can be written over.
const ALIVE: Duration = Duration::from_secs(30);

/// Run steps one after the other.
pub fn run(paths: &Paths, steps: &[Step]) -> Result<()> {
    all(paths, steps, io::stderr().is_terminal())
}

/// On a terminal that is this one's alone, a line is written over while a step runs.
fn all(paths: &Paths, steps: &[Step], terminal: bool) -> Result<()> {
    for (index, step) in steps.iter().enumerate() {
        let next = steps.get(index + 1).map(|next| next.what.as_str());
        let number = format!("[{}/{}]", index + 1, steps.len());
        one(paths, step, &number, next, terminal)?;
    }
    Ok(())
}

/// Run steps, and others beside them. They have equal shares of the processors: what compiles one
/// crate after the other would leave a processor idle if it were done last.
pub fn run_beside(paths: &Paths, steps: &[Step], beside: &[Step]) -> Result<()> {
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            beside
                .iter()
                .try_for_each(|step| one(paths, step, "[beside]", None, false))
        });
        let result = all(paths, steps, false);
        let others = others.join().expect("a step does not panic");
        result.and(others)
    })
}

fn one(paths: &Paths, step: &Step, number: &str, next: Option<&str>, terminal: bool) -> Result<()> {
    let log = paths.log(&step.name);
    let next = next.map_or_else(String::new, |next| format!("; next: {next}"));
    eprintln!("{number} {} (log: {}{next})", step.what, paths.show(&log));
    let started = Instant::now();
    let mut command = command(paths, &step.command);
    // The scripts' own steps go into this one's log.
    command.env("IN_STEP", "1").stdin(Stdio::null());
    let status = if is_set("V") {
        command.status().with_context(|| step.command.join(" "))?
    } else {
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let mut child = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| step.command.join(" "))?;
        let mut alive = Alive::new(started, terminal);
        loop {
            if let Some(status) = child.try_wait()? {
                alive.clear();
                break status;
            }
            alive.tell(|| last_lines(&log, 1));
            thread::sleep(Duration::from_millis(100));
        }
    };
    let seconds = started.elapsed().as_secs();
    if !status.success() {
        bail!(
            "{}: {status} after {seconds} s; the last lines of {}:\n{}\nTo repeat it alone: {}",
            step.what,
            paths.show(&log),
            last_lines(&log, 25),
            step.command.join(" ")
        );
    }
    if seconds > 0 {
        eprintln!("      done in {seconds} s");
    }
    Ok(())
}

/// A program of the repository, with what our scripts and programs want to know.
pub fn command(paths: &Paths, words: &[String]) -> Command {
    let program = paths.top.join(&words[0]);
    let program = if program.exists() {
        program.into_os_string()
    } else {
        (&words[0]).into()
    };
    let mut command = Command::new(program);
    command
        .args(&words[1..])
        .current_dir(&paths.top)
        .env("TOP", &paths.top)
        .env("BUILD", &paths.build)
        // This program is there: scripts need not build it first.
        .env("IN_LAB", "1")
        // The makes of other projects have a variable of this name.
        .env_remove("DEBUG");
    command
}

/// Says that something is alive.
struct Alive {
    started: Instant,
    told: Instant,
    every: Duration,
    terminal: bool,
}

impl Alive {
    fn new(started: Instant, terminal: bool) -> Self {
        Self {
            started,
            told: started,
            every: if terminal {
                Duration::from_secs(1)
            } else {
                ALIVE
            },
            terminal,
        }
    }

    fn tell(&mut self, last: impl FnOnce() -> String) {
        if self.told.elapsed() < self.every {
            return;
        }
        self.told = Instant::now();
        let line = format!(
            "{:6} s  {}",
            self.started.elapsed().as_secs(),
            shorten(&last(), 80)
        );
        let mut out = io::stderr().lock();
        // Who does not read it does not miss it.
        let _ = match self.terminal {
            true => write!(out, "\r\x1b[K{line}").and_then(|()| out.flush()),
            false => writeln!(out, "{line}"),
        };
    }

    fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}

/// The beginning of a line, without what a terminal would not just show.
fn shorten(line: &str, most: usize) -> String {
    line.chars()
        .filter(|c| !c.is_control())
        .take(most)
        .collect()
}

/// Make the folder for logs.
pub fn prepare(paths: &Paths) -> Result<()> {
    let folder = paths.build.join("log");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths {
            top: folder.path().to_owned(),
            build: folder.path().join("build"),
        };
        prepare(&paths).unwrap();
        (folder, paths)
    }

    #[test]
    fn a_failure_says_what_and_how_to_repeat_it() {
        let (_folder, paths) = paths();
        let steps = [
            Step::new("good", "doing well", &["true"]),
            Step::new(
                "bad",
                "doing badly",
                &["sh", "-c", "echo the reason; exit 3"],
            ),
            Step::new("never", "doing nothing", &["false"]),
        ];
        let error = run(&paths, &steps).unwrap_err().to_string();
        assert!(error.starts_with("doing badly: exit status: 3"), "{error}");
        assert!(
            error.contains("build/log/bad.log:\nthe reason\n"),
            "{error}"
        );
        assert!(
            error.ends_with("To repeat it alone: sh -c echo the reason; exit 3"),
            "{error}"
        );
        assert!(!paths.log("never").exists());
    }

    #[test]
    fn shown_lines_are_short_and_plain() {
        assert_eq!(shorten("\x1b[1mabc\tdef", 6), "[1mabc");
    }
}
