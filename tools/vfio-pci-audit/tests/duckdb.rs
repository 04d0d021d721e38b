// SPDX-License-Identifier: GPL-2.0

//! The rows of a fleet, in a database that engines of fleets are like: DuckDB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const HOSTS: u64 = 6;
const ROWS: u64 = 2500;

/// Runs what the documentation has on the tables of a folder, and prints what it gives.
const SCRIPT: &str = r#"
import duckdb, json, os, sys
statements = json.load(sys.stdin)
os.chdir(sys.argv[1])
db = duckdb.connect()
for statement in statements["tables"]:
    db.execute(statement)
results = [db.execute(query).fetchall() for query in statements["queries"]]
json.dump(results, sys.stdout, default=str)
"#;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The example of this crate that makes logs up.
fn generator() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let example = profile.join("examples/fleet");
    assert!(example.exists(), "cargo test --example fleet builds it");
    example
}

/// The statements of the documentation: those that make tables, and the queries.
fn documented() -> (Vec<String>, Vec<String>) {
    let page = top().join("Documentation/admin-guide/vfio-pci-audit-tool.rst");
    let page = fs::read_to_string(page).unwrap();
    let code: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("  ") && !line.trim_start().starts_with("--"))
        .collect();
    let code = code.join("\n");
    let mut tables = Vec::new();
    let mut queries = Vec::new();
    for statement in code.split(";\n") {
        if let Some(at) = statement.find("  create ") {
            tables.push(statement[at..].to_owned());
        } else if statement.starts_with("  select ") {
            queries.push(statement.trim_end_matches(';').to_owned());
        }
    }
    (tables, queries)
}

/// The logs of a fleet, exported to a folder for each host.
fn export(folder: &Path, format: &str) {
    for host in 1..=HOSTS {
        let mut log = Command::new(generator())
            .args([host.to_string(), ROWS.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = folder.join(format!("host{host}"));
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
        let status = Command::new(env!("CARGO_BIN_EXE_vfio-pci-audit"))
            .args([
                "export",
                "--root=/nowhere",
                "--format",
                format,
                "-",
                "--out",
            ])
            .arg(&out)
            .args(["--dump", data.join("gpu.lspci").to_str().unwrap()])
            .stdin(log.stdout.take().unwrap())
            .status()
            .unwrap();
        assert!(status.success());
        assert!(log.wait().unwrap().success());
    }
}

/// What statements give in a folder.
fn ask(folder: &Path, tables: &[String], queries: &[String]) -> Vec<Value> {
    let build = std::env::var_os("BUILD").map_or_else(|| top().join("build"), PathBuf::from);
    let mut python = Command::new(build.join("venv/bin/python"))
        .args(["-c", SCRIPT])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let statements = serde_json::json!({"tables": tables, "queries": queries});
    serde_json::to_writer(python.stdin.take().unwrap(), &statements).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The answers on tables of a form: `read_ndjson` or `read_parquet`.
fn answers(format: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    export(folder.path(), format);
    let (tables, mut queries) = documented();
    assert_eq!((tables.len(), queries.len()), (4, 5));
    let tables: Vec<String> = tables
        .into_iter()
        .filter(|table| table.contains(&format!("read_{format}")))
        .map(|table| {
            table
                .replace("'accesses.", "'*/accesses.")
                .replace("'sessions.", "'*/sessions.")
        })
        .collect();
    assert_eq!(tables.len(), 2);
    // Their order is not told where rows are equal.
    queries[2] += " order by all";
    queries.extend(
        [
            "select count(*), count(distinct host), count(vm), count(distinct register) from \
             accesses",
            "select sum(count + lost) from accesses where kind in ('access', 'suppressed')",
            "select sum(reads + writes)::bigint, bool_and(complete), count(distinct vm) from \
             sessions",
            "select columns(*) from accesses order by all limit 5",
            "select first, last, host, device, session, complete, several, recorded, pid, \
             records, lost from sessions order by all limit 5",
        ]
        .map(str::to_owned),
    );
    ask(folder.path(), &tables, &queries)
}

#[test]
#[cfg_attr(not(has_duckdb), ignore = "there is no duckdb in build/venv")]
fn documented_queries_answer() {
    let answers = answers("ndjson");
    // Half of the hosts block writes.
    let bytes = answers[0].as_array().unwrap();
    assert!(
        !bytes.is_empty() && bytes.iter().all(|row| row[1] == HOSTS / 2),
        "{bytes:?}"
    );
    assert_eq!(answers[1].as_array().unwrap().len(), 20);
    assert_eq!(answers[4].as_array().unwrap().len(), 20);
    assert_eq!(answers[3], serde_json::json!([]));
    let counted = &answers[5][0];
    assert_eq!(
        (&counted[0], &counted[1], &counted[2]),
        (
            &(HOSTS * ROWS).into(),
            &HOSTS.into(),
            &(HOSTS * ROWS).into()
        )
    );
    // Of the devices in the dump, some have names.
    assert!(counted[3].as_u64().unwrap() > 0, "{counted}");
    // Both tables have the same accesses.
    let total = |value: &Value| value.to_string().trim_matches('"').parse::<f64>().unwrap();
    assert_eq!(total(&answers[6][0][0]), total(&answers[7][0][0]));
    assert_eq!(answers[7][0][1], true);
}

#[test]
#[cfg(feature = "parquet")]
#[cfg_attr(not(has_duckdb), ignore = "there is no duckdb in build/venv")]
fn parquet_has_what_json_has() {
    assert_eq!(answers("parquet"), answers("ndjson"));
}
