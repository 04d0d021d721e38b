// SPDX-License-Identifier: GPL-2.0

//! Runs the end-to-end scenarios against the running kernel and prints KTAP.

fn main() {}
