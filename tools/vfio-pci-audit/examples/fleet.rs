// SPDX-License-Identifier: GPL-2.0

//! Prints the audit log of a made-up host, on which virtual machines hold devices.
//!
//!     fleet HOST ROWS
//!
//! HOST is its number; ROWS is how many rows of accesses `export` makes of the log. The same
//! numbers give the same log.

use std::env;
use std::io::{self, BufWriter, Write};

use anyhow::{Context, Result};

/// 2025-05-20 00:00 UTC, in milliseconds since 1970.
const START: u64 = 1_747_699_200_000;
const DAY: u64 = 24 * 60 * 60 * 1000;
/// Accesses of a session.
const SESSION: u64 = 200;
/// Devices of a host: of the dumps in tests/data.
const DEVICES: [&str; 4] = [
    "0000:01:00.0",
    "0000:02:00.0",
    "0000:04:00.0",
    "0000:81:00.0",
];
/// What the drivers of guests access, most of them the same.
const PLACES: [(usize, usize); 8] = [
    (0x488, 4),
    (0x298, 1),
    (0x704, 4),
    (0x4c, 4),
    (0x140, 4),
    (0x2f8, 2),
    (0x900, 4),
    (0xffc, 4),
];

/// Numbers that look random: the generator of Knuth's MMIX.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

struct Host<W> {
    number: u64,
    numbers: Numbers,
    time: u64,
    step: u64,
    serial: u64,
    out: W,
}

impl<W: Write> Host<W> {
    fn line(&mut self, kind: &str, text: &str) -> io::Result<()> {
        self.time += self.numbers.below(2 * self.step + 1);
        self.serial += 1;
        writeln!(
            self.out,
            "node=host{:04} type={kind} msg=audit({}.{:03}:{}): {text}",
            self.number,
            self.time / 1000,
            self.time % 1000,
            self.serial
        )
    }

    /// A session of a virtual machine, which makes so many rows of accesses.
    fn session(&mut self, session: u64, rows: u64) -> io::Result<()> {
        let device = DEVICES[self.numbers.below(DEVICES.len() as u64) as usize];
        let (vm, pid) = (self.numbers.below(20), 4000 + session);
        let name = format!(
            "vm=\"vm{vm:02}-of-{:04}\" uuid=8f3b2c11-1c2d-4e5f-{:04x}-0000000000{vm:02x}",
            self.number, self.number
        );
        self.line(
            "PCI",
            &format!(
                "device=\"{device}\" op=open session={session} ppid=1 pid={pid} \
                 auid=4294967295 uid=64055 gid=64055 ses=4294967295 \
                 subj=unconfined tty=(none) comm=\"qemu-system-x86\" \
                 exe=\"/usr/bin/qemu-system-x86_64\" res=1"
            ),
        )?;
        let virt = format!(
            "pid=1510 uid=0 auid=4294967295 ses=4294967295 subj=unconfined \
             msg='virt=kvm op=start reason=booted {name} vm-pid={pid} \
             exe=\"/usr/sbin/libvirtd\" hostname=? addr=? terminal=? res=success'"
        );
        self.line("VIRT_CONTROL", &virt)?;
        let blocks = self.number % 2;
        let mut totals = [0; 4];
        let reported = u64::from(rows > 2) * 2;
        for _ in 0..rows - reported {
            let (offset, size) = PLACES[(self.numbers.below(40).isqrt() as usize) % PLACES.len()];
            let writes = self.numbers.below(4) == 0;
            let blocked = u64::from(writes) & blocks;
            totals[usize::from(writes)] += 1;
            totals[2 + usize::from(writes)] += blocked;
            let op = if writes { "write" } else { "read" };
            self.line(
                "PCI",
                &format!(
                    "device=\"{device}\" op={op} offset={offset:#x} size={size} \
                     session={session} res={}",
                    1 - blocked
                ),
            )?;
        }
        let suppressed = if reported > 0 {
            1 + self.numbers.below(1000)
        } else {
            0
        };
        if reported > 0 {
            self.line(
                "PCI",
                &format!(
                    "device=\"{device}\" op=suppressed access=read \
                     session={session} count={suppressed} lost=0 ranges=1 \
                     res=1"
                ),
            )?;
            self.line(
                "PCI",
                &format!(
                    "device=\"{device}\" op=touched access=read offset=0x300 \
                     size=64 session={session} res=1"
                ),
            )?;
        }
        let [reads, writes, blocked_reads, blocked_writes] = totals;
        self.line(
            "PCI",
            &format!(
                "device=\"{device}\" op=close session={session} reads={} \
                 writes={writes} blocked_reads={blocked_reads} \
                 blocked_writes={blocked_writes} records={} \
                 suppressed={suppressed} lost=0 \
                 res=1",
                reads + suppressed,
                reads + writes
            ),
        )?;
        self.line(
            "VIRT_CONTROL",
            &virt
                .replace("op=start reason=booted", "op=stop reason=shutdown")
                .replace(&format!("vm-pid={pid}"), "vm-pid=-1"),
        )
    }
}

fn main() -> Result<()> {
    let mut words = env::args().skip(1).map(|word| word.parse::<u64>());
    let mut next = || words.next().and_then(Result::ok);
    let (number, rows) = next().zip(next()).context("usage: fleet HOST ROWS")?;
    let mut host = Host {
        number,
        numbers: Numbers(number),
        time: START + number,
        step: DAY / rows.max(1),
        serial: 1000,
        out: BufWriter::with_capacity(1 << 20, io::stdout().lock()),
    };
    let sessions = rows.div_ceil(SESSION);
    for session in 0..sessions {
        let left = rows - session * SESSION;
        host.session(session + 1, left.min(SESSION))?;
    }
    host.out.flush()?;
    Ok(())
}
