//! What may happen in a history: rolls that are read against what there is, so that every list of
//! them means something and the rest of it means the same when one is left out.

use std::ops::RangeInclusive;

use chrono::TimeDelta;
use lancekeeper::{CleanupOptions, CleanupPolicyOptions};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Numbers pick from lists, counted round.
pub(super) type Roll = u8;

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A writer writes tables of a branch in one publish.
    Write {
        branch: Roll,
        tables: Vec<(Roll, Change)>,
        dies: Option<Death>,
    },
    /// One that died before its publish was only slow.
    Finish {
        which: Roll,
    },
    Branch {
        name: Roll,
        from: Roll,
    },
    /// The authority alone: forks are left.
    Unbranch {
        branch: Roll,
    },
    Merge {
        from: Roll,
        into: Roll,
    },
    Tag {
        version: Roll,
    },
    Untag {
        tag: Roll,
    },
    /// A type is dropped from a branch.
    Drop {
        branch: Roll,
        table: Roll,
    },
    /// A file that nothing refers to.
    Litter {
        chain: Roll,
        is_old: bool,
    },
    /// A writer dies within making its fork.
    HalfFork {
        branch: Roll,
        table: Roll,
    },
    Optimize,
    Cleanup {
        policy: Policy,
        how: How,
    },
}

/// What a writer does to a table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Append(Roll),
    Delete(Roll),
    Update(Roll),
}

/// Where a writer dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// With its fork made, if it needs one.
    Forked,
    /// With its files staged.
    Staged,
    /// With its tables committed.
    Committed,
    /// With the rows of its publish written.
    MidPublish,
}

/// How a cleanup runs.
#[derive(Debug, Clone)]
pub(super) enum How {
    /// To its end.
    Whole,
    /// To a crossing of one of its failpoints.
    Crash { failpoint: Roll, crossing: Roll, end: End },
    /// To its end, with a step done before it deletes anything.
    Meanwhile(Box<Step>),
}

/// How a run ends early.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// The failpoint fails, this time or from now on.
    Fails { lastingly: bool },
    /// Its future is dropped, so many polls later.
    Dropped { polls: Roll },
}

/// What a cleanup is asked.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) keep: Option<u32>,
    pub(super) older_than: Option<Age>,
    pub(super) keep_last: Option<u64>,
    /// In hours of the clients' clock, of which every commit takes one.
    pub(super) keep_within: Option<i64>,
    pub(super) has_writer_window: bool,
    pub(super) has_min_age: bool,
    pub(super) has_min_fork_age: bool,
}

/// An age that versions are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Age {
    Zero,
    /// More than any history takes.
    Large,
    /// So that the oldest pause between versions divides them.
    Between(Roll),
}

impl Policy {
    /// The options it means, with the age that was found for it.
    pub(super) fn options(&self, older_than: Option<TimeDelta>) -> CleanupOptions {
        let age = |has| if has { TimeDelta::days(7) } else { TimeDelta::zero() };
        CleanupOptions {
            policy: CleanupPolicyOptions {
                keep_versions: self.keep,
                // No age is below zero.
                older_than: older_than.and_then(|age| age.to_std().ok()),
            },
            keep_last: self.keep_last,
            // Between two commits of clients.
            keep_within: self.keep_within.map(|hours| TimeDelta::minutes(60 * hours + 30)),
            writer_window: age(self.has_writer_window),
            min_age: age(self.has_min_age),
            min_fork_age: age(self.has_min_fork_age),
            max_delete_percent: 100,
            ..CleanupOptions::default()
        }
    }
}

fn policy() -> impl Strategy<Value = Policy> {
    // Ages between two versions are for histories that are told: on a busy machine the run may look
    // at its clock too late for them.
    let age = prop_oneof![
        3 => Just(Age::Zero),
        1 => Just(Age::Large),
    ];
    let some = prop::bool::weighted;
    (
        prop::option::weighted(0.7, select(vec![1_u32, 1, 2, 4])),
        prop::option::weighted(0.2, age),
        prop::option::weighted(0.2, 0..4_u64),
        prop::option::weighted(0.2, 0..70_i64),
        (some(0.1), some(0.4), some(0.2)),
    )
        .prop_map(|(keep, older_than, keep_last, keep_within, has)| {
            let mut policy = Policy {
                keep,
                older_than,
                keep_last,
                keep_within,
                has_writer_window: has.0,
                has_min_age: has.1,
                has_min_fork_age: has.2,
            };
            if policy.options(None).is_without_rule() && older_than.is_none() {
                policy.keep = Some(1);
            }
            policy
        })
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => any::<Roll>().prop_map(Change::Append),
        1 => any::<Roll>().prop_map(Change::Delete),
        1 => any::<Roll>().prop_map(Change::Update),
    ]
}

fn write() -> impl Strategy<Value = Step> {
    let death = select(vec![Death::Forked, Death::Staged, Death::Committed, Death::MidPublish]);
    let tables = vec((any::<Roll>(), change()), 1..3);
    (any::<Roll>(), tables, prop::option::weighted(0.2, death))
        .prop_map(|(branch, tables, dies)| Step::Write { branch, tables, dies })
}

fn roll_pair(step: fn(Roll, Roll) -> Step) -> impl Strategy<Value = Step> {
    any::<(Roll, Roll)>().prop_map(move |(one, other)| step(one, other))
}

/// Steps that may come in between another's look and its deletions.
fn meanwhile() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => write(),
        3 => any::<Roll>().prop_map(|which| Step::Finish { which }),
        3 => any::<Roll>().prop_map(|version| Step::Tag { version }),
        2 => roll_pair(|name, from| Step::Branch { name, from }),
    ]
}

fn cleanup() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        2 => any::<bool>().prop_map(|lastingly| End::Fails { lastingly }),
        2 => (0..40_u8).prop_map(|polls| End::Dropped { polls }),
    ];
    let crash = (any::<Roll>(), 0..6_u8, end).prop_map(|(failpoint, crossing, end)| How::Crash {
        failpoint,
        crossing,
        end,
    });
    let how = prop_oneof![
        5 => Just(How::Whole),
        3 => crash,
        2 => meanwhile().prop_map(|step| How::Meanwhile(Box::new(step))),
    ];
    (policy(), how).prop_map(|(policy, how)| Step::Cleanup { policy, how })
}

/// What happens between two cleanups.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        14 => write(),
        2 => any::<Roll>().prop_map(|which| Step::Finish { which }),
        4 => roll_pair(|name, from| Step::Branch { name, from }),
        2 => any::<Roll>().prop_map(|branch| Step::Unbranch { branch }),
        5 => roll_pair(|from, into| Step::Merge { from, into }),
        2 => any::<Roll>().prop_map(|version| Step::Tag { version }),
        1 => any::<Roll>().prop_map(|tag| Step::Untag { tag }),
        1 => roll_pair(|branch, table| Step::Drop { branch, table }),
        1 => any::<(Roll, bool)>().prop_map(|(chain, is_old)| Step::Litter { chain, is_old }),
        1 => roll_pair(|branch, table| Step::HalfFork { branch, table }),
        1 => Just(Step::Optimize),
    ]
}

/// Histories of so many parts, each of them steps and a cleanup. The first part is longer: what
/// one can clean up has to be there.
pub(super) fn steps(parts: RangeInclusive<usize>) -> impl Strategy<Value = Vec<Step>> {
    let part = |steps| (vec(step(), steps), cleanup());
    (part(10..20), vec(part(2..10), parts)).prop_map(|(first, others)| {
        let parts = [first].into_iter().chain(others);
        parts.flat_map(|(steps, cleanup)| steps.into_iter().chain([cleanup])).collect()
    })
}
