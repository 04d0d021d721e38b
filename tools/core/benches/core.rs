// SPDX-License-Identifier: GPL-2.0

//! Quick figures for work on the files that import only `core`: `scripts/host-test.sh` tests them,
//! `cargo bench -p pci-audit-core` times them. What an access costs in the kernel, `make bench` counts.

// criterion's macro makes a function that has no documentation.
#![allow(missing_docs)]

use criterion::{black_box, criterion_group, criterion_main, BenchmarkId, Criterion};
use pci_audit_core::{
    access::{
        Op,
        Outcome,
        Range,
        CONFIG_SPACE_SIZE, //
    },
    account::{
        Account,
        GAPS, //
    },
    allow_list::{
        self,
        Id, //
    },
    bucket::{
        Bucket,
        Gate,
        Limit, //
    },
    record::{
        Line,
        Record,
        Text, //
    },
    run::{
        self,
        UNASSIGNED, //
    },
    touched::Bitmap,
};

const LIMIT: Limit = Limit {
    rate: 24,
    burst: 24,
};

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
        let mut ids: Vec<_> = (0..length)
            .map(|n| Id::new(0x10de, n.wrapping_mul(7919)))
            .collect();
        let kept = allow_list::normalize(&mut ids);
        ids.truncate(kept);
        group.bench_with_input(BenchmarkId::new("contains", length), &ids, |b, ids| {
            b.iter(|| allow_list::contains(ids, black_box(Id::new(0x10de, 77))))
        });
        group.bench_with_input(BenchmarkId::new("normalize", length), &ids, |b, ids| {
            b.iter_batched(
                || ids.iter().rev().copied().collect::<Vec<_>>(),
                |mut ids| allow_list::normalize(&mut ids),
                criterion::BatchSize::SmallInput,
            )
        });
    }
}

fn limits(c: &mut Criterion) {
    let mut group = c.benchmark_group("bucket");
    let mut bucket = Bucket::new();
    let mut gate = Gate::new();

    while bucket.take(LIMIT, 1) {}
    while gate.take(LIMIT, 1, 0, 4_000_000) {}
    group.bench_function("refusal by the clock", |b| {
        b.iter(|| bucket.take(LIMIT, black_box(1)))
    });
    group.bench_function("refusal by ticks", |b| {
        b.iter(|| gate.is_shut(black_box(0)))
    });
}

fn accounts(c: &mut Criterion) {
    let mut group = c.benchmark_group("account");
    let empty: Bitmap = [0; CONFIG_SPACE_SIZE / 64];
    let mut account = Account::new(Box::new([empty; GAPS]));

    for (name, range) in [("dword", range(0x40, 4)), ("everything", range(0, 4096))] {
        group.bench_function(format!("suppressed, {name}"), |b| {
            b.iter(|| account.suppressed(Op::Read, black_box(range), Outcome::Allowed))
        });
    }
}

fn records(c: &mut Criterion) {
    let text = Text {
        device: "0000:01:00.0",
        record: Record::Access(Op::Read, range(0x298, 4), Outcome::Allowed),
    };
    c.bench_function("record", |b| {
        b.iter(|| Line::new().format(black_box(&text)).len())
    });
}

criterion_group!(benches, runs, lists, limits, accounts, records);
criterion_main!(benches);
