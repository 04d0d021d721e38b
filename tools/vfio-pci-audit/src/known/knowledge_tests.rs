// SPDX-License-Identifier: GPL-2.0

//! An NVIDIA GPU, whose layout is given, and devices without one.

use pci_config::{dump, Id, EXPRESS};

use super::*;
use crate::known::device::Device;

fn gpu() -> Subject {
    let text = include_str!("../../tests/data/gpu.lspci");
    let devices = dump::parse(text.as_bytes()).devices;
    assert_eq!(devices[0].config.len(), EXPRESS);
    Subject::from_config(&devices[0].config).unwrap()
}

fn texts(subject: &Subject, range: Range<usize>, op: Op) -> Vec<String> {
    notes(subject, &range, op)
        .into_iter()
        .map(|note| note.text)
        .collect()
}

#[test]
fn a_register_is_named_with_its_driver() {
    assert_eq!(
        texts(&gpu(), 0x48a..0x48b, Op::Write),
        ["0x488-0x48b: HDA function enable, quirk_nvidia_hda (drivers/pci/quirks.c); allow it"]
    );
    // Nothing is known to read it.
    assert!(texts(&gpu(), 0x704..0x708, Op::Read).is_empty());
    assert!(texts(&gpu(), 0x48c..0x490, Op::Write).is_empty());
}

#[test]
fn a_hidden_capability_is_named() {
    let hidden = "0x258-0x267 is in L1 PM Substates, which VFIO hides";
    assert_eq!(texts(&gpu(), 0x260..0x264, Op::Read), [hidden]);
    assert_eq!(texts(&gpu(), 0x240..0x259, Op::Write), [hidden]);
    assert!(texts(&gpu(), 0x268..0x270, Op::Read).is_empty());
    let unknown = "0xcc0-0xcc3 is in capability 0040, which VFIO hides";
    assert_eq!(texts(&gpu(), 0xcc0..0xcc4, Op::Read), [unknown]);
}

#[test]
fn without_a_layout_registers_are_known_and_capabilities_are_not() {
    let device = Device {
        id: Id::new(0x10de, 0x1eb8),
        class: Some(0x030200),
    };
    let subject = Subject::new(device, &[0; 64]);
    assert!(subject.map().is_none());
    let text = texts(&subject, 0x488..0x48c, Op::Read);
    assert!(text[0].contains("layout not verified"), "{text:?}");
    assert!(texts(&subject, 0x258..0x25c, Op::Read).is_empty());
    // This very device was dumped.
    let device = Device {
        id: Id::new(0x10de, 0x1d10),
        ..device
    };
    let text = texts(&Subject::new(device, &[]), 0x488..0x48c, Op::Read);
    assert!(!text[0].contains("layout not verified"), "{text:?}");
}

#[test]
// A list of one range is meant.
#[allow(clippy::single_range_in_vec_init)]
fn what_no_driver_uses_is_left() {
    let left = |range: Range<usize>| unknown(&gpu(), &range, Op::Write);
    assert_eq!(left(0x480..0x490), [0x480..0x488, 0x48c..0x490]);
    assert_eq!(left(0x488..0x48c), []);
    assert_eq!(left(0x489..0x48e), [0x48c..0x48e]);
    // That a capability is there does not tell of a driver that needs it.
    assert_eq!(left(0x258..0x268), [0x258..0x268]);
}

#[test]
// A list of one range is meant.
#[allow(clippy::single_range_in_vec_init)]
fn what_a_device_may_be_is_not_suspicious() {
    let device = Device {
        id: Id::new(0x10de, 0x1eb8),
        class: None,
    };
    let subject = Subject::new(device, &[]);
    assert!(notes(&subject, &(0x488..0x48c), Op::Write).is_empty());
    assert_eq!(
        unknown(&subject, &(0x488..0x490), Op::Write),
        [0x48c..0x490]
    );
    // Only a write is known.
    assert_eq!(unknown(&subject, &(0x704..0x708), Op::Read), [0x704..0x708]);
}

#[test]
fn a_device_that_is_off_says_nothing_of_itself() {
    assert!(Subject::from_config(&[0xff; EXPRESS]).is_none());
    assert!(Subject::from_config(&[0; 16]).is_none());
}
