// SPDX-License-Identifier: GPL-2.0

//! Errors that devices, processors and the platform report.

use std::fmt;

use pci_config::Bdf;
use serde::Serialize;

use super::moment::Moment;

/// Who reports an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// PCI Express' Advanced Error Reporting.
    Aer,
    /// Downstream Port Containment: the port cut off what is below it.
    Dpc,
    /// The firmware, which saw it first (GHES).
    Firmware,
    /// A processor's machine check.
    MachineCheck,
    /// An interrupt that cannot be masked: SERR, IOCHK, or one without a reason.
    Nmi,
    /// The kernel gave up.
    Panic,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing was lost.
    Corrected,
    /// A transaction was lost.
    NonFatal,
    /// The link, or the machine, cannot be relied on.
    Fatal,
}

/// One error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError {
    /// When it was reported, which is after it happened.
    pub moment: Moment,
    /// By whom.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// The device that it is of, if that is known. It may be a port.
    pub device: Option<Bdf>,
    /// The port that reports it.
    pub port: Option<Bdf>,
    /// What else is said of it.
    pub details: Vec<String>,
    /// Where that is written.
    pub from: String,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aer => "PCIe error (AER)",
            Self::Dpc => "PCIe downstream port containment (DPC)",
            Self::Firmware => "hardware error reported by firmware",
            Self::MachineCheck => "machine check",
            Self::Nmi => "NMI",
            Self::Panic => "kernel panic",
        })
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrected => "corrected",
            Self::NonFatal => "non-fatal",
            Self::Fatal => "fatal",
        })
    }
}

impl Severity {
    /// Read it as the kernel and rasdaemon write it, in any version.
    pub fn read(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let has = |word| text.contains(word);
        if has("non-fatal") || has("nonfatal") || has("recoverable") {
            Some(Self::NonFatal)
        } else if has("fatal") || has("panic") {
            Some(Self::Fatal)
        } else if has("uncorrect") {
            Some(Self::NonFatal)
        } else if has("correct") || has("info") {
            Some(Self::Corrected)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_of_all_versions() {
        for (text, severity) in [
            ("Uncorrectable (Fatal)", Some(Severity::Fatal)),
            ("Uncorrected (Non-Fatal)", Some(Severity::NonFatal)),
            ("ERR_NONFATAL", Some(Severity::NonFatal)),
            ("ERR_FATAL", Some(Severity::Fatal)),
            ("Correctable", Some(Severity::Corrected)),
            ("Corrected", Some(Severity::Corrected)),
            ("recoverable", Some(Severity::NonFatal)),
            ("Uncorrected", Some(Severity::NonFatal)),
            ("who knows", None),
        ] {
            assert_eq!(Severity::read(text), severity, "{text}");
        }
    }
}
