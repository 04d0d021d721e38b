// SPDX-License-Identifier: GPL-2.0

use proptest::prelude::*;

use super::*;
use crate::record;
use crate::session::MAX_HOLDERS;

const DEVICE: &str = r#"device="0000:01:00.0""#;

fn field(number: Option<u64>) -> String {
    number.map_or(String::new(), |number| format!(" session={number}"))
}

fn open(number: Option<u64>, comm: &str, pid: u64) -> String {
    format!(
        "{DEVICE} op=open{} pid={pid} uid=0 comm=\"{comm}\" exe=\"/{comm}\" res=1",
        field(number)
    )
}

fn access(number: Option<u64>) -> String {
    format!("{DEVICE} op=read offset=0x40 size=1{} res=1", field(number))
}

fn close(number: Option<u64>, records: u64) -> String {
    format!(
        "{DEVICE} op=close{} reads={records} writes=0 blocked_reads=0 blocked_writes=0 \
         records={records} suppressed=0 lost=0 res=1",
        field(number)
    )
}

/// A second and a number of the event for each record.
fn sessions(keep: usize, texts: &[String]) -> Sessions {
    let mut sessions = Sessions::new(keep);
    let numbered: Vec<_> = (0..).zip(texts.iter().cloned()).collect();
    add(&mut sessions, &numbered, 0);
    sessions
}

fn add(sessions: &mut Sessions, texts: &[(u64, String)], boot: u64) {
    for (number, text) in texts {
        let line = format!("type=PCI msg=audit({number}.000:{number}): {text}");
        sessions.add(
            &record::parse(line.as_bytes()).unwrap().unwrap(),
            boot,
            true,
        );
    }
}

#[test]
fn one_after_the_other() {
    let sessions = sessions(
        9,
        &[
            open(None, "a", 1),
            access(None),
            access(None),
            close(None, 2),
            open(None, "a", 1),
            access(None),
            close(None, 3),
            open(None, "b", 3),
            access(None),
        ],
    );
    let all = sessions.summary();
    assert_eq!((all.count, all.complete, all.closed), (3, 2, 2));
    assert_eq!(all.missing, 2);
    assert!(sessions.is_open());
    let held: Vec<_> = all
        .holders
        .iter()
        .map(|h| {
            let Held {
                holder,
                sessions,
                recorded,
                first,
                last,
                ..
            } = h;
            (&*holder.comm, *sessions, *recorded, *first, *last)
        })
        .collect();
    assert_eq!(held, [("a", 2, 3, 0, 6000), ("b", 1, 1, 7000, 8000)]);
    assert_eq!(sessions.recent().len(), 3);
}

#[test]
fn starts_and_ends_that_are_not_in_the_log() {
    // The end of one, all of one whose start was refused at first, the start of one, the start of
    // another.
    let sessions = sessions(
        2,
        &[
            access(None),
            close(None, 9),
            access(None),
            open(None, "a", 1),
            close(None, 1),
            open(None, "a", 2),
            open(None, "a", 3),
        ],
    );
    let all = sessions.summary();
    assert_eq!((all.count, all.complete, all.closed), (4, 1, 2));
    // It is not known how much of the first one is gone.
    assert_eq!(all.missing, 0);
    assert_eq!(all.holders[0].recorded, 1);
    let recent: Vec<_> = sessions
        .recent()
        .iter()
        .map(|s| (s.first, s.is_complete()))
        .collect();
    assert_eq!(recent, [(5000, false), (6000, false)]);
}

#[test]
fn the_next_tenants_start_may_overtake_an_end() {
    let (a, b) = (Some(1), Some(2));
    let sessions = sessions(
        9,
        &[
            open(a, "a", 1),
            access(a),
            access(a),
            open(b, "b", 2),
            access(b),
            close(a, 3),
            access(a),
            close(b, 1),
        ],
    );
    let told: Vec<_> = sessions
        .recent()
        .iter()
        .map(|s| (s.number, s.holders[0].pid, s.recorded, s.missing()))
        .collect();
    assert_eq!(told, [(a, Some(1), 3, 0), (b, Some(2), 1, 0)]);
    assert!(!sessions.is_open());
}

#[test]
fn every_holder_of_a_session_is_named_once() {
    let a = Some(7);
    let mut texts = vec![open(a, "parent", 1), access(a), open(a, "child", 2)];
    texts.extend([access(a), open(a, "parent", 1), access(a), close(a, 3)]);
    let one = sessions(9, &texts);
    let names = |sessions: &Sessions| -> Vec<_> {
        let session = sessions.recent()[0];
        session.holders.iter().map(|h| h.comm.clone()).collect()
    };
    assert_eq!(names(&one), ["parent", "child"]);
    let all = one.summary();
    assert_eq!((all.count, all.complete), (1, 1));
    let held: Vec<_> = all
        .holders
        .iter()
        .map(|h| (h.sessions, h.recorded))
        .collect();
    assert_eq!(held, [(1, 3), (1, 3)]);
    // Those of a process that forks for ever are counted.
    let texts: Vec<_> = (0..20).map(|pid| open(a, "x", pid)).collect();
    let forks = sessions(1, &texts);
    assert_eq!(names(&forks).len(), MAX_HOLDERS);
    assert_eq!(forks.summary().by_others, 4);
}

#[test]
fn threads_of_one_process_are_one_holder() {
    let thread = |number, comm| {
        format!(
            "{DEVICE} op=open session={number} pid=42 comm=\"{comm}\" exe=\"/usr/bin/qemu\" \
             subj=svirt res=1"
        )
    };
    let texts = [
        thread(1, "qemu"),
        thread(2, "CPU 0/KVM"),
        thread(2, "CPU 1/KVM"),
    ];
    let all = sessions(1, &texts).summary();
    assert_eq!(all.holders.len(), 1);
    assert_eq!(all.holders[0].sessions, 2);
}

#[test]
fn a_module_that_is_loaded_again_counts_anew() {
    let a = Some(1);
    let loaded_twice = sessions(
        9,
        &[
            open(a, "a", 1),
            close(a, 0),
            open(a, "b", 2),
            access(a),
            close(a, 1),
        ],
    );
    let told: Vec<_> = loaded_twice
        .recent()
        .iter()
        .map(|s| (s.holders[0].pid, s.recorded))
        .collect();
    assert_eq!(told, [(Some(1), 0), (Some(2), 1)]);
    // A record that comes late is of the session that made it.
    let mut late = Sessions::new(9);
    add(
        &mut late,
        &[
            (1, open(a, "a", 1)),
            (3, close(a, 1)),
            (4, open(a, "b", 2)),
            (2, access(a)),
            (6, close(a, 1)),
            (5, access(a)),
        ],
        0,
    );
    let told: Vec<_> = late
        .recent()
        .iter()
        .map(|s| (s.holders[0].pid, s.recorded, s.serials))
        .collect();
    assert_eq!(told, [(Some(1), 1, (1, 3)), (Some(2), 1, (4, 6))]);
    // After a crash there is no end, but another boot.
    let mut crashed = Sessions::new(9);
    add(&mut crashed, &[(1, open(a, "a", 1)), (2, access(a))], 0);
    add(&mut crashed, &[(3, open(a, "a", 1)), (4, access(a))], 1);
    let all = crashed.summary();
    assert_eq!((all.count, all.closed), (2, 0));
    assert_eq!(all.holders.len(), 2);
}

#[test]
fn accesses_that_belong_to_no_session_make_none() {
    let text = format!("{DEVICE} op=read offset=0x40 size=1 session=? res=1");
    let sessions = sessions(9, &[text]);
    assert_eq!(sessions.summary().count, 0);
    assert!(!sessions.is_open());
}

/// The end of several sessions, with as many reads and records of them.
fn close_of_several(reads: u64, records: u64) -> String {
    let suppressed = reads - records;
    format!(
        "{DEVICE} op=close session=? reads={reads} writes=0 blocked_reads=0 blocked_writes=0 \
         records={records} suppressed={suppressed} lost=0 res=1"
    )
}

#[test]
fn an_end_of_several_sessions_ends_those_that_have_none() {
    let (a, b, c) = (Some(1), Some(2), Some(3));
    let mut texts = vec![open(a, "a", 1), access(a), close(a, 1)];
    texts.extend([open(b, "b", 2), access(b), open(c, "c", 3), access(c)]);
    texts.push(close_of_several(130, 3));
    let one = sessions(9, &texts);
    let told = |sessions: &Sessions| -> Vec<_> {
        let recent = sessions.recent().into_iter();
        recent
            .map(|s| (s.number, s.several, sessions.ended_with_others(s)))
            .collect()
    };
    let expected = [
        (a, false, false),
        (b, false, true),
        (c, false, true),
        (None, true, false),
    ];
    assert_eq!(told(&one), expected);
    assert!(!one.is_open());
    let all = one.summary();
    assert_eq!((all.count, all.complete, all.several), (3, 1, 1));
    // The log has fewer of the records than there were, but it is not known of which session.
    assert_eq!(all.missing, 0);
    assert_eq!((all.totals.reads, all.totals.suppressed), (131, 127));
    assert_eq!(all.holders.len(), 3);

    // Records that overtook each other say the same.
    let mut numbered: Vec<_> = (0..).zip(texts).collect();
    numbered.rotate_right(1);
    numbered.swap(4, 6);
    let mut other = Sessions::new(9);
    add(&mut other, &numbered, 0);
    assert_eq!(told(&other), expected);
    assert!(!other.is_open());
}

#[test]
fn an_end_of_several_sessions_is_not_that_of_one_that_goes_on() {
    let (a, b) = (Some(1), Some(2));
    let mut texts = vec![open(a, "a", 1), close_of_several(9, 0)];
    // The next session may have begun before the log had the end of those before it.
    texts.splice(1..1, [open(b, "b", 2), access(b)]);
    assert!(!sessions(9, &texts).is_open());
    texts.push(access(b));
    let goes_on = sessions(9, &texts);
    assert!(goes_on.is_open());
    texts.push(close(b, 3));
    let ended = sessions(9, &texts);
    assert!(!ended.is_open());
    let all = ended.summary();
    assert_eq!((all.count, all.complete, all.missing), (2, 1, 1));
    // That of another boot has nothing to do with it.
    let mut crashed = Sessions::new(9);
    add(&mut crashed, &[(9, close_of_several(9, 0))], 0);
    add(&mut crashed, &[(1, open(a, "a", 1))], 1);
    assert!(crashed.is_open());
}

#[test]
fn what_is_not_asked_for_says_who_it_was_and_no_more() {
    let a = Some(7);
    let mut sessions = Sessions::new(9);
    let texts = [
        open(a, "a", 1),
        access(a),
        access(a),
        close(a, 2),
        open(Some(8), "b", 2),
    ];
    for (number, text) in texts.iter().enumerate() {
        let line = format!("type=PCI msg=audit({number}.000:{number}): {text}");
        let record = record::parse(line.as_bytes()).unwrap().unwrap();
        sessions.add(&record, 0, number == 2);
    }
    let all = sessions.summary();
    assert_eq!((all.count, all.missing), (1, 0));
    assert_eq!(
        (&*all.holders[0].holder.comm, all.holders[0].recorded),
        ("a", 1)
    );
    assert_eq!(sessions.recent().len(), 1);
    assert!(!sessions.is_open());
}

#[test]
fn no_session_is_remembered_if_none_should_be() {
    let sessions = sessions(0, &[open(None, "a", 1), close(None, 0), open(None, "a", 1)]);
    assert_eq!(sessions.recent().len(), 0);
    assert_eq!(sessions.summary().count, 2);
}

#[test]
fn holders_and_live_sessions_are_bounded() {
    let texts: Vec<_> = (0..=2 * MAX_LIVE as u64)
        .map(|n| open(Some(n), &format!("h{n}"), n))
        .collect();
    let sessions = sessions(1, &texts);
    let all = sessions.summary();
    assert_eq!(all.count, texts.len() as u64);
    assert_eq!(all.holders.len(), MAX_HELD);
    assert_eq!(all.by_others, texts.len() as u64 - MAX_HELD as u64);
    assert_eq!(sessions.live.len(), MAX_LIVE);
}

proptest! {
    /// Numbered records say the same in any order.
    #[test]
    fn any_order_will_do(counts in prop::collection::vec(0u64..5, 1..8), seed in any::<u64>()) {
        let mut texts = Vec::new();
        for (number, count) in (1..).zip(&counts) {
            let a = Some(number);
            texts.push(open(a, "q", number));
            texts.extend((0..*count).map(|_| access(a)));
            texts.push(close(a, *count));
        }
        let mut numbered: Vec<_> = (0..).zip(texts).collect();
        let told = |texts: &[(u64, String)]| {
            let mut sessions = Sessions::new(99);
            add(&mut sessions, texts, 0);
            let all = sessions.summary();
            let each: Vec<_> = sessions.recent().into_iter().cloned().collect();
            (all.count, all.complete, all.missing, all.totals, each)
        };
        let expected = told(&numbered);
        prop_assert_eq!(expected.1, counts.len() as u64);
        prop_assert_eq!(expected.2, 0);
        let mut state = seed;
        for at in (1..numbered.len()).rev() {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            numbered.swap(at, (state >> 33) as usize % (at + 1));
        }
        prop_assert_eq!(told(&numbered), expected);
    }
}
