// SPDX-License-Identifier: GPL-2.0

//! What `status --format openmetrics` gives a collector.

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{all, machine, run};

/// A machine with two open sessions, one of which is of a virtual machine whose name is unusual.
fn metrics() -> String {
    let parameters = "sys/module/vfio_pci_audit/parameters";
    let parameter = |name: &str| format!("{parameters}/{name}");
    let machine = machine(&[
        ("proc/sys/kernel/osrelease", "7.3.4\n"),
        (&parameter("block_pci_unassigned_read"), "N\n"),
        (&parameter("block_pci_unassigned_write"), "Y\n"),
        (&parameter("uaccess_allow_ids"), "10de:1eb8,8086:0a54\n"),
        (&parameter("audit_rate"), "24\n"),
        (&parameter("audit_burst"), "24\n"),
        (
            "sys/kernel/debug/vfio_pci_audit/sessions",
            "device=0000:01:00.0 state=open reads=7 writes=2 blocked_reads=0 blocked_writes=2 \
             records=8 suppressed=1 lost=0\n\
             device=0000:02:00.0 state=open reads=1 writes=0 blocked_reads=1 blocked_writes=0 \
             records=1 suppressed=0 lost=0\n",
        ),
        ("sys/bus/pci/devices/0000:01:00.0/x", ""),
        ("proc/42/fd/x", ""),
        (
            "proc/42/cmdline",
            "/usr/bin/qemu\0-name\0guest=a \"b\" \\c\0",
        ),
    ]);
    let at = |name: &str| machine.path().join(name);
    let link = std::os::unix::fs::symlink::<&str, std::path::PathBuf>;
    link(
        "../../x/iommu_groups/17",
        at("sys/bus/pci/devices/0000:01:00.0/iommu_group"),
    )
    .unwrap();
    link("/dev/vfio/17", at("proc/42/fd/7")).unwrap();
    let root = machine.path().to_str().unwrap();
    let output = run(&["status", "--format=openmetrics", "--root", root]);
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

const VM: &str = r#"vm="a \"b\" \\c",uuid="""#;

#[test]
fn what_a_collector_gets() {
    const NO_VM: &str = "vm=\"\",uuid=\"\"";
    let text = metrics();
    let accesses = "vfio_pci_audit_accesses_total";
    for line in [
        "vfio_pci_audit_loaded 1".to_owned(),
        "vfio_pci_audit_blocking{op=\"read\"} 0".to_owned(),
        "vfio_pci_audit_blocking{op=\"write\"} 1".to_owned(),
        "vfio_pci_audit_exceptions 2".to_owned(),
        "vfio_pci_audit_rate_limit 24".to_owned(),
        format!("vfio_pci_audit_sessions{{device=\"0000:01:00.0\",{VM}}} 1"),
        format!("{accesses}{{device=\"0000:01:00.0\",{VM},op=\"read\",result=\"allowed\"}} 7"),
        format!("{accesses}{{device=\"0000:01:00.0\",{VM},op=\"write\",result=\"blocked\"}} 2"),
        format!("{accesses}{{device=\"0000:02:00.0\",{NO_VM},op=\"read\",result=\"blocked\"}} 1"),
        format!("vfio_pci_audit_suppressed_total{{device=\"0000:01:00.0\",{VM}}} 1"),
    ] {
        assert!(text.lines().any(|other| other == line), "no {line}: {text}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
    let nothing = all(&["status", "--format=openmetrics", "--root=/nowhere"]);
    assert!(nothing.contains("vfio_pci_audit_loaded 0\n"), "{nothing}");
    assert!(nothing.ends_with("exit code 1\n"), "{nothing}");
}

#[test]
#[cfg_attr(
    not(has_prometheus_client),
    ignore = "this machine has no python3-prometheus-client"
)]
fn prometheus_parser_takes_them() {
    const SCRIPT: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
for family in parse(sys.stdin.read()):
    for sample in family.samples:
        print(family.type, sample.name, sorted(sample.labels.items()), float(sample.value))
";
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(metrics().as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let line = r#"counter vfio_pci_audit_accesses_total [('device', '0000:01:00.0'), ('op', 'read'), ('result', 'allowed'), ('uuid', ''), ('vm', 'a "b" \\c')] 7.0"#;
    assert!(text.lines().any(|other| other == line), "{text}");
    assert_eq!(
        text.matches("gauge vfio_pci_audit_sessions ").count(),
        2,
        "{text}"
    );
}
