// SPDX-License-Identifier: GPL-2.0

//! While the tracepoint is enabled, vfio-pci-core calls the hook for every access.

use crate::policy::vfio_pci_audit_users;
use kernel::sync::atomic::Relaxed;
use pci_audit::OnTracing;

/// Counts the tracepoint as a user of the hook.
pub(crate) struct Tracing;

impl OnTracing for Tracing {
    fn changed(on: bool) {
        vfio_pci_audit_users.add(if on { 1 } else { -1 }, Relaxed);
    }
}
