// SPDX-License-Identifier: GPL-2.0

//! Guesses the format of a file that has no audit record.

use std::str;

use memchr::memmem;

/// What a file looks like by its first lines.
pub fn looks_like(lines: &[Vec<u8>]) -> &'static str {
    let first = lines.first().map_or(&b""[..], Vec::as_slice);
    let starts = |mark: &[u8]| first.starts_with(mark);
    if starts(b"\x7fELF") {
        return "a program";
    }
    if starts(b"PK\x03\x04") {
        return "a zip archive: unpack it first";
    }
    let has = |mark: &str| {
        lines
            .iter()
            .any(|line| memmem::find(line, mark.as_bytes()).is_some())
    };
    if has("ustar") && has("\0") {
        return "a tar archive: unpack it first";
    }
    if has("\0") {
        return "binary data, or text in UTF-16";
    }
    if starts(b"{") || starts(b"[{") {
        return "JSON without audit records";
    }
    if starts(b"<") && (has("<html") || has("<?xml") || has("<!DOCTYPE")) {
        return "HTML or XML";
    }
    if starts(b"NODE,EVENT,DATE") {
        return "output of ausearch --format csv: use ausearch --raw";
    }
    if starts(b"At ") && (has("successfully") || has("unsuccessfully")) {
        return "output of ausearch --format text: use ausearch --raw";
    }
    if has(": AUDIT1340 ") {
        return "output of journalctl without audit's time stamps: use journalctl -o json";
    }
    if has("========") && (has("Report") || has("eport")) {
        return "output of aureport: use the log itself";
    }
    let bdf = |line: &Vec<u8>| {
        let text = str::from_utf8(line).unwrap_or_default();
        let word = text.split_whitespace().next().unwrap_or_default();
        word.parse::<pci_config::Bdf>().is_ok()
    };
    if lines.iter().any(bdf) {
        return "output of lspci: vfio-pci-audit map --dump reads it";
    }
    let console = |line: &Vec<u8>| {
        let text = line.trim_ascii_start();
        text.starts_with(b"[") && memmem::find(text, b".").is_some_and(|at| at < 10)
    };
    if lines.iter().any(console) || has(" kernel: ") || has(" systemd[") {
        return "a kernel or system log without audit records";
    }
    "other text"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_people_give_by_mistake() {
        for (text, word) in [
            ("\x7fELF\x02\x01", "program"),
            ("PK\x03\x04xx", "zip"),
            ("a\0b", "binary"),
            ("{\"a\": 1}", "JSON"),
            ("<!DOCTYPE html>\n<html>", "HTML"),
            ("NODE,EVENT,DATE,TIME", "--raw"),
            ("At 16:20:01 05/20/25 root successfully opened", "--raw"),
            ("\nSummary Report\n======================", "aureport"),
            ("01:00.0 Ethernet controller: x\n00: 86", "map --dump"),
            ("[    0.123456] x86/fpu: y", "kernel"),
            ("May 20 16:20:00 h kernel: x", "kernel"),
            ("Nov 30 00:53:20 h unknown: AUDIT1340 device=x", "-o json"),
            ("hello", "other text"),
            ("", "other text"),
        ] {
            let lines: Vec<_> = text.split('\n').map(|line| line.into()).collect();
            let guess = looks_like(&lines);
            assert!(guess.contains(word), "{text:?}: {guess}");
        }
    }
}
