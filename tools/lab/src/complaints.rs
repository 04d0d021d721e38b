// SPDX-License-Identifier: GPL-2.0

//! What a kernel says when it finds itself broken.

/// Any of them in a message is a complaint.
const WORDS: &[&str] = &[
    "BUG:",
    "Oops:",
    "WARNING: ",
    "kernel BUG at",
    "Kernel panic",
    "general protection fault",
    "UBSAN:",
    "KASAN:",
    "blocked for more than",
];

/// The init of the virtual machine, which warns in the kernel's log of what is none of the
/// kernel's.
const OTHERS: &[&str] = &["] virtme-init: ", "] virtme-ng-init: "];

/// Whether a message of the kernel's means that the kernel is broken.
pub fn is_complaint(message: &str) -> bool {
    WORDS.iter().any(|word| message.contains(word))
        && !OTHERS.iter().any(|word| message.contains(word))
}

/// The complaints in a log, each with the number of its line, but for those that have a text which
/// is expected.
pub fn find<'a>(log: &'a str, expected: &[String]) -> Vec<(usize, &'a str)> {
    log.lines()
        .enumerate()
        .filter(|(_, line)| is_complaint(line))
        .filter(|(_, line)| !expected.iter().any(|text| line.contains(text)))
        .map(|(index, line)| (index + 1, line))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[    0.1] Linux version 7.3.4\n\
        [    2.0] virtme-ng-init: WARNING: failed to mount /sys/kernel/config\n\
        [    3.0] WARNING: CPU: 0 PID: 1 at fs/file.c:1\n\
        [    4.0] audit: backlog limit exceeded\n\
        [    5.0] BUG: KASAN: slab-use-after-free in acpi_ut_update\n";

    #[test]
    fn finds_what_the_kernel_complains_of() {
        let found = find(LOG, &[]);
        assert_eq!(
            found.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [3, 5]
        );
    }

    #[test]
    fn leaves_out_what_is_expected() {
        let found = find(LOG, &[" in acpi_".to_owned()]);
        assert_eq!(
            found,
            [(3, "[    3.0] WARNING: CPU: 0 PID: 1 at fs/file.c:1")]
        );
    }
}
