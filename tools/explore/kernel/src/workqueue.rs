// SPDX-License-Identifier: GPL-2.0

//! Delayed work. One thread, [`run_items`], runs the items, at any time after they were queued:
//! loom explores how late. Time goes on to when an item is due before it runs.

use crate::{execution, sync::Arc, time};
use core::marker::PhantomData;
use loom::sync::{Condvar, Mutex};
use std::collections::VecDeque;

/// Something whose work item can be queued.
pub trait WorkItem: Sized {
    /// The reference that a queued item holds.
    type Pointer;

    /// Does the work.
    fn run(this: Self::Pointer);
}

/// A type with a work item.
pub trait HasDelayedWork<T> {}

#[doc(hidden)]
#[macro_export]
macro_rules! impl_has_delayed_work {
    (impl HasDelayedWork<Self> for $type:ident { self.$field:ident }) => {
        impl $crate::workqueue::HasDelayedWork<$type> for $type {}

        const _: fn(&$type) -> &$crate::workqueue::DelayedWork<$type> = |this| &this.$field;
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! new_delayed_work {
    ($name:literal) => {
        $crate::workqueue::DelayedWork::new()
    };
}

pub use crate::{impl_has_delayed_work, new_delayed_work};

/// A work item. Its state is found by the address of what it is in.
pub struct DelayedWork<T>(PhantomData<fn(T)>);

impl<T> DelayedWork<T> {
    /// An item that is not queued.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// An item that will run.
struct Pending {
    key: usize,
    due: u64,
    run: Box<dyn FnOnce() + Send>,
}

#[derive(Default)]
struct State {
    pending: VecDeque<Pending>,
    running: Option<usize>,
    /// Items that are being cancelled: they cannot be queued.
    cancelled: Vec<usize>,
    stopped: bool,
}

fn due(delay: time::Jiffies) -> u64 {
    time::now() + delay * time::TICK_NS
}

impl State {
    fn push<T>(&mut self, item: Arc<T>, delay: time::Jiffies)
    where
        T: WorkItem<Pointer = Arc<T>> + Send + Sync + 'static,
    {
        self.pending.push_back(Pending {
            key: item_key(&item),
            due: due(delay),
            run: Box::new(move || T::run(item)),
        });
    }
}

/// A work queue.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

static QUEUE: u8 = 0;

fn key() -> usize {
    core::ptr::from_ref(&QUEUE).addr()
}

pub(crate) fn init() {
    execution::put(
        key(),
        Queue {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        },
    );
}

/// The work queue of this execution.
pub fn queue() -> &'static Queue {
    execution::get(key())
}

fn item_key<T>(item: &Arc<T>) -> usize {
    Arc::as_ptr(item).addr()
}

impl Queue {
    fn lock(&self) -> loom::sync::MutexGuard<'_, State> {
        self.state.lock().expect("loom does not poison")
    }

    /// Runs `item` in `delay` ticks. Gives it back if it is queued already, or being cancelled.
    pub fn enqueue_delayed<T>(&self, item: Arc<T>, delay: time::Jiffies) -> Result<(), Arc<T>>
    where
        T: HasDelayedWork<T> + WorkItem<Pointer = Arc<T>> + Send + Sync + 'static,
    {
        let key = item_key(&item);
        let mut state = self.lock();

        if state.cancelled.contains(&key) || state.pending.iter().any(|other| other.key == key) {
            return Err(item);
        }
        state.push(item, delay);
        self.changed.notify_all();
        Ok(())
    }

    /// Runs `item` in `delay` ticks, even if it is queued for another time.
    pub fn modify_delayed<T>(&self, item: Arc<T>, delay: time::Jiffies)
    where
        T: HasDelayedWork<T> + WorkItem<Pointer = Arc<T>> + Send + Sync + 'static,
    {
        let key = item_key(&item);
        let mut state = self.lock();

        if state.cancelled.contains(&key) {
            return;
        }
        match state.pending.iter_mut().find(|other| other.key == key) {
            Some(pending) => pending.due = due(delay),
            None => state.push(item, delay),
        }
        self.changed.notify_all();
    }

    /// Takes `item` out of the queue, and waits for it if it runs.
    pub fn cancel<T>(&self, item: &Arc<T>) {
        let key = item_key(item);
        let mut state = self.lock();
        let (cancelled, kept) = std::mem::take(&mut state.pending)
            .into_iter()
            .partition(|pending| pending.key == key);

        state.pending = kept;
        state.cancelled.push(key);
        while state.running == Some(key) {
            state = self.changed.wait(state).expect("loom does not poison");
        }
        state.cancelled.retain(|other| *other != key);
        drop(state);
        // Dropping the items may drop the last reference on what they are in.
        drop::<VecDeque<Pending>>(cancelled);
    }

    /// Lets [`run_items`] return once the queue is empty.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Whether no item is queued or runs.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();

        state.pending.is_empty() && state.running.is_none()
    }
}

/// Runs items until [`Queue::stop`] was called and none is left.
pub fn run_items() {
    let queue = queue();
    let mut state = queue.lock();

    loop {
        if let Some(Pending { key, due, run }) = state.pending.pop_front() {
            state.running = Some(key);
            drop(state);
            time::advance_to(due);
            run();
            state = queue.lock();
            state.running = None;
            queue.changed.notify_all();
        } else if state.stopped {
            return;
        } else {
            state = queue.changed.wait(state).expect("loom does not poison");
        }
    }
}
