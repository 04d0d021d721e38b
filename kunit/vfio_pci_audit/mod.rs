// SPDX-License-Identifier: GPL-2.0

//! KUnit tests of what needs a kernel. The files that import only `core` are tested on the host.

mod policy;
mod session;
