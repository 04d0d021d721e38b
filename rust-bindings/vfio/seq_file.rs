// SPDX-License-Identifier: GPL-2.0

//! The files in debugfs, which C makes: the operations of `kernel::debugfs` name no module as their
//! owner.
//!
//! C header: [`include/linux/seq_file.h`](srctree/include/linux/seq_file.h)

use super::bindings;
use crate::session::debugfs;
use kernel::seq_file::SeqFile;

/// The module's files in debugfs, which are removed when this is dropped.
pub(crate) struct Files(());

impl Files {
    /// Makes the files. Called once. May sleep.
    pub(crate) fn new() -> Self {
        // SAFETY: The module makes its files once, when it is loaded.
        unsafe { bindings::vfio_pci_audit_debugfs_start() };
        Self(())
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // SAFETY: The files were made. An open file holds the module, so none is open.
        unsafe { bindings::vfio_pci_audit_debugfs_stop() };
    }
}

/// Shows the sessions.
///
/// # Safety
///
/// `seq` points to a `struct seq_file` that is not used elsewhere during the call.
#[no_mangle]
unsafe extern "C" fn vfio_pci_audit_show_sessions(seq: *mut kernel::bindings::seq_file) {
    // SAFETY: By the safety requirement.
    debugfs::show(unsafe { SeqFile::from_raw(seq) });
}

// The function is the one that the header declares.
const _: () = {
    let _ = if true {
        bindings::vfio_pci_audit_show_sessions
    } else {
        vfio_pci_audit_show_sessions
    };
};
