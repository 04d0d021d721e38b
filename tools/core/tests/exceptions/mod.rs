// SPDX-License-Identifier: GPL-2.0

//! Exceptions as a model has them, and their texts.

// Each test uses some of it.
#![allow(dead_code)]

use pci_audit_core::{
    allow_list::{
        normalize,
        parse,
        Entry,
        ParseError, //
    },
    listing::show,
};
use proptest::prelude::*;
use std::{
    convert::Infallible,
    ops::Range, //
};

/// A range of a device, or of every device of a vendor.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) vendor: u16,
    pub(crate) device: Option<u16>,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// How an operator types a part of an entry: what is before and after it, and its case.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    spaces: [&'static str; 2],
    prefix: &'static str,
    zeros: usize,
    upper: bool,
}

impl Arbitrary for Form {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let space = || prop::sample::select(vec!["", " ", "\t", "\n", "  "]);
        (
            [space(), space()],
            prop::sample::select(vec!["", "0x", "0X"]),
            0usize..4,
            any::<bool>(),
        )
            .prop_map(|(spaces, prefix, zeros, upper)| Self {
                spaces,
                prefix,
                zeros,
                upper,
            })
            .boxed()
    }
}

impl Form {
    fn number(&self, number: usize) -> String {
        let zeros = "0".repeat(self.zeros);
        let digits = match self.upper {
            true => format!("{zeros}{number:X}"),
            false => format!("{zeros}{number:x}"),
        };
        let [before, after] = self.spaces;
        format!("{before}{}{digits}{after}", self.prefix)
    }
}

impl Exception {
    /// Whether it is for this byte of this device.
    pub(crate) fn has(&self, vendor: u16, device: u16, byte: usize) -> bool {
        self.vendor == vendor
            && self.device.is_none_or(|of| of == device)
            && (self.start..=self.end).contains(&byte)
    }

    pub(crate) fn text(&self, form: &Form) -> String {
        let mut text = form.number(self.vendor.into()) + ":";
        match self.device {
            Some(device) => text += &form.number(device.into()),
            None => text += "*",
        }
        if (self.start, self.end) != (0, 0xfff) {
            text += &format!("@{}-{}", form.number(self.start), form.number(self.end));
        }
        text
    }

    pub(crate) fn shortest(&self) -> String {
        self.text(&Form {
            spaces: [""; 2],
            prefix: "",
            zeros: 0,
            upper: false,
        })
    }
}

/// Of few devices, so that they meet.
impl Arbitrary for Exception {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let byte = || prop_oneof![0usize..0x1000, 0usize..0x90];
        let range = prop_oneof![
            1 => Just((0, 0xfff)),
            4 => (byte(), byte()).prop_map(|(a, b)| (a.min(b), a.max(b))),
            10 => (byte(), 0usize..9).prop_map(|(start, more)| (start, (start + more).min(0xfff))),
        ];
        let device = prop_oneof![1 => Just(None), 3 => (0u16..3).prop_map(Some)];
        (prop_oneof![0u16..3, Just(0xffff)], device, range)
            .prop_map(|(vendor, device, (start, end))| Self {
                vendor,
                device,
                start,
                end,
            })
            .boxed()
    }
}

/// So many of them.
pub(crate) fn arb_exceptions(count: Range<usize>) -> impl Strategy<Value = Vec<Exception>> {
    prop::collection::vec(any::<Exception>(), count)
}

/// The list of a text, or the entry that is refused.
pub(crate) fn list(text: &[u8]) -> Result<Vec<Entry>, Vec<u8>> {
    let mut entries = Vec::new();
    let parsed = parse(text, |entry| {
        entries.push(entry);
        Ok::<(), Infallible>(())
    });

    match parsed {
        Ok(()) => {
            let length = normalize(&mut entries);
            entries.truncate(length);
            Ok(entries)
        }
        Err(ParseError::BadEntry(entry)) => Err(entry.to_vec()),
        Err(ParseError::Push(never)) => match never {},
    }
}

/// The list of some exceptions.
pub(crate) fn list_of(exceptions: &[Exception]) -> Vec<Entry> {
    let text: Vec<_> = exceptions.iter().map(Exception::shortest).collect();
    list(text.join(",").as_bytes()).expect("every entry is good")
}

/// What sysfs shows in so much room.
pub(crate) fn shown(list: &[Entry], room: usize) -> String {
    let mut text = String::new();
    show(list, &mut text, room).expect("a string has room");
    text
}
