// SPDX-License-Identifier: GPL-2.0

//! Jobs that several threads take, each when it has nothing else to do.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Waiting,
    Taken,
    Ended,
}

/// Jobs by their number, in the order in which they are taken.
pub(crate) struct Queue {
    /// The job that has to end before this one begins.
    after: Vec<Option<usize>>,
    states: Mutex<Vec<State>>,
    ended: Condvar,
}

impl Queue {
    /// As many jobs as there are elements, each of which may name an earlier one that it needs.
    pub(crate) fn new(after: Vec<Option<usize>>) -> Self {
        for (job, needed) in after.iter().enumerate() {
            assert!(
                needed.is_none_or(|needed| needed < job),
                "job {job} needs a later one"
            );
        }
        Self {
            states: Mutex::new(vec![State::Waiting; after.len()]),
            after,
            ended: Condvar::new(),
        }
    }

    /// Run jobs with `run` until all are taken, waiting for what they need. Ends at the first error
    /// of its own jobs; other threads go on.
    pub(crate) fn work<E>(&self, mut run: impl FnMut(usize) -> Result<(), E>) -> Result<(), E> {
        while let Some(job) = self.take() {
            let _end = End { queue: self, job };
            run(job)?;
        }
        Ok(())
    }

    fn take(&self) -> Option<usize> {
        let mut states = self.states();
        loop {
            if !states.contains(&State::Waiting) {
                return None;
            }
            let ready = |&job: &usize| {
                let needed = self.after[job];
                states[job] == State::Waiting
                    && needed.is_none_or(|needed| states[needed] == State::Ended)
            };
            if let Some(job) = (0..states.len()).find(ready) {
                states[job] = State::Taken;
                return Some(job);
            }
            states = self
                .ended
                .wait(states)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn states(&self) -> MutexGuard<'_, Vec<State>> {
        // Nothing panics while it holds the lock.
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a job when it goes away, after a panic too: else the threads that wait for the job would
/// wait for ever.
struct End<'a> {
    queue: &'a Queue,
    job: usize,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.queue.states()[self.job] = State::Ended;
        self.queue.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn one_thread_takes_all_in_order() {
        let mut taken = Vec::new();
        let queue = Queue::new(vec![None, Some(0), None]);
        queue
            .work(|job| {
                taken.push(job);
                Ok::<_, ()>(())
            })
            .unwrap();
        assert_eq!(taken, [0, 1, 2]);
    }

    #[test]
    fn what_needs_a_job_waits_for_its_end() {
        let queue = Queue::new(vec![None, Some(0), Some(0), None]);
        thread::scope(|scope| {
            let queue = &queue;
            // In here, so that an assertion that fails lets the threads end.
            let (began, begun) = mpsc::channel();
            let (let_end, may_end) = mpsc::channel::<()>();
            let first = began.clone();
            scope.spawn(move || {
                queue.work(|job| {
                    first.send(job).unwrap();
                    if job == 0 {
                        may_end.recv().unwrap();
                    }
                    Ok::<_, ()>(())
                })
            });
            assert_eq!(begun.recv(), Ok(0));
            let second = began;
            scope.spawn(move || {
                queue.work(|job| {
                    second.send(job).unwrap();
                    Ok::<_, ()>(())
                })
            });
            // The other thread passes by what needs the first.
            assert_eq!(begun.recv(), Ok(3));
            assert!(begun.try_recv().is_err());
            let_end.send(()).unwrap();
            let mut rest = [begun.recv().unwrap(), begun.recv().unwrap()];
            rest.sort_unstable();
            assert_eq!(rest, [1, 2]);
        });
    }

    #[test]
    fn an_error_ends_a_thread_and_not_the_queue() {
        let queue = Queue::new(vec![None, Some(0)]);
        assert_eq!(queue.work(Err), Err(0));
        assert_eq!(queue.work(Err), Err(1));
        assert_eq!(queue.work(Err), Ok(()));
    }

    #[test]
    fn a_panic_keeps_no_thread_waiting() {
        let queue = Queue::new(vec![None, Some(0)]);
        let panics = || queue.work(|_| -> Result<(), ()> { panic!("as planned") });
        thread::scope(|scope| scope.spawn(panics).join().unwrap_err());
        assert_eq!(queue.work(Err), Err(1));
    }
}
