// SPDX-License-Identifier: GPL-2.0

//! The identity of the current process. `kernel::task` has its number only, which is used again.
//!
//! C header: [`include/linux/sched.h`](srctree/include/linux/sched.h)

use kernel::{
    current,
    task::Pid, //
};

/// Number and start time (nanoseconds since boot) of the current process, and a count of the
/// programs that it executed. All threads of a process have the same. Process context only.
pub(crate) fn identity() -> (Pid, u64, u64) {
    let task = current!();

    // SAFETY: The task is the current one. Its own number and the start time of its group leader do
    // not change, and only the task itself executes a program. `Task::tgid()` is not in Linux 7.2.
    unsafe {
        let raw = task.as_ptr();
        (
            (*raw).tgid,
            (*(*raw).group_leader).start_boottime,
            (*raw).self_exec_id,
        )
    }
}
