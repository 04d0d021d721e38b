// SPDX-License-Identifier: GPL-2.0

//! The manual: what the command line says of itself, with examples and the files that matter.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::roff::{bold, roman, Roff};
use clap_mangen::Man;

use crate::cli::Cli;

/// Examples of a command: what it is for, and what to type.
type Examples = &'static [(&'static str, &'static str)];

/// Examples of the whole, and of each command.
const EXAMPLES: &[(&str, Examples)] = &[
    (
        "",
        &[
            (
                "Show whether the kernel has the module, and how it is set",
                "vfio-pci-audit status",
            ),
            ("Show who accessed what", "vfio-pci-audit report"),
            ("Find out what blocking would stop", "vfio-pci-audit advise"),
        ],
    ),
    (
        "status",
        &[
            ("The state of this kernel", "vfio-pci-audit status"),
            (
                "The same for a program",
                "vfio-pci-audit status --format json",
            ),
        ],
    ),
    (
        "map",
        &[
            ("A device of this machine", "vfio-pci-audit map 01:00.0"),
            (
                "A device of another machine",
                "ssh host1 sudo lspci -xxxxnn | vfio-pci-audit map --dump - 01:00.0",
            ),
            ("A drawing", "vfio-pci-audit map 01:00.0 --svg map.svg"),
            ("Every device of this machine", "vfio-pci-audit map --all"),
        ],
    ),
    (
        "report",
        &[
            ("Everything in this system's logs", "vfio-pci-audit report"),
            (
                "What was blocked today",
                "vfio-pci-audit report --since today --blocked",
            ),
            (
                "What one virtual machine did, from the logs of a collector",
                "vfio-pci-audit report --vm win11 /var/log/collector",
            ),
            (
                "What the kernel of a machine without an audit daemon printed",
                "ssh host1 dmesg | vfio-pci-audit report -",
            ),
            (
                "The reports of many machines in one",
                "vfio-pci-audit report --merge host1.json host2.json",
            ),
            (
                "A page with time lines and heat maps",
                "vfio-pci-audit report --html report.html",
            ),
        ],
    ),
    #[cfg(feature = "observe")]
    (
        "observe",
        &[(
            "Record on a kernel without the module, until interrupted",
            "vfio-pci-audit observe --log observe.log",
        )],
    ),
    (
        "advise",
        &[
            (
                "What blocking would stop on this machine",
                "vfio-pci-audit advise",
            ),
            (
                "What blocking would stop for one virtual machine",
                "vfio-pci-audit advise --vm win11",
            ),
            (
                "The same for another machine, whose device is named",
                "vfio-pci-audit advise --id host1/01:00.0=8086:10d3 audit.log",
            ),
            (
                "The same with a dump of its devices",
                "vfio-pci-audit advise --dump host1.lspci audit.log",
            ),
        ],
    ),
    (
        "diff",
        &[
            (
                "Before and after an update",
                "vfio-pci-audit diff before.log after.log",
            ),
            (
                "Last week and this week",
                "vfio-pci-audit diff week-ago..this-week this-week..now",
            ),
        ],
    ),
    (
        "export",
        &[
            (
                "Rows of accesses for ClickHouse",
                "vfio-pci-audit export --rows accesses | clickhouse-client -q 'INSERT INTO \
                 accesses FORMAT JSONEachRow'",
            ),
            (
                "Sessions of yesterday, to a file",
                "vfio-pci-audit export --rows sessions --since yesterday --until today > \
                 sessions.ndjson",
            ),
        ],
    ),
    (
        "watch",
        &[
            ("The accesses on this machine", "vfio-pci-audit watch"),
            (
                "Run a program when a write is blocked",
                "vfio-pci-audit watch --blocked --op write --exec /usr/local/sbin/tell-operator",
            ),
            (
                "Wait up to an hour for a write that is blocked",
                "vfio-pci-audit watch --for 1h --fail-on blocked-write",
            ),
            (
                "The log of a collector",
                "vfio-pci-audit watch --format json /var/log/collector/audit.log",
            ),
        ],
    ),
    (
        "known",
        &[
            (
                "The registers of a device that drivers use",
                "vfio-pci-audit known 10de:1eb8 --class 0302",
            ),
            (
                "The exceptions for a device of another machine",
                "vfio-pci-audit known 14e4:165f --class 0200",
            ),
            (
                "The exceptions for the devices of this machine that virtual machines get",
                "vfio-pci-audit known --modprobe > /etc/modprobe.d/vfio-pci-audit.conf",
            ),
        ],
    ),
    (
        "last-boot",
        &[
            (
                "The last accesses before the machine died",
                "vfio-pci-audit last-boot",
            ),
            (
                "Of another machine, with the log of its serial console",
                "vfio-pci-audit last-boot --kernel-log console.log --audit-log audit.log \
                 boot-4.trace",
            ),
        ],
    ),
    (
        "blame",
        &[
            (
                "Which accesses came before errors on this machine",
                "vfio-pci-audit blame",
            ),
            (
                "The same for another machine, from its logs",
                "vfio-pci-audit blame --trace boot-4.trace --audit-log audit.log --dump lspci.txt \
                 console.log",
            ),
            (
                "From rasdaemon's database",
                "vfio-pci-audit blame /var/lib/rasdaemon/ras-mc_event.db",
            ),
        ],
    ),
    (
        "completions",
        &[(
            "For bash",
            "vfio-pci-audit completions bash > /etc/bash_completion.d/vfio-pci-audit",
        )],
    ),
];

const FILES: [(&str, &str); 8] = [
    (
        "/var/log/audit/audit.log*",
        "the logs that are read if none is named, unless /etc/audit/auditd.conf names another",
    ),
    (
        "/sys/module/vfio_pci_audit/parameters/",
        "the toggles, exceptions and limits",
    ),
    (
        "/sys/kernel/debug/vfio_pci_audit/sessions",
        "the open sessions",
    ),
    (
        "/sys/kernel/debug/pci_audit/",
        "the accesses that are kept of the last boot and of this one",
    ),
    (
        "/var/lib/vfio-pci-audit/",
        "the accesses of earlier boots that were saved",
    ),
    (
        "/etc/modprobe.d/vfio-pci-audit.conf",
        "parameters for the next boot",
    ),
    (
        "/sys/bus/pci/devices/BDF/config",
        "a device's configuration space; root reads all of it",
    ),
    ("/usr/share/misc/pci.ids", "the names of devices"),
];

/// Write the page of a command.
pub fn page(command: &Command, out: &mut impl Write) -> io::Result<()> {
    Man::new(command.clone()).render(out)?;
    let mut more = Roff::new();
    let name = command.get_display_name().unwrap_or_default();
    let own = name.strip_prefix("vfio-pci-audit-").unwrap_or_default();
    let examples = EXAMPLES.iter().find(|(of, _)| *of == own);
    if let Some((_, examples)) = examples {
        more.control("SH", ["EXAMPLES"]);
        for (what, line) in *examples {
            more.control("TP", []);
            more.text([roman(format!("{what}:"))]);
            more.text([bold(*line)]);
        }
    }
    more.control("SH", ["FILES"]);
    for (file, what) in FILES {
        more.control("TP", []);
        more.text([bold(file)]);
        more.text([roman(what)]);
    }
    more.control("SH", ["SEE ALSO"]);
    more.text([roman("auditd(8), ausearch(8), lspci(8), journalctl(1)")]);
    more.to_writer(out)
}

/// The whole command line, with full names of commands.
pub fn command() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Write all pages to a folder.
pub fn pages(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let whole = command();
    for command in whole.get_subcommands().chain([&whole]) {
        let name = Man::new(command.clone()).get_filename();
        page(command, &mut File::create(folder.join(name))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An example that does not parse would be a bad one.
    #[test]
    fn examples_are_understood() {
        use clap::Parser;

        for (_, examples) in EXAMPLES {
            for (_, line) in *examples {
                let own = &line[line.find("vfio-pci-audit").unwrap()..];
                let words = own
                    .split_whitespace()
                    .take_while(|word| !matches!(*word, ">" | "|"));
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }

    #[test]
    fn every_command_has_examples() {
        for sub in command().get_subcommands() {
            let name = sub.get_name();
            if name != "man" {
                assert!(EXAMPLES.iter().any(|(of, _)| *of == name), "{name}");
            }
        }
    }
}
