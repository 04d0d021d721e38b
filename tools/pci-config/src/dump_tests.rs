// SPDX-License-Identifier: GPL-2.0

use proptest::prelude::*;

use super::*;

const FIRST: &str = "00: 86 80 d3 10 07 04 10 00 00 00 00 02 10 00 00 00";

fn rows(range: std::ops::Range<usize>) -> String {
    let bytes = ["11"; 16].join(" ");
    range
        .map(|row| format!("{:02x}: {bytes}\n", row * 16))
        .collect()
}

fn lengths(dump: &Dump) -> Vec<(String, usize)> {
    let devices = dump.devices.iter();
    devices
        .map(|device| (device.bdf.to_string(), device.config.len()))
        .collect()
}

#[test]
fn verbose_output_of_two_devices() {
    let text = format!(
        "01:00.0 Ethernet controller: Intel Corporation 82574L (rev 03)\n\
         \tSubsystem: Intel Corporation Device 0000\n\
         \tFlags: bus master, fast devsel, latency 0\n\
         {FIRST}\n10: {zeros}\n\n0000:02:00.1 Audio device: x\n{FIRST}\n",
        zeros = ["00"; 16].join(" ")
    );
    let dump = parse(text.as_bytes());
    assert_eq!(
        lengths(&dump),
        [("0000:01:00.0".into(), 32), ("0000:02:00.1".into(), 16)]
    );
    assert_eq!(dump.devices[0].config[..4], [0x86, 0x80, 0xd3, 0x10]);
    assert_eq!(dump.devices[1].what, "Audio device: x");
    assert_eq!(dump.problems, []);
}

#[test]
fn what_is_no_dump_has_no_device() {
    assert_eq!(parse(b"hello\n"), Dump::default());
    assert_eq!(parse(b""), Dump::default());
}

/// A message of another program between two devices, and a row that was damaged.
#[test]
fn what_cannot_be_read_is_named_and_the_rest_is_read() {
    let text = format!(
        "01:00.0 x\n{}dd: failed to open 'x': Permission denied\n02:00.0 y\n{}20: 11 \
         zz\n{}03:00.0 z\n{}",
        rows(0..16),
        rows(0..2),
        rows(3..16),
        rows(0..16)
    );
    let dump = parse(text.as_bytes());
    assert_eq!(
        lengths(&dump),
        [
            ("0000:01:00.0".into(), 256),
            ("0000:02:00.0".into(), 32),
            ("0000:03:00.0".into(), 256)
        ]
    );
    let said: Vec<_> = dump.problems.iter().map(Problem::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(
        said[0].starts_with("line 18: \"dd: failed to open"),
        "{said:?}"
    );
    assert!(said[1].starts_with("line 22: \"20: 11 zz\""), "{said:?}");
    assert_eq!(
        said[2],
        "line 23: the bytes of 0000:02:00.0 before offset 0x30 are missing; what follows is left \
         out"
    );
}

#[test]
fn seventeen_bytes_are_no_row() {
    let dump = parse(format!("01:00.0 x\n{FIRST} 11\n").as_bytes());
    assert_eq!(lengths(&dump), [("0000:01:00.0".into(), 0)]);
    assert_eq!(dump.problems.len(), 1);
}

#[test]
fn the_occurrence_with_bytes_counts() {
    let (short, long) = (rows(0..4), rows(0..16));
    for text in [
        format!("01:00.0 x\n\tCapabilities: <access denied>\n\n01:00.0 x\n{long}"),
        format!("01:00.0 x\n{short}01:00.0 x\n{long}"),
        format!("01:00.0 x\n{long}01:00.0 x\n{short}"),
        format!("01:00.0 x\n{long}01:00.0 x\n"),
    ] {
        let dump = parse(text.as_bytes());
        assert_eq!(lengths(&dump), [("0000:01:00.0".into(), 256)], "{text}");
        assert_eq!(dump.problems, [], "{text}");
    }
    let dump = parse(format!("01:00.0 x\n{long}01:00.0 x\n{FIRST}\n").as_bytes());
    assert_eq!(lengths(&dump), [("0000:01:00.0".into(), 256)]);
    assert_eq!(dump.problems[0].why, Why::Differs(dump.devices[0].bdf));
}

#[test]
fn dumps_that_went_through_other_programs() {
    let plain = format!("01:00.0 Intel x\n\tFlags: y\n{}", rows(0..16));
    let expected = parse(plain.as_bytes());
    assert_eq!(expected.devices[0].config.len(), 256);
    let indented = |with: &str| {
        let lines = plain.lines().map(|line| format!("{with}{line}\n"));
        lines.collect::<String>().into_bytes()
    };
    let wide = |mark: &[u8], bytes: fn(u16) -> [u8; 2]| {
        let units = plain.encode_utf16().flat_map(bytes);
        mark.iter().copied().chain(units).collect::<Vec<u8>>()
    };
    for (name, bytes) in [
        ("tabs", indented("\t")),
        ("spaces", indented("    ")),
        ("no-break spaces", indented("\u{a0}\u{a0}")),
        ("quoted", indented("> ")),
        ("quoted twice", indented(">> ")),
        ("quoted apart", indented("> | > ")),
        ("Windows", plain.replace('\n', "\r\n").into_bytes()),
        ("a mark", [b"\xef\xbb\xbf", plain.as_bytes()].concat()),
        ("UTF-16", wide(b"\xff\xfe", u16::to_le_bytes)),
        ("UTF-16, big", wide(b"\xfe\xff", u16::to_be_bytes)),
        ("UTF-16, unmarked", wide(b"", u16::to_le_bytes)),
        ("UTF-16, big, unmarked", wide(b"", u16::to_be_bytes)),
    ] {
        assert_eq!(parse(&bytes), expected, "{name}");
    }
    let latin = plain.replacen("Intel", "Intel\u{1}", 1).into_bytes();
    let latin: Vec<u8> = latin
        .iter()
        .map(|b| if *b == 1 { 0xae } else { *b })
        .collect();
    let read = parse(&latin);
    assert_eq!(read.devices[0].config, expected.devices[0].config);
    assert_eq!(read.devices[0].what, "Intel\u{fffd} x");
}

#[test]
fn identifiers_that_lspci_printed() {
    let id = |what: &str| {
        let text = format!("01:10.0 {what}\n");
        parse(text.as_bytes()).devices[0].printed_id()
    };
    let vf =
        "Ethernet controller [0200]: Intel Corporation 82576 Virtual Function [8086:10ca] (rev 01)";
    assert_eq!(id(vf), Some((0x8086, 0x10ca)));
    assert_eq!(id("0200: 8086:10ca (rev 01)"), Some((0x8086, 0x10ca)));
    assert_eq!(id("Ethernet controller: Intel [x] (rev 01)"), None);
    assert_eq!(id(""), None);
}

proptest! {
    #[test]
    fn what_is_written_is_read(rows in 1usize..=256, seed: u8) {
        let config: Vec<u8> = (0..rows * 16).map(|at| (at as u8).wrapping_mul(seed)).collect();
        let what = "Network controller".to_owned();
        let device = Device { bdf: "01:00.0".parse().unwrap(), what, config };
        let dump = parse(write(&device).as_bytes());
        prop_assert_eq!(dump, Dump { devices: vec![device], problems: vec![] });
    }

    #[test]
    fn no_text_panics(text in "([0-9a-f]{0,3}:? ?([0-9a-f]{2} ){0,18}\n|01:00.0 \
         .{0,9}\n|.{0,20}\n){0,8}") {
        parse(text.as_bytes());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        parse(&bytes);
    }
}
