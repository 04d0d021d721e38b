// SPDX-License-Identifier: GPL-2.0

//! Files that are read from start to end.

use std::cell::RefCell;

/// A file whose text is being made.
#[derive(Default)]
pub struct SeqFile(RefCell<String>);

impl SeqFile {
    /// Appends `text`.
    pub fn print(&self, text: &str) {
        self.0.borrow_mut().push_str(text);
    }

    /// The text so far.
    pub fn text(&self) -> String {
        self.0.borrow().clone()
    }
}

#[doc(hidden)]
#[macro_export]
macro_rules! seq_print {
    ($file:expr, $($arguments:tt)+) => { $file.print(&::std::format!($($arguments)+)) };
}
pub use seq_print;
