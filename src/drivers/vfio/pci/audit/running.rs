// SPDX-License-Identifier: GPL-2.0

//! What runs while the module is loaded, whoever calls it.

use crate::{
    parameters,
    pci_audit,
    policy::POLICY,
    seq_file,
    sessions::Sessions,
    tracing::Tracing,
    worker, //
};
use kernel::prelude::*;

/// Everything that a front end relies on.
pub(crate) struct Running {
    _tracing: pci_audit::TraceNotifier<Tracing>,
    // Goes before the sessions that it shows.
    _debugfs: seq_file::Files,
    _sessions: Sessions,
}

impl Running {
    /// Gets ready for the front end's calls. May sleep. [`ENOMEM`] for want of memory.
    pub(crate) fn new() -> Result<Self> {
        let tracing = pci_audit::TraceNotifier::new()?;
        let sessions = Sessions::new()?;

        worker::start()?;
        parameters::set_running();
        Ok(Self {
            _tracing: tracing,
            _debugfs: seq_file::Files::new(),
            _sessions: sessions,
        })
    }
}

impl Drop for Running {
    /// Waits for the last session, and undoes what the parameters did.
    fn drop(&mut self) {
        worker::stop();
        POLICY.clear();
    }
}
