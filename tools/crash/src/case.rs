// SPDX-License-Identifier: GPL-2.0

//! What is tried.

/// One machine's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// The error is fatal, the machine panics and boots again.
    Fatal,
    /// The error is not fatal, and the machine goes on.
    NonFatal,
    /// The error is not fatal. Another function of the same port is accessed later than the one
    /// that has the error.
    Innocent,
}

impl Case {
    pub(crate) const ALL: [Self; 3] = [Self::Fatal, Self::NonFatal, Self::Innocent];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::NonFatal => "non-fatal",
            Self::Innocent => "innocent",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name() == name)
    }

    /// What QEMU calls the error that it injects.
    pub(crate) fn error(self) -> &'static str {
        match self {
            Self::Fatal => "MALF_TLP",
            Self::NonFatal | Self::Innocent => "UNSUP",
        }
    }
}

/// The functions behind the port, the first of which has the error.
pub(crate) const DEVICES: [&str; 2] = ["0000:01:00.0", "0000:01:00.1"];

/// The port.
pub(crate) const PORT: &str = "0000:00:10.0";

/// What the guest is called.
pub(crate) const GUEST: &str = "guest-1";

/// What the first process says when the guest's writes are seen, for the host.
pub(crate) const WRITTEN: &str = "crash: the guest has written";

/// What it says when it has asked.
pub(crate) const DONE: &str = "crash: done";
