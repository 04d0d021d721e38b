// SPDX-License-Identifier: GPL-2.0

//! Whoever traces accesses wants to see those that nothing blocks, too.

use crate::{
    pci_audit::OnTracing,
    policy::vfio_pci_audit_reasons, //
};
use kernel::sync::atomic::Relaxed;

/// Has every access looked at while somebody traces, and no longer.
pub(crate) struct Tracing;

impl OnTracing for Tracing {
    fn changed(on: bool) {
        vfio_pci_audit_reasons.add(if on { 1 } else { -1 }, Relaxed);
    }
}
