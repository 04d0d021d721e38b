// SPDX-License-Identifier: GPL-2.0

//! The files in debugfs, which C makes.
//!
//! The operations of `kernel::debugfs` name no module as their owner: a file that somebody holds
//! open would outlive them.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use crate::{
    bindings,
    debugfs, //
};
use kernel::seq_file::SeqFile;

/// The module's files in debugfs, which go when this is dropped.
pub(crate) struct Files;

impl Files {
    /// Makes the files. To be called once. May sleep.
    pub(crate) fn new() -> Self {
        // SAFETY: The module makes its files once, when it is loaded.
        unsafe { bindings::vfio_pci_audit_debugfs_start() };
        Self
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // SAFETY: The files were made. What opens them holds the module, so nobody reads them.
        unsafe { bindings::vfio_pci_audit_debugfs_stop() };
    }
}

/// Shows the sessions.
///
/// # Safety
///
/// `seq` points to a `struct seq_file` that nobody else uses during the call.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_show_sessions(seq: *mut kernel::bindings::seq_file) {
    // SAFETY: By the safety requirement.
    debugfs::show(unsafe { SeqFile::from_raw(seq) });
}
