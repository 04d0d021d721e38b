// SPDX-License-Identifier: GPL-2.0

//! Records behind a prefix: what the kernel prints, and what programs send to syslog.

use std::str;

use memchr::memmem;

use super::Found;
use crate::prefix;

/// What a line is that does not begin as auditd's lines do.
pub(super) fn line(line: &[u8]) -> Found<'_> {
    let Some(stamp) = memmem::find(line, b"audit(") else {
        return without_record(line);
    };
    // `audit: type=1340 audit(` from the kernel, `type=PCI msg=audit(` from programs.
    let before = line[..stamp]
        .strip_suffix(b"msg=")
        .unwrap_or(&line[..stamp]);
    let Some(at) = memmem::rfind(before, b"type=") else {
        return Found::None;
    };
    let kind = &before[at + 5..];
    if !kind.ends_with(b" ") || kind[..kind.len() - 1].contains(&b' ') {
        return Found::None;
    }
    // A program may have put the host in front, as auditd does.
    let node = line[..at].trim_ascii_end();
    let word = node.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let at = match word.starts_with(b"node=") {
        true => node.len() - word.len(),
        false => at,
    };
    Found::Records(&line[at..])
}

fn without_record(line: &[u8]) -> Found<'_> {
    if is_boot(line) {
        return Found::Boot(host(line));
    }
    // printk says so of its limit, where no daemon takes records.
    let unprinted = || {
        let at = memmem::find(line, b" callbacks suppressed")?;
        memmem::find(&line[..at], b"kauditd_printk_skb: ")?;
        let digits = line[..at].rsplit(|byte| !byte.is_ascii_digit()).next()?;
        str::from_utf8(digits).ok()?.parse().ok()
    };
    unprinted().map_or(Found::None, Found::Unprinted)
}

/// Whether the kernel says its version, which it does first of all. Programs say it, too.
fn is_boot(line: &[u8]) -> bool {
    let Some(at) = memmem::find(line, b"Linux version ") else {
        return false;
    };
    // journalctl leaves out the kernel's stamp, and syslog may.
    let before = line[..at].trim_ascii_end();
    before.ends_with(b" kernel:") || memmem::find(before, b"0.000000]").is_some()
}

/// The host that syslog, or journalctl, names in front of a line.
pub(crate) fn host(line: &[u8]) -> Option<&str> {
    let head = str::from_utf8(&line[..line.len().min(200)])
        .or_else(|error| str::from_utf8(&line[..error.valid_up_to()]))
        .ok()?;
    let (_, rest) = prefix::date(prefix::without_level(head))?;
    rest.split_ascii_whitespace()
        .next()
        .filter(|host| is_host(host))
}

fn is_host(word: &str) -> bool {
    word != "-" && !word.ends_with(':') && !word.starts_with('[')
}
