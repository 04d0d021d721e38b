// SPDX-License-Identifier: GPL-2.0

//! How a boot ended.

use serde::Serialize;

use super::kernel_log::KernelLog;
use super::moment::Boot;

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The kernel gave up.
    Panic,
    /// The machine was shut down or rebooted in order.
    Clean,
    /// The log ends without either: a reset, a machine check that the kernel did not survive, or
    /// the power.
    Reset,
    /// There is no log of it.
    Unknown,
}

/// How a boot ended, and what says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// How.
    pub how: How,
    /// What the kernel said.
    pub reason: Option<String>,
    /// What says so.
    pub from: Option<String>,
}

impl Ended {
    /// Find out from kernel logs. If the user named them (`given`), they are of that boot; others
    /// are if they say so.
    pub fn new(logs: &[KernelLog], given: bool) -> Self {
        let of_it = || {
            logs.iter()
                .filter(|log| given || log.boot() == Some(Boot::Last))
        };
        let from = |log: &KernelLog| Some(log.name().to_owned());
        if let Some(log) = of_it().find(|log| log.panic.is_some()) {
            return Self {
                how: How::Panic,
                reason: log.panic.clone(),
                from: from(log),
            };
        }
        let how = |how, log: &KernelLog| Self {
            how,
            reason: None,
            from: from(log),
        };
        if let Some(log) = of_it().find(|log| log.shut_down) {
            return how(How::Clean, log);
        }
        // A console's capture may go on with the boot that runs.
        for log in of_it().filter(|_| given) {
            match &log.before {
                Some((Some(reason), _)) => {
                    return Self {
                        how: How::Panic,
                        reason: Some(reason.clone()),
                        from: from(log),
                    };
                }
                Some((None, true)) => return how(How::Clean, log),
                _ => {}
            }
        }
        match of_it().find(|log| log.last.is_some()) {
            Some(log) => how(How::Reset, log),
            None => Self {
                how: How::Unknown,
                reason: None,
                from: None,
            },
        }
    }

    /// One sentence.
    pub fn text(&self) -> String {
        let from = match &self.from {
            Some(from) => format!(" ({from})"),
            None => String::new(),
        };
        match (self.how, &self.reason) {
            (How::Panic, Some(reason)) => format!("with a kernel panic: {reason}{from}"),
            (How::Panic, None) => format!("with a kernel panic{from}"),
            (How::Clean, _) => format!("with an orderly shutdown or reboot{from}"),
            (How::Reset, _) => format!(
                "without a panic or a shutdown: by a reset, a machine check or a power \
                 failure{from}"
            ),
            (How::Unknown, _) => "in an unknown way: neither pstore nor the journal has messages \
                                  of it (--kernel-log names another log)"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sources::Lines;
    use super::*;

    fn log(boot: Option<Boot>, text: &str) -> KernelLog {
        let mut lines = Lines::new("log".to_owned(), boot, jiff::tz::TimeZone::UTC);
        for line in text.lines() {
            lines.line(line.as_bytes());
        }
        lines.end()
    }

    #[test]
    fn ends_are_told_apart() {
        let last = Some(Boot::Last);
        let panic = log(last, "[ 9.000000] Kernel panic - not syncing: NMI\n");
        let clean = log(last, "[ 9.000000] reboot: Restarting system\n");
        let cut = log(last, "[ 9.000000] vfio-pci 0000:01:00.0: enabling device\n");
        let this = log(
            Some(Boot::This),
            "[ 9.000000] Kernel panic - not syncing: x\n",
        );
        let of = |logs: &[&KernelLog], given| {
            let logs: Vec<_> = logs.iter().map(|log| (*log).clone()).collect();
            Ended::new(&logs, given)
        };
        assert_eq!(of(&[&cut, &panic], false).how, How::Panic);
        assert_eq!(of(&[&panic], false).reason.as_deref(), Some("NMI"));
        assert_eq!(of(&[&cut, &clean], false).how, How::Clean);
        assert_eq!(of(&[&cut], false).how, How::Reset);
        assert_eq!(of(&[&this], false).how, How::Unknown);
        assert_eq!(of(&[&this], true).how, How::Panic);
        assert_eq!(of(&[], false).how, How::Unknown);
        let both = log(
            None,
            "[ 9.000000] Kernel panic - not syncing: NMI\n[ 0.000000] Linux version 7\n[ \
             1.000000] hello\n",
        );
        assert_eq!(of(&[&both], true).reason.as_deref(), Some("NMI"));
        assert_eq!(
            of(&[&panic], false).text(),
            "with a kernel panic: NMI (log)"
        );
    }
}
