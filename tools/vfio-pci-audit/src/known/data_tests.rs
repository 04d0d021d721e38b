// SPDX-License-Identifier: GPL-2.0

//! The data is sorted and well-formed, and what reads it refuses what is not.

use pci_config::hidden::hidden;
use pci_config::{dump, ConfigMap, Id, CONVENTIONAL, EXPRESS, STANDARD_HEADER};

use super::*;

/// A file with one register.
fn one(fields: &str) -> Result<Data> {
    Data::parse(&format!(
        "mirror = []\n[groups]\nfew = [\"1234:5678\"]\n[[register]]\nname = \"n\"\n\
         source = \"s\"\nfunction = \"f\"\nbreaks = \"b\"\n{fields}\n"
    ))
}

#[test]
fn every_row_is_whole() {
    for row in &DATA.registers {
        let range = row.bytes.range();
        assert!(
            range.start >= STANDARD_HEADER && range.end <= EXPRESS,
            "{row:?}"
        );
        assert!(!row.devices.ids.is_empty(), "{row:?}");
        for text in [&row.name, &row.source, &row.function, &row.breaks] {
            assert!(!text.is_empty() && text.trim() == text, "{row:?}");
        }
        assert!(row.breaks.ends_with('.'), "{row:?}");
        if let Some(id) = row.layout.hidden {
            assert!(id.name().is_some(), "{row:?}");
        }
        // A dump proves something of devices that the row is of.
        for seen in row.layout.dump.iter().chain(&row.layout.lspci) {
            assert!(seen.is_exact() && row.devices.may_have(*seen), "{row:?}");
        }
        // A list cannot except a class, so what is of any vendor has to have one.
        for id in row.devices.ids.iter().filter(|id| id.is_of_any_vendor()) {
            assert!(row.devices.class.is_some(), "{id} {row:?}");
        }
    }
    for row in &DATA.mirrors {
        assert!(
            row.bar < 6 && row.size > 0 && !row.devices.ids.is_empty(),
            "{row:?}"
        );
    }
}

/// Devices that a row calls dumped, with their whole configuration space.
fn dumped() -> Vec<(Device, Vec<u8>)> {
    let text = include_str!("../../tests/data/layouts.lspci");
    // They are of different machines: several have one address.
    text.split("\n\n")
        .flat_map(|text| dump::parse(text.as_bytes()).devices)
        .map(|dump::Device { mut config, .. }| {
            let whole = match config.len() > CONVENTIONAL {
                true => EXPRESS,
                false => CONVENTIONAL,
            };
            config.resize(whole, 0);
            let word = |at: usize| u16::from_le_bytes([config[at], config[at + 1]]);
            let device = Device {
                id: Id::new(word(0), word(2)),
                class: Some(u32::from(config[9]) | u32::from(word(10)) << 8),
            };
            (device, config)
        })
        .collect()
}

#[test]
fn a_dump_has_the_bytes_unassigned() {
    let dumped = dumped();
    for row in &DATA.registers {
        for seen in &row.layout.dump {
            let of = |(device, _): &&(Device, Vec<u8>)| seen.has(device.id);
            let (device, config) = dumped.iter().find(of).expect("a dump of the device");
            assert!(row.devices.has(device), "{device:?} {row:?}");
            let map = ConfigMap::parse(config).unwrap();
            let bytes = row.bytes.range();
            let unassigned = bytes.clone().all(|offset| map.unassigned(offset));
            assert!(unassigned, "{device:?} {row:?}");
            // A capability that hides them is the one that the row names.
            for other in hidden(config, &map) {
                let apart = other.range.end <= bytes.start || bytes.end <= other.range.start;
                let named = row.layout.hidden.map(|id| id.0) == Some(other.capability.id);
                assert!(apart || named, "{other:?} {device:?} {row:?}");
            }
        }
    }
}

#[test]
fn no_field_is_misspelt() {
    const SHARED: [&str; 5] = ["ids", "group", "class", "source", "note"];
    const REGISTER: [&str; 10] = [
        "bytes", "op", "name", "function", "also", "breaks", "harmless", "dump", "lspci", "hidden",
    ];
    const MIRROR: [&str; 5] = ["bar", "offset", "size", "reaches", "qemu"];

    let file: toml::Table = TEXT.parse().unwrap();
    for (table, own) in [("register", &REGISTER[..]), ("mirror", &MIRROR)] {
        for row in file[table].as_array().unwrap() {
            for field in row.as_table().unwrap().keys() {
                let field = field.as_str();
                assert!(
                    SHARED.contains(&field) || own.contains(&field),
                    "{field} in {row:?}"
                );
            }
        }
    }
}

#[test]
fn rows_are_sorted() {
    let class = |devices: &Devices| {
        devices
            .class
            .map_or(String::new(), |class| class.to_string())
    };
    let registers = DATA.registers.iter();
    let registers = registers.map(|row| {
        (
            row.devices.ids[0],
            class(&row.devices),
            row.bytes.range().start,
        )
    });
    assert!(registers.is_sorted());
    let mirrors = DATA.mirrors.iter();
    let mirrors = mirrors.map(|row| (row.devices.ids[0], class(&row.devices), row.bar, row.offset));
    assert!(mirrors.is_sorted());
    for row in &DATA.registers {
        assert!(row.devices.ids.is_sorted_by(|a, b| a < b), "{row:?}");
    }
}

#[test]
fn no_two_rows_of_a_device_overlap() {
    for (number, one) in DATA.registers.iter().enumerate() {
        for other in &DATA.registers[number + 1..] {
            let class = match (one.devices.class, other.devices.class) {
                (Some(one), Some(other)) => one.meets(other),
                _ => true,
            };
            let ids = one.devices.ids.iter().any(|id| other.devices.may_have(*id));
            let (a, b) = (one.bytes.range(), other.bytes.range());
            assert!(
                !class || !ids || a.end <= b.start || b.end <= a.start,
                "{one:?} overlaps {other:?}"
            );
        }
    }
}

#[test]
fn what_is_malformed_is_refused() {
    let good = "ids = [\"8086:10d3\"]\nbytes = \"e0-e3\"\nop = \"rw\"";
    assert!(one(good).is_ok());
    for (from, to) in [
        ("8086:10d3", "8086"),
        ("e0-e3", "e3-e0"),
        ("e0-e3", "1000"),
        ("e0-e3", "e0-"),
        ("\"rw\"", "\"rw\"\nhidden = \"1e\""),
        ("\"rw\"", "\"x\""),
        ("op = \"rw\"", ""),
        ("ids = [\"8086:10d3\"]", "group = \"none\""),
    ] {
        assert!(one(&good.replace(from, to)).is_err(), "{to}");
    }
    let group = one(&good.replace("ids = [\"8086:10d3\"]", "group = \"few\"")).unwrap();
    assert_eq!(
        group.registers[0].devices.ids,
        ["1234:5678".parse().unwrap()]
    );
}

#[test]
fn rows_are_of_devices() {
    let devices = |text: &str| {
        one(&format!("{text}\nbytes = \"e0\"\nop = \"r\""))
            .unwrap()
            .registers[0]
            .devices
            .clone()
    };
    let device = |class| Device {
        id: Id::new(0x10de, 0x1eb8),
        class,
    };
    let exact = devices("ids = [\"10de:1eb8\"]\nclass = \"0302\"");
    let wide = devices("ids = [\"10de:*\"]\nclass = \"03\"");
    for (row, class, has) in [
        (&exact, Some(0x030200), true),
        (&exact, Some(0x030000), false),
        (&exact, None, true),
        (&wide, Some(0x030000), true),
        (&wide, Some(0x040300), false),
        (&wide, None, false),
    ] {
        assert_eq!(row.has(&device(class)), has, "{row:?} {class:?}");
    }
}

#[test]
fn operations_are_told_apart() {
    for (text, read, write) in [("r", true, false), ("w", false, true), ("rw", true, true)] {
        let data = one(&format!("ids = [\"*:*\"]\nbytes = \"e0\"\nop = \"{text}\"")).unwrap();
        let op = data.registers[0].op;
        assert_eq!((op.has(Op::Read), op.has(Op::Write)), (read, write));
        assert_eq!(op.to_string(), text);
    }
}
