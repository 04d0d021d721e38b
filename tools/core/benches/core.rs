// SPDX-License-Identifier: GPL-2.0

//! Timings for development of the files that import only `core`: `cargo bench -p pci-audit-core
//! --features bench`. `make bench` counts the cost of an access in the kernel.

// criterion's macro generates an undocumented function.
#![allow(missing_docs)]

use criterion::{black_box, criterion_group, criterion_main, BenchmarkId, Criterion};
use pci_audit::{
    record::{
        Access,
        Line,
        Text, //
    },
    Session, //
};
use pci_audit_core::{
    access::{
        Op,
        Outcome,
        Range,
        CONFIG_SPACE_SIZE, //
    },
    account::{
        Account,
        GROUPS, //
    },
    allow_list::{
        self,
        Id, //
    },
    bucket::{
        Bucket,
        Gate,
        Limit,
        Time, //
    },
    holders::Process,
    ledger::{
        Ledger,
        Limits, //
    },
    run::{
        self,
        UNASSIGNED, //
    },
    touched::Bitmap,
};
use std::convert::Infallible;

const LIMIT: Limit = Limit::per_second(24, 24);

/// A map like that of an e1000e: a header, some capabilities, and two long runs.
fn map() -> [u8; CONFIG_SPACE_SIZE] {
    let mut map = [UNASSIGNED; CONFIG_SPACE_SIZE];
    for (start, end) in [
        (0, 0x40),
        (0xa0, 0xac),
        (0xc8, 0xe8),
        (0xe0, 0x100),
        (0x100, 0x14c),
    ] {
        map[start..end].fill(1);
    }
    map
}

fn range(offset: usize, size: usize) -> Range {
    Range::new(offset, size, CONFIG_SPACE_SIZE).expect("the range is inside")
}

fn runs(c: &mut Criterion) {
    let map = map();
    let mut group = c.benchmark_group("run::first");

    for (name, start, end) in [
        ("assigned dword", 0, 4),
        ("unassigned dword", 0x40, 0x44),
        ("long run", 0x14c, 4096),
    ] {
        group.bench_function(name, |b| b.iter(|| run::first(black_box(&map[start..end]))));
    }
    group.bench_function("whole map", |b| {
        b.iter(|| {
            let mut rest = &black_box(&map)[..];
            let mut stretches = 0;
            while let Some(stretch) = run::first(rest) {
                rest = &rest[stretch.size()..];
                stretches += 1;
            }
            stretches
        })
    });
}

fn lists(c: &mut Criterion) {
    let mut group = c.benchmark_group("allow_list");

    for length in [10u16, 100, 1000, 10_000] {
        let text: Vec<_> = (0..length)
            .map(|n| format!("10de:{:x}@100-1ff", n.wrapping_mul(7919)))
            .collect();
        let text = text.join(",");
        let mut list = Vec::new();
        let parsed = allow_list::parse(text.as_bytes(), |entry| {
            list.push(entry);
            Ok::<(), Infallible>(())
        });
        assert_eq!(parsed, Ok(()));
        let unsorted = list.clone();
        let kept = allow_list::normalize(&mut list);
        list.truncate(kept);
        group.bench_with_input(BenchmarkId::new("find", length), &list, |b, list| {
            b.iter(|| allow_list::find(list, black_box(Id::new(0x10de, 77))))
        });
        group.bench_with_input(
            BenchmarkId::new("normalize", length),
            &unsorted,
            |b, list| {
                b.iter_batched(
                    || list.clone(),
                    |mut list| allow_list::normalize(&mut list),
                    criterion::BatchSize::SmallInput,
                )
            },
        );
    }
}

fn limits(c: &mut Criterion) {
    let mut group = c.benchmark_group("bucket");
    let now = Time {
        ns: 1,
        tick: 0,
        tick_ns: 4_000_000,
    };
    let mut bucket = Bucket::new();
    let mut gate = Gate::new();

    while bucket.take(LIMIT, now.ns, 1).is_ok() {}
    while gate.take(LIMIT, now, 1) {}
    group.bench_function("refusal by the clock", |b| {
        b.iter(|| bucket.take(LIMIT, black_box(1), 1))
    });
    group.bench_function("refusal by ticks", |b| {
        b.iter(|| gate.is_shut(black_box(0)))
    });
}

const EMPTY: Bitmap = [0; CONFIG_SPACE_SIZE / 64];

fn accounts(c: &mut Criterion) {
    let mut group = c.benchmark_group("account");
    let mut account = Account::new(Box::new([EMPTY; GROUPS]));

    for (name, range) in [("dword", range(0x40, 4)), ("everything", range(0, 4096))] {
        group.bench_function(format!("suppressed, {name}"), |b| {
            b.iter(|| account.suppressed(Op::Read, black_box(range), Outcome::Allowed))
        });
    }
}

fn ledgers(c: &mut Criterion) {
    let mut group = c.benchmark_group("ledger");
    let bitmaps = || Box::new([EMPTY; GROUPS]);
    let process = Process {
        tgid: 1,
        started: 1,
        executed: 1,
    };
    let now = Time {
        ns: 1,
        tick: 0,
        tick_ns: 4_000_000,
    };

    for (name, limits) in [
        ("recorded", Limits::new(0, 24)),
        ("suppressed by the clock", Limits::new(1, 24)),
    ] {
        let mut ledger = Ledger::new(bitmaps(), bitmaps());
        ledger.begin(1);
        ledger.named(process);
        group.bench_function(name, |b| {
            b.iter(|| {
                ledger.access(
                    Op::Read,
                    black_box(range(0x40, 4)),
                    Outcome::Allowed,
                    process,
                    limits,
                    now,
                )
            })
        });
    }
}

fn records(c: &mut Criterion) {
    let text = Text {
        device: "0000:01:00.0",
        body: Access {
            op: Op::Read,
            range: range(0x298, 4),
            session: Session(Some(7)),
            outcome: Outcome::Allowed,
        },
    };
    c.bench_function("record", |b| {
        b.iter(|| Line::new().format(black_box(&text)).len())
    });
}

criterion_group!(benches, runs, lists, limits, accounts, ledgers, records);
criterion_main!(benches);
