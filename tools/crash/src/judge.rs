// SPDX-License-Identifier: GPL-2.0

//! Whether the tool named the guest, the place and the time.

use std::fs;
use std::path::Path;

use anyhow::{ensure, Context, Result};
use serde_json::Value;

use crate::case::{Case, DEVICES, GUEST, PORT};

/// How far a time that is told may be from the real one, in milliseconds.
const EXACT: i64 = 30_000;

/// What the machine left.
struct Left<'a> {
    folder: &'a Path,
    expected: Value,
}

impl Left<'_> {
    fn json(&self, name: &str) -> Result<Value> {
        let file = self.folder.join(name);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        serde_json::from_str(&text).with_context(|| format!("{}: {text}", file.display()))
    }

    /// Check that an access is the guest's write to a device.
    fn is_write(&self, access: &Value, device: &str) -> Result<()> {
        for (field, value) in [
            ("device", Value::from(device)),
            ("op", "write".into()),
            ("offset", self.expected["offset"].clone()),
            ("size", 4.into()),
            ("result", "allowed".into()),
            ("vm", GUEST.into()),
            ("program", "qemu-system-x86".into()),
        ] {
            ensure!(access[field] == value, "{field} is not {value}: {access:#}");
        }
        ensure!(
            access["session"].is_u64() && access["pid"].is_u64(),
            "{access:#}"
        );
        let time = access["time"].as_str().context("no time")?;
        let written = self.expected["written"].as_i64().context("no time")?;
        let distance = (milliseconds(time)? - written).abs();
        ensure!(
            distance < EXACT,
            "told is {time}, {distance} ms from when it was"
        );
        Ok(())
    }
}

/// `2025-05-20T16:20:00.123Z`, in milliseconds since 1970.
fn milliseconds(time: &str) -> Result<i64> {
    let numbers: Vec<i64> = time
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [year, month, day, hour, minute, second, ms] = numbers[..] else {
        anyhow::bail!("{time} is no time");
    };
    // Days since 1970, by Howard Hinnant's method.
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Ok((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms)
}

/// Judge a machine's life by what it left; what is worth knowing.
pub(crate) fn judge(case: Case, folder: &Path) -> Result<Vec<String>> {
    let console = fs::read_to_string(folder.join("console.log"))?;
    let failed = console
        .lines()
        .find(|line| line.contains("crash: failed: "));
    ensure!(
        failed.is_none(),
        "in the machine: {}",
        failed.unwrap_or_default()
    );
    let expected = folder.join("expected.json");
    let left = Left {
        folder,
        expected: serde_json::from_str(&fs::read_to_string(&expected)?)?,
    };
    let mut notes = Vec::new();
    if case == Case::Fatal {
        notes.extend(last_boot(&left)?);
    }
    notes.extend(blame(case, &left)?);
    if let Ok(said) = fs::read_to_string(folder.join("triggered.txt")) {
        let offset = left.expected["offset"].as_u64().context("no offset")?;
        let suspect = format!("Suspect: {} write {offset:#05x}-", DEVICES[0]);
        ensure!(
            said.contains(&suspect),
            "no {suspect} in what rasdaemon's trigger said: {said}"
        );
        notes.push("rasdaemon's trigger told the same".to_owned());
    }
    Ok(notes)
}

/// What the machine that died left: as long as the module is not loaded, as it shows it, as it was
/// saved, and when the module was loaded again.
fn last_boot(left: &Left<'_>) -> Result<Vec<String>> {
    let said =
        |file: &str| fs::read_to_string(left.folder.join(file)).with_context(|| file.to_owned());
    for (file, words) in [
        ("early.txt.err", "modprobe pci_audit"),
        ("saved.txt.err", "showing /run/crash/state/boot-1.trace"),
        ("save.txt", "boot-1.trace"),
        ("save-again.txt", "boot-1.trace"),
    ] {
        let said = said(file)?;
        ensure!(said.contains(words), "{file} does not say {words}: {said}");
    }
    for name in ["last-boot.json", "saved.json", "again.json"] {
        let told = left.json(name)?;
        ensure!(
            told["ended"]["how"] == "panic",
            "{name}: {:#}",
            told["ended"]
        );
        let reason = told["ended"]["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("NMI"), "{name}: the reason is {reason:?}");
        let accesses = told["accesses"].as_array().context("no accesses")?;
        // The guest's write was the last one.
        let last = accesses
            .first()
            .with_context(|| format!("{name}: no access"))?;
        left.is_write(last, DEVICES[0])
            .with_context(|| name.to_owned())?;
    }
    let saved = left.json("saved.json")?;
    Ok(vec![format!(
        "{} accesses were kept, and saved in {}",
        saved["count"], saved["from"]
    )])
}

fn blame(case: Case, left: &Left<'_>) -> Result<Vec<String>> {
    let told = left.json("blame.json")?;
    let severity = match case {
        Case::Fatal => "fatal",
        Case::NonFatal | Case::Innocent => "non_fatal",
    };
    let errors = told["errors"].as_array().context("no errors")?;
    let error = errors
        .iter()
        .find(|error| error["kind"] == "aer" && error["device"] == DEVICES[0])
        .with_context(|| format!("no error of {}: {told:#}", DEVICES[0]))?;
    ensure!(error["severity"] == severity, "{error:#}");
    ensure!(error["port"] == PORT, "{error:#}");
    let accesses = error["accesses"].as_array().context("no accesses")?;
    let culprit = error["culprit"]
        .as_u64()
        .with_context(|| format!("no culprit: {error:#}"))?;
    let culprit = &accesses[culprit as usize];
    left.is_write(culprit, DEVICES[0])?;
    ensure!(culprit["relation"] == "same_function", "{culprit:#}");
    // What is kept and what is saved of it are one.
    ensure!(culprit["count"] == 1, "{culprit:#}");
    // Both have one clock.
    ensure!(culprit["before_us"].as_i64() > Some(0), "{culprit:#}");
    ensure!(
        matches!(culprit["strength"].as_str(), Some("strong" | "moderate")),
        "{culprit:#}"
    );
    if case == Case::Innocent {
        let position = |device: &str| {
            accesses
                .iter()
                .position(|access| access["device"] == device && access["op"] == "write")
        };
        let (innocent, guilty) = (position(DEVICES[1]), position(DEVICES[0]));
        ensure!(
            innocent.is_some() && innocent < guilty,
            "the innocent device's write is not nearer: {accesses:#?}"
        );
        let innocent = &accesses[innocent.unwrap_or_default()];
        ensure!(innocent["relation"] == "same_device", "{innocent:#}");
    }
    let options = error["setting"]["options"].as_str().unwrap_or_default();
    ensure!(
        options.starts_with("block_pci_unassigned_write=Y uaccess_allow_ids=1af4:1044@0-"),
        "{options}"
    );
    Ok(vec![
        format!(
            "{} evidence: {} us before, at offset {} by {}",
            culprit["strength"].as_str().unwrap_or_default(),
            culprit["before_us"],
            culprit["offset"],
            culprit["vm"]
        ),
        options.to_owned(),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert_eq!(milliseconds("1970-01-01T00:00:00.000Z").unwrap(), 0);
        assert_eq!(
            milliseconds("2025-05-20T16:20:00.123Z").unwrap(),
            1_747_758_000_123
        );
        assert!(milliseconds("2025-05-20").is_err());
    }
}
