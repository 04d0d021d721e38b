// SPDX-License-Identifier: GPL-2.0

//! Every session that has not ended.
//!
//! The list is locked when a session starts, when it ends, and while it is gone through. No access
//! takes that lock.

use crate::{
    rcu_box::RcuBox,
    session::Session, //
};
use core::ptr;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        rcu,
        Arc,
        Mutex, //
    },
};

#[pin_data]
struct List {
    #[pin]
    sessions: Mutex<KVec<Arc<Session>>>,
}

/// The list in use, once the module runs.
static LIST: RcuBox<Arc<List>> = RcuBox::new();

fn list() -> Option<Arc<List>> {
    LIST.read(&rcu::read_lock()).cloned()
}

/// Sessions are listed for as long as this lives.
pub(crate) struct Sessions(());

impl Sessions {
    /// Starts the list. May sleep. [`ENOMEM`] for want of memory.
    pub(crate) fn new() -> Result<Self> {
        let list = Arc::pin_init(
            pin_init!(List {
                sessions <- new_mutex!(KVec::new(), "vfio_pci_audit::sessions"),
            }),
            GFP_KERNEL,
        )?;

        LIST.replace(Some(KBox::new(list, GFP_KERNEL)?));
        Ok(Self(()))
    }
}

impl Drop for Sessions {
    /// No session is left: the module waits for the last one.
    fn drop(&mut self) {
        LIST.replace(None);
    }
}

/// Lists a session that starts. May sleep. [`ENOMEM`] for want of memory.
pub(crate) fn add(session: &Arc<Session>) -> Result {
    if let Some(list) = list() {
        list.sessions.lock().push(session.clone(), GFP_KERNEL)?;
    }
    Ok(())
}

/// Lists a session no more. May sleep.
pub(crate) fn remove(session: &Session) {
    let Some(list) = list() else {
        return;
    };
    let removed = {
        let mut sessions = list.sessions.lock();
        let at = sessions
            .iter()
            .position(|listed| ptr::eq(&raw const **listed, session));

        at.and_then(|at| sessions.remove(at).ok())
    };
    // It may be the last reference; what it frees needs no lock.
    drop(removed);
}

/// Calls `f` with every session. May sleep. `f` must not start or end a session.
pub(crate) fn for_each(mut f: impl FnMut(&Session)) {
    if let Some(list) = list() {
        list.sessions.lock().iter().for_each(|session| f(session));
    }
}
