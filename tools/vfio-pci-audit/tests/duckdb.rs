// SPDX-License-Identifier: GPL-2.0

//! The rows of a fleet, in a database that engines of fleets are like: DuckDB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const HOSTS: u64 = 6;
const ROWS: u64 = 2500;

/// Runs the documented statements on the tables of a folder. Prints the answers, the time that each
/// query took in seconds, and the peak of the memory of the process in KiB.
const SCRIPT: &str = r#"
import duckdb, json, os, resource, sys, time
statements = json.load(sys.stdin)
os.chdir(sys.argv[1])
db = duckdb.connect()
# It would go to standard output.
db.execute("set enable_progress_bar = false")
for statement in statements["tables"]:
    db.execute(statement)
answers, seconds = [], []
for query in statements["queries"]:
    start = time.monotonic()
    answers.append(db.execute(query).fetchall())
    seconds.append(time.monotonic() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
json.dump({"answers": answers, "seconds": seconds, "peak": peak}, sys.stdout, default=str)
"#;

/// What DuckDB gave for queries, and what it took.
#[derive(serde::Deserialize)]
struct Outcome {
    answers: Vec<Value>,
    #[cfg(feature = "parquet")]
    seconds: Vec<f64>,
    /// KiB.
    #[cfg(feature = "parquet")]
    peak: u64,
}

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The example of this crate that makes logs up.
fn generator() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let example = profile.join("examples/fleet");
    assert!(example.exists(), "cargo build --example fleet builds it");
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

/// Exports the log of a host of the fleet to a folder of its own.
fn export(folder: &Path, format: &str, host: u64, rows: u64) {
    let mut log = Command::new(generator())
        .args([host.to_string(), rows.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let status = Command::new(env!("CARGO_BIN_EXE_vfio-pci-audit"))
        .args(["export", "--root=/nowhere", "--format", format, "-"])
        .arg("--out")
        .arg(folder.join(format!("host{host}")))
        .arg("--dump")
        .arg(data.join("gpu.lspci"))
        .stdin(log.stdout.take().unwrap())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(log.wait().unwrap().success());
}

fn build() -> PathBuf {
    std::env::var_os("BUILD").map_or_else(|| top().join("build"), PathBuf::from)
}

/// Runs statements in a folder, in a process of their own.
fn ask(folder: &Path, tables: &[String], queries: &[String]) -> Outcome {
    let mut python = Command::new(build().join("venv/bin/python"))
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

/// The statements that make tables of a form, `ndjson` or `parquet`, and the five queries.
fn statements(format: &str) -> (Vec<String>, Vec<String>) {
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
    // Rows that are equal in what the query sorts by come in any order.
    queries[2] += " order by all";
    queries.extend(
        [
            "select count(*), count(distinct host), count(vm), count(distinct register) from \
             accesses",
            "select sum(count + lost) from accesses where kind in ('access', 'suppressed')",
            "select sum(reads + writes)::bigint, bool_and(complete), count(distinct vm) from \
             sessions",
        ]
        .map(str::to_owned),
    );
    (tables, queries)
}

/// The answers on tables of a form: `ndjson` or `parquet`.
fn answers(format: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    for host in 1..=HOSTS {
        export(folder.path(), format, host, ROWS);
    }
    let (tables, mut queries) = statements(format);
    queries.extend(
        [
            "select columns(*) from accesses order by all limit 5",
            "select first, last, host, device, session, complete, several, recorded, pid, \
             records, lost from sessions order by all limit 5",
        ]
        .map(str::to_owned),
    );
    ask(folder.path(), &tables, &queries).answers
}

/// Checks the answers on the records of so many hosts of so many rows.
fn check(answers: &[Value], hosts: u64, rows: u64) {
    // Half of the hosts block writes.
    let bytes = answers[0].as_array().unwrap();
    assert!(
        !bytes.is_empty() && bytes.iter().all(|row| row[1] == hosts / 2),
        "{bytes:?}"
    );
    assert_eq!(answers[1].as_array().unwrap().len(), 20);
    assert_eq!(answers[4].as_array().unwrap().len(), 20);
    assert_eq!(answers[3], serde_json::json!([]));
    let counted = &answers[5][0];
    assert_eq!(
        (&counted[0], &counted[1], &counted[2]),
        (
            &(hosts * rows).into(),
            &hosts.into(),
            &(hosts * rows).into()
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
#[cfg_attr(not(has_duckdb), ignore = "there is no duckdb in build/venv")]
fn documented_queries_answer() {
    check(&answers("ndjson"), HOSTS, ROWS);
}

#[test]
#[cfg(feature = "parquet")]
#[cfg_attr(not(has_duckdb), ignore = "there is no duckdb in build/venv")]
fn parquet_has_what_json_has() {
    assert_eq!(answers("parquet"), answers("ndjson"));
}

/// The size of the files of a folder's folders.
#[cfg(feature = "parquet")]
fn size(folder: &Path) -> u64 {
    let entries = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries(folder)
        .flat_map(|host| entries(&host.path()))
        .map(|file| file.metadata().unwrap().len())
        .sum()
}

/// Prints the time and memory of the documented queries on the records of a fleet. CONTRIBUTING.md
/// has the command.
#[test]
#[cfg(feature = "parquet")]
#[ignore = "takes minutes and a gigabyte of disk"]
fn hundred_million_rows_answer() {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    let count = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (hosts, rows) = (count("HOSTS", 1000), count("ROWS", 100_000));
    let folder = tempfile::tempdir_in(build()).unwrap();
    let start = Instant::now();
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| loop {
                let host = next.fetch_add(1, Ordering::Relaxed);
                if host > hosts {
                    break;
                }
                export(folder.path(), "parquet", host, rows);
            });
        }
    });
    println!(
        "{} rows of {hosts} hosts: {} MB of Parquet, made in {:.0} s",
        hosts * rows,
        size(folder.path()) / 1_000_000,
        start.elapsed().as_secs_f64()
    );
    let (tables, queries) = statements("parquet");
    let mut answers = Vec::new();
    for query in queries {
        let outcome = ask(folder.path(), &tables, std::slice::from_ref(&query));
        println!(
            "{:6.2} s {:5} MiB  {}",
            outcome.seconds[0],
            outcome.peak >> 10,
            query.split_whitespace().collect::<Vec<_>>().join(" ")
        );
        answers.extend(outcome.answers);
    }
    check(&answers, hosts, rows);
}
