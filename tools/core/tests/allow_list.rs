// SPDX-License-Identifier: GPL-2.0

//! The allow list: every refusal, and look-ups against a set.

use pci_audit_core::allow_list::{
    contains,
    normalize,
    parse,
    Id,
    ParseError, //
};
use proptest::prelude::*;
use std::{
    collections::BTreeSet,
    convert::Infallible, //
};

fn list(text: &[u8]) -> Result<Vec<Id>, Vec<u8>> {
    let mut ids = Vec::new();
    let parsed = parse(text, |id| {
        ids.push(id);
        Ok::<(), Infallible>(())
    });

    match parsed {
        Ok(()) => {
            let length = normalize(&mut ids);
            ids.truncate(length);
            Ok(ids)
        }
        Err(ParseError::BadEntry(entry)) => Err(entry.to_vec()),
        Err(ParseError::Push(never)) => match never {},
    }
}

#[test]
fn takes_what_an_operator_types() {
    let both = vec![Id::new(0x10de, 0x1eb8), Id::new(0x8086, 0xffff)];

    assert_eq!(list(b""), Ok(vec![]));
    assert_eq!(list(b" \n"), Ok(vec![]));
    assert_eq!(list(b"10de:1eb8,8086:ffff"), Ok(both.clone()));
    assert_eq!(list(b" 8086:FFFF , 10DE:1Eb8\n"), Ok(both.clone()));
    assert_eq!(list(b"10de:1eb8,8086:ffff,10de:1eb8"), Ok(both));
    assert_eq!(list(b"0:1"), Ok(vec![Id::new(0, 1)]));
}

#[test]
fn refuses_the_whole_list_for_one_bad_entry_and_names_it() {
    for bad in [
        "10de",
        "10de:",
        ":1eb8",
        ":",
        "10de:1eb8:",
        "10de:1eb8x",
        "10de:0x1eb8",
        "10000:1",
        "1:10000",
        "10de 1eb8",
        "10de:1e b8",
        "-1:1",
        "+1:1",
        "g:1",
    ] {
        let text = format!("8086:1, {bad} ,8086:2");
        assert_eq!(list(text.as_bytes()), Err(bad.into()), "{text}");
    }
    assert_eq!(list(b","), Err(vec![]));
    assert_eq!(list(b"8086:1,"), Err(vec![]));
    assert_eq!(list(b"8086:1,,8086:2"), Err(vec![]));
}

#[test]
fn shows_an_id_as_it_is_written() {
    assert_eq!(Id::new(0x10de, 0xb8).to_string(), "10de:00b8");
}

proptest! {
    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = list(&text);
    }

    #[test]
    fn finds_what_a_set_finds(
        ids in prop::collection::vec((0u16..40, 0u16..40), 0..2000),
        probe in (0u16..40, 0u16..40),
    ) {
        let text: Vec<_> = ids.iter().map(|(v, d)| format!("{v:x}:{d:04X}")).collect();
        let set: BTreeSet<_> = ids.iter().copied().collect();
        let parsed = list(text.join(" ,").as_bytes()).unwrap();

        prop_assert_eq!(parsed.len(), set.len());
        prop_assert_eq!(contains(&parsed, Id::new(probe.0, probe.1)), set.contains(&probe));
    }
}
