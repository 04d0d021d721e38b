// SPDX-License-Identifier: GPL-2.0

//! The list of exceptions: what is taken, every refusal, and what sysfs shows.

mod exceptions;

use exceptions::{
    arb_exceptions,
    list,
    shown,
    Exception, //
};
use pci_audit_core::allow_list::{
    find,
    Excepted,
    Id, //
};
use proptest::prelude::*;

/// What a page of sysfs has room for.
const ROOM: usize = 4095;

fn canonical(text: &str) -> String {
    shown(&list(text.as_bytes()).unwrap(), ROOM)
}

#[test]
fn takes_what_an_operator_types() {
    for (text, expected) in [
        ("", ""),
        (" \n", ""),
        ("10de:1eb8,8086:ffff", "10de:1eb8,8086:ffff"),
        (" 8086:FFFF , 10DE:1Eb8\n", "10de:1eb8,8086:ffff"),
        ("10de:1eb8,8086:ffff,10de:1eb8", "10de:1eb8,8086:ffff"),
        ("0x10de:0X1eb8", "10de:1eb8"),
        ("0:1", "0000:0001"),
        ("00010de:000001", "10de:0001"),
        ("10de:*", "10de:*"),
        ("10de:1eb8,10de:*", "10de:*,10de:1eb8"),
        ("10de:*@488-48b", "10de:*@488-48b"),
        ("10DE:*@0x488-0X48B\n", "10de:*@488-48b"),
        (
            " 10de : * @ 488 - 48b ,8086:10d3",
            "10de:*@488-48b,8086:10d3",
        ),
        (
            "10de:*@704-707,10de:*@488-48b",
            "10de:*@488-48b,10de:*@704-707",
        ),
        ("8086:10d3@5-5", "8086:10d3@5-5"),
        ("8086:10d3@0000-00ff", "8086:10d3@0-ff"),
        // All bytes are the device.
        ("8086:10d3@0-fff", "8086:10d3"),
        ("8086:10d3@100-1ff,8086:10d3", "8086:10d3"),
        ("8086:10d3@0-7ff,8086:10d3@800-fff", "8086:10d3"),
        // Overlapping, adjacent and equal ranges unite; others do not, nor do those of others.
        ("1:2@10-1f,1:2@18-2f", "0001:0002@10-2f"),
        ("1:2@10-1f,1:2@20-2f", "0001:0002@10-2f"),
        ("1:2@10-3f,1:2@18-2f,1:2@3f-40", "0001:0002@10-40"),
        ("1:2@10-1f,1:2@10-1f", "0001:0002@10-1f"),
        ("1:2@10-1f,1:2@21-2f", "0001:0002@10-1f,0001:0002@21-2f"),
        ("1:2@10-1f,1:3@20-2f", "0001:0002@10-1f,0001:0003@20-2f"),
        ("1:*@10-1f,1:2@20-2f", "0001:*@10-1f,0001:0002@20-2f"),
    ] {
        assert_eq!(canonical(text).trim_end(), expected, "{text:?}");
    }
}

#[test]
fn refuses_the_whole_list_for_one_bad_entry_and_names_it() {
    for bad in [
        "10de",
        "10de:",
        ":1eb8",
        ":",
        "*",
        "*:*",
        "*:1eb8",
        "10de:**",
        "10de:*1",
        "10de:1eb8:",
        "10de:1eb8x",
        "10de:0x",
        "10de:0x0x1",
        "10de:x1",
        "10000:1",
        "1:10000",
        "1:0x10000",
        "10de 1eb8",
        "10de:1e b8",
        "-1:1",
        "+1:1",
        "g:1",
        "10de:1eb8@",
        "10de:1eb8@488",
        "10de:1eb8@488-",
        "10de:1eb8@-48b",
        "10de:1eb8@-",
        "10de:1eb8@48b-488",
        "10de:1eb8@0-1000",
        "10de:1eb8@1000-1000",
        "10de:1eb8@0-10000",
        "10de:1eb8@10000-fff",
        "10de:1eb8@488-48b-",
        "10de:1eb8@488-48b-48f",
        "10de:1eb8@488-48b@704-707",
        "10de:1eb8@488-48bjunk",
        "10de:1eb8@488-48b junk",
        "10de:1eb8@48g-48h",
        "10de:1eb8@488..48b",
        "10de@488-48b",
        "@488-48b",
        "10de:@488-48b",
        "10de:*@*-*",
        "10de:1eb8@*",
    ] {
        let text = format!("8086:1, {bad} ,8086:2");
        assert_eq!(list(text.as_bytes()), Err(bad.into()), "{text}");
    }
    assert_eq!(list(b","), Err(vec![]));
    assert_eq!(list(b"8086:1,"), Err(vec![]));
    assert_eq!(list(b"8086:1,,8086:2"), Err(vec![]));
}

#[test]
fn tells_devices_from_ranges() {
    let all = list(b"1:2,1:3@0-7ff,4:*,5:*@10-1f,5:6@0-fff").unwrap();

    for (vendor, device, expected) in [
        (1, 2, Excepted::Everything),
        (1, 3, Excepted::Ranges),
        (1, 4, Excepted::Nothing),
        (4, 2, Excepted::Everything),
        (5, 2, Excepted::Ranges),
        (5, 6, Excepted::Everything),
        (0xffff, 0xffff, Excepted::Nothing),
        (0, 0, Excepted::Nothing),
    ] {
        let found = find(&all, Id::new(vendor, device));
        assert_eq!(found, expected, "{vendor:x}:{device:x}");
    }
}

#[test]
fn the_newline_is_left_out_where_there_is_no_room() {
    let all = list(b"8086:10d3").unwrap();

    assert_eq!(shown(&all, 10), "8086:10d3\n");
    assert_eq!(shown(&all, 9), "8086:10d3");
}

#[test]
fn a_list_that_fits_without_zeros_is_shown_without() {
    // Six bytes an entry with its comma, and ten with zeros.
    let text: Vec<_> = (0..ROOM / 6).map(|n| format!("{n:03x}:2")).collect();
    let all = list(text.join(",").as_bytes()).unwrap();
    let shown = shown(&all, ROOM);

    assert!(shown.starts_with("0:2,1:2,"), "{shown}");
    assert_eq!(list(shown.as_bytes()), Ok(all));
}

#[test]
fn a_list_that_does_not_fit_says_so_and_is_not_taken_back() {
    let all: Vec<String> = (0..1000).map(|n| format!("8086:{n:x}@100-1ff")).collect();
    let all = list(all.join(",").as_bytes()).unwrap();
    let shown = shown(&all, ROOM);

    assert!(shown.len() <= ROOM);
    let (listed, rest) = shown.split_once(",... and ").unwrap();
    let rest: usize = rest.strip_suffix(" more\n").unwrap().parse().unwrap();
    assert_eq!(listed.split(',').count() + rest, 1000);
    assert!(list(shown.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = list(&text);
    }

    #[test]
    fn never_panics_on_what_is_nearly_a_list(text in "[01f:*@,x -]{0,60}") {
        let _ = list(text.as_bytes());
    }

    /// What fits into a write fits into a page, and says the same.
    #[test]
    fn what_is_shown_can_be_written_back(
        exceptions in arb_exceptions(0..600),
        room in 200..ROOM,
    ) {
        let mut text = String::new();
        for exception in &exceptions {
            let more = exception.shortest();
            if text.len() + 1 + more.len() > room {
                break;
            }
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(&more);
        }
        let all = list(text.as_bytes()).unwrap();
        let shown = shown(&all, room);

        prop_assert!(shown.len() <= room);
        prop_assert_eq!(list(shown.as_bytes()), Ok(all));
    }

    #[test]
    fn the_form_does_not_matter(forms in prop::collection::vec(
        any::<(Exception, exceptions::Form)>(), 0..40,
    )) {
        let plain: Vec<_> = forms.iter().map(|(exception, _)| exception.shortest()).collect();
        let odd: Vec<_> = forms.iter().map(|(exception, form)| exception.text(form)).collect();

        prop_assert_eq!(list(plain.join(",").as_bytes()), list(odd.join(",").as_bytes()));
    }
}
