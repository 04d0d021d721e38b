// SPDX-License-Identifier: GPL-2.0

//! Records as laurel and Auditbeat write them: JSON, in which each field has a place of its own.

use std::fmt::Write;

use memchr::memmem;
use serde_json::{Map, Value};

use super::start;
use crate::printable::printable;
use crate::record::kind;

/// Read an event; whether it has records that matter, and nothing if it is none.
pub(super) fn event(line: &[u8], records: &mut String) -> Option<bool> {
    let beat = memmem::find(line, b"\"auditd\"").is_some();
    if !beat && memmem::find(line, b"\"ID\"").is_none() {
        return None;
    }
    let matters = [
        "1340",
        "PCI",
        "pci",
        "VIRT_",
        "virt_",
        "SYSTEM_BOOT",
        "system_boot",
        "\"KERNEL\"",
        "\"message_type\":\"kernel\"",
    ];
    if !matters
        .iter()
        .any(|mark| memmem::find(line, mark.as_bytes()).is_some())
    {
        return Some(false);
    }
    let event: Map<String, Value> = serde_json::from_slice(line).ok()?;
    match beat {
        true => auditbeat(&event, records),
        false => laurel(&event, records),
    }
}

/// laurel: `{"ID": "1747758000.123:456", "NODE": "host", "PCI": [{"device": …}]}`.
fn laurel(event: &Map<String, Value>, records: &mut String) -> Option<bool> {
    let (time, serial) = event.get("ID")?.as_str()?.split_once(':')?;
    let (seconds, milliseconds) = time.split_once('.')?;
    let milliseconds: u64 = milliseconds.get(..3)?.parse().ok()?;
    let time = seconds.parse::<u64>().ok()?.checked_mul(1000)?;
    let time = time.checked_add(milliseconds)?;
    let node = event.get("NODE").and_then(Value::as_str);
    for (name, value) in event {
        let Some(kind) = kind(name) else {
            continue;
        };
        let all = match value {
            Value::Array(all) => &all[..],
            one => std::slice::from_ref(one),
        };
        for fields in all.iter().filter_map(Value::as_object) {
            start(records, (node, None), kind, time, serial);
            // laurel keeps the quotes' text apart, and writes names for numbers in capitals.
            let small = fields
                .iter()
                .filter(|(key, _)| !key.bytes().any(|byte| byte.is_ascii_uppercase()));
            let decoded: Vec<_> = small.map(|(key, value)| (key, decode(value))).collect();
            let fields = decoded.iter().map(|(key, value)| (key.as_str(), value));
            write_fields(records, kind, fields);
        }
    }
    Some(!records.is_empty())
}

/// laurel writes some bytes as `%` and two digits: `%` and `+`, and what cannot be printed.
fn decode(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains('%') => Value::String(percent(text)),
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| (key.clone(), decode(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn percent(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%');
        let byte = digits
            .filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Auditbeat: `{"@timestamp": …, "auditd": {"sequence": 456, "message_type": "pci", "data": {…},
/// "result": "fail"}}`.
fn auditbeat(event: &Map<String, Value>, records: &mut String) -> Option<bool> {
    let auditd = event.get("auditd")?;
    let Some(kind) = auditd.get("message_type")?.as_str().and_then(kind) else {
        return Some(false);
    };
    let stamp: jiff::Timestamp = event.get("@timestamp")?.as_str()?.parse().ok()?;
    let time = u64::try_from(stamp.as_millisecond()).ok()?;
    let serial = auditd.get("sequence")?.as_u64()?.to_string();
    let node = ["/host/hostname", "/host/name", "/agent/hostname"];
    let whole = Value::Object(event.clone());
    let node = node.iter().find_map(|path| whole.pointer(path)?.as_str());
    start(records, (node, None), kind, time, &serial);
    // What Auditbeat has a place of its own for is not among the data.
    let moved = [
        ("pid", "/process/pid"),
        ("ppid", "/process/parent/pid"),
        ("comm", "/process/name"),
        ("exe", "/process/executable"),
        ("uid", "/user/id"),
        ("auid", "/user/audit/id"),
        ("subj", "/user/selinux/user"),
    ];
    let moved = moved
        .iter()
        .filter_map(|(key, path)| Some((*key, whole.pointer(path)?)));
    let data = auditd.get("data").and_then(Value::as_object);
    let data = data.into_iter().flatten();
    let result = match auditd.get("result").and_then(Value::as_str) {
        Some("success") => Some(Value::from(1)),
        Some("fail") => Some(Value::from(0)),
        _ => None,
    };
    let fields = data
        .map(|(key, value)| (key.as_str(), value))
        .chain(moved)
        .chain(result.iter().map(|result| ("res", result)));
    write_fields(records, kind, fields);
    Some(true)
}

/// Write fields as the kernel does, in any order.
fn write_fields<'a>(
    record: &mut String,
    kind: &str,
    fields: impl Iterator<Item = (&'a str, &'a Value)>,
) {
    let mut text = String::new();
    for (key, value) in fields {
        match (key, value) {
            // Programs' records have their fields within a field.
            ("msg", Value::Object(inner)) => {
                for (key, value) in inner {
                    add_field(&mut text, key, value);
                }
            }
            ("msg", Value::String(inner)) => text = format!("{text} {}", inner.trim_matches('\'')),
            _ => add_field(&mut text, key, value),
        }
    }
    match kind {
        "PCI" => record.push_str(&text),
        // Writing to a String cannot fail.
        _ => drop(write!(record, "msg='{text}'")),
    }
}

fn add_field(text: &mut String, key: &str, value: &Value) {
    let value = match value {
        Value::String(value) => value.clone(),
        Value::Number(value) => value.to_string(),
        _ => return,
    };
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(&field(key, &value));
}

/// A field with its quotes, which tell untrusted strings, or in hexadecimal if it has what would
/// end it.
pub(super) fn field(key: &str, value: &str) -> String {
    let value = value.trim_matches('"');
    if !matches!(key, "device" | "comm" | "exe" | "vm") {
        return format!("{key}={}", printable(value));
    }
    let harmless = |byte: u8| byte.is_ascii_graphic() && byte != b'"';
    if value.bytes().all(harmless) {
        return format!("{key}=\"{value}\"");
    }
    let mut text = format!("{key}=");
    for byte in value.bytes() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02X}");
    }
    text
}
