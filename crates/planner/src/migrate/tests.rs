//! Plans from every kind of graph, carried out, cut off anywhere, and made again.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use lancekeeper_model::{Branch, ErrorKind, InternalSchema, Stamp, Version};

use super::{
    BranchFacts, Facts, Goal, Key, MigrationPlan, NewestCommits, Phase, Refusal, RunBranch, Step,
    plan_migration,
};

const NEWEST: Goal = Goal::Newest { rebuild: false };

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn branch(name: &str) -> Branch {
    if name == "main" { Branch::main() } else { Branch::named(name) }
}

/// A graph: branches with their stamps, main first; a key from v2 on.
fn graph(stamps: &[(&str, &str)]) -> Facts {
    let of = |(name, stamp): &(&str, &str)| {
        let stamp = Stamp::parse((*stamp != "1").then_some(*stamp));
        let is_v1 = stamp == Stamp::Known(InternalSchema::V1);
        BranchFacts {
            branch: branch(name),
            key: if is_v1 { Key::Absent } else { Key::ObjectId },
            newest: Some(NewestCommits {
                rows: (stamp.number() >= Some(4)).then_some(Version(9)),
                apart: Some(Version(9)),
            }),
            stamp,
        }
    };
    Facts { branches: stamps.iter().map(of).collect(), has_commits: true, ..Facts::default() }
}

fn plan(facts: &Facts, goal: Goal) -> Result<MigrationPlan, Refusal> {
    plan_migration(facts, goal, TimeDelta::minutes(15), now())
}

fn texts(plan: &MigrationPlan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

/// What a step makes of a graph.
fn apply(facts: &mut Facts, step: &Step) {
    let mut stamp = |of: &Branch, number: u32| {
        for branch in facts.branches.iter_mut().filter(|b| b.branch == *of) {
            branch.stamp = Stamp::parse(Some(&number.to_string()));
            branch.key = Key::ObjectId;
        }
    };
    match step {
        Step::Annotate(of) => stamp(of, 2),
        Step::Sweep(of) | Step::Return(of) => stamp(of, 3),
        Step::Fence(of) => stamp(of, 5),
        Step::Release(of) => stamp(of, 4),
        Step::Restamp(of, to) => stamp(of, to.number()),
        Step::DeleteRun(of) => facts.runs.retain(|run| run.branch != *of),
        Step::Begin => facts.journal = Some(Phase::Forward),
        Step::BeginAbort => facts.journal = Some(Phase::Abort),
        Step::End => (facts.journal, facts.damaged_note) = (None, None),
        Step::Copy(_) | Step::Check(_) => {}
    }
}

fn stamps(facts: &Facts) -> BTreeMap<String, String> {
    facts.branches.iter().map(|b| (b.branch.to_string(), b.stamp.to_string())).collect()
}

fn all_at(facts: &Facts, stamp: &str) -> bool {
    stamps(facts).values().all(|found| found == stamp)
}

/// Clients open what main says: while any branch is out of their hands, so is main.
fn is_fenced_whole(facts: &Facts) -> bool {
    let main = &facts.branches[0].stamp;
    let agree = |stamp: &Stamp| match main.known() {
        Some(InternalSchema::V4) => stamp.known() == Some(InternalSchema::V4),
        Some(_) => stamp.known().is_some_and(|schema| schema < InternalSchema::V4),
        None => facts.journal.is_some(),
    };
    facts.branches.iter().all(|branch| agree(&branch.stamp))
}

/// Carries out the first steps, as if it died then.
fn die_after(facts: &mut Facts, steps: &[Step], count: usize) {
    for step in &steps[..count] {
        apply(facts, step);
        assert!(is_fenced_whole(facts), "after {step}: {facts:?}");
    }
}

fn finish(facts: &mut Facts, goal: Goal) {
    let steps = plan(facts, goal).unwrap().steps;
    die_after(facts, &steps, steps.len());
    assert_eq!(plan(facts, Goal::Write).unwrap().steps, [], "nothing is left to be done");
}

fn worlds() -> [Facts; 4] {
    let mut old = graph(&[("main", "1"), ("lazy", "1"), ("work", "1")]);
    old.runs.push(RunBranch { branch: branch("__run__A"), last_used: now() - TimeDelta::hours(1) });
    [
        old,
        graph(&[("main", "3"), ("lazy", "2"), ("work", "3")]),
        graph(&[("main", "3"), ("lazy", "3")]),
        graph(&[("main", "2")]),
    ]
}

#[test]
fn a_v1_graph_gets_its_key_loses_its_runs_and_is_stamped_main_last() {
    let [old, ..] = worlds();
    let plan = plan(&old, Goal::Write).unwrap();
    assert_eq!(
        texts(&plan),
        [
            "lazy: annotate the key, stamp 2",
            "work: annotate the key, stamp 2",
            "main: annotate the key, stamp 2",
            "delete __run__A",
            "lazy: stamp 3",
            "work: stamp 3",
            "main: stamp 3",
        ]
    );
    assert_eq!((plan.from, plan.to), (Stamp::Known(InternalSchema::V1), InternalSchema::V3));
}

#[test]
fn to_v4_main_is_fenced_first_and_released_last() {
    let facts = graph(&[("main", "3"), ("work", "3")]);
    let plan = plan(&facts, NEWEST).unwrap();
    assert_eq!(
        texts(&plan),
        [
            "note that a migration to v4 began",
            "main: stamp 5, which no client writes",
            "work: stamp 5, which no client writes",
            "work: copy the history",
            "main: copy the history",
            "work: check it",
            "main: check it",
            "work: stamp 4",
            "main: stamp 4",
            "remove the note",
        ]
    );
    assert_eq!(plan.locked_out(), [InternalSchema::V3]);
    assert_eq!(plan.stamped(), [&branch("main"), &branch("work")]);
}

#[test]
fn wherever_a_migration_dies_the_next_one_finishes_it_and_a_third_has_nothing_to_do() {
    for (goal, end) in [(Goal::Write, "v3"), (NEWEST, "v4")] {
        for world in worlds() {
            let steps = plan(&world, goal).unwrap().steps;
            for first in 0..=steps.len() {
                let mut facts = world.clone();
                die_after(&mut facts, &steps, first);
                let again = plan(&facts, goal).unwrap().steps;
                for second in 0..=again.len() {
                    let mut facts = facts.clone();
                    die_after(&mut facts, &again, second);
                    finish(&mut facts, goal);
                    assert!(all_at(&facts, end) && facts.journal.is_none(), "{facts:?}");
                    assert!(facts.runs.is_empty());
                }
            }
        }
    }
}

#[test]
fn wherever_it_is_before_main_is_released_it_can_be_taken_back_and_begun_anew() {
    let world = graph(&[("main", "3"), ("lazy", "3"), ("work", "3")]);
    let steps = plan(&world, NEWEST).unwrap().steps;
    let released = steps.iter().position(|s| *s == Step::Release(Branch::main())).unwrap();
    for first in 1..=released {
        let mut facts = world.clone();
        die_after(&mut facts, &steps, first);
        let back = plan(&facts, Goal::Abort).unwrap().steps;
        for second in 0..=back.len() {
            let mut facts = facts.clone();
            die_after(&mut facts, &back, second);
            if facts.journal.is_some() {
                finish(&mut facts, Goal::Abort);
            }
            assert!(all_at(&facts, "v3") && facts.journal.is_none(), "{facts:?}");
            finish(&mut facts, NEWEST);
            assert!(all_at(&facts, "v4"), "{facts:?}");
        }
    }
    let mut facts = world;
    die_after(&mut facts, &steps, released + 1);
    assert_eq!(plan(&facts, Goal::Abort), Err(Refusal::Finished));
}

#[test]
fn while_it_is_not_finished_only_a_migration_may_write() {
    let mut facts = graph(&[("main", "5"), ("work", "3")]);
    facts.journal = Some(Phase::Forward);
    let refusal = plan(&facts, Goal::Write).unwrap_err();
    assert_eq!(refusal.kind(), ErrorKind::RecoveryNeeded);
    assert!(refusal.hint().contains("--abort"));
    facts.journal = Some(Phase::Abort);
    assert_eq!(plan(&facts, NEWEST), Err(Refusal::UnderWay { phase: Phase::Abort }));
    facts.journal = None;
    let refusal = Refusal::NoJournal { branch: Branch::main() };
    for goal in [Goal::Write, NEWEST, Goal::Abort] {
        assert_eq!(plan(&facts, goal), Err(refusal.clone()), "{goal:?}");
    }
}

#[test]
fn a_run_that_may_still_be_at_work_holds_the_migration() {
    let [mut old, ..] = worlds();
    old.runs[0].last_used = now() - TimeDelta::minutes(14);
    let refusal = plan(&old, Goal::Write).unwrap_err();
    assert_eq!(refusal, Refusal::RunInFlight { branch: branch("__run__A"), minutes: 14 });
    assert_eq!(refusal.kind(), ErrorKind::RecoveryNeeded);
    assert!(plan_migration(&old, Goal::Write, TimeDelta::zero(), now()).is_ok());
    // A graph that is at v3 has nothing to do with them.
    let mut newer = graph(&[("main", "3")]);
    newer.runs = old.runs;
    assert_eq!(plan(&newer, Goal::Write).unwrap().steps, []);
}

#[test]
fn what_no_migration_explains_is_refused_by_name() {
    let refused = |stamps, goal| plan(&graph(stamps), goal).unwrap_err().to_string();
    for goal in [Goal::Write, NEWEST, Goal::Abort] {
        let newer = refused(&[("main", "9")], goal);
        assert!(newer.contains("upgrade lancekeeper first"), "{newer}");
        assert!(newer.contains("v9") && newer.contains("v4"), "{newer}");
        assert!(refused(&[("main", "4"), ("work", "9")], goal).contains("branch work"));
        assert!(refused(&[("main", "banana")], goal).contains("\"banana\""));
    }
    for goal in [Goal::Write, NEWEST] {
        assert!(refused(&[("main", "3"), ("work", "4")], goal).contains("branch work"));
        assert!(refused(&[("main", "3"), ("work", "5")], goal).contains("branch work"));
        assert!(refused(&[("main", "4"), ("work", "5")], goal).contains("branch work"));
        let lost = Facts { has_commits: false, ..graph(&[("main", "3")]) };
        assert!(plan(&lost, goal).unwrap_err().to_string().contains("_graph_commits.lance"));
    }
    let mut other = graph(&[("main", "1")]);
    other.branches[0].key = Key::Other("location".to_owned());
    assert_eq!(plan(&other, Goal::Write).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(plan(&graph(&[("main", "3")]), Goal::Abort), Err(Refusal::NothingToAbort));
    let unread = Facts {
        unread: vec![(branch("work"), "no manifest".to_owned())],
        ..graph(&[("main", "3")])
    };
    assert_eq!(plan(&unread, NEWEST).unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(plan(&unread, Goal::Write).unwrap().steps, [], "the others can be written");
}

#[test]
fn a_history_that_is_lost_is_made_anew_only_if_asked_for() {
    let lost = Facts { has_commits: false, ..graph(&[("main", "3")]) };
    assert!(plan(&lost, Goal::Newest { rebuild: true }).is_ok());
}

#[test]
fn stamps_are_written_anew_only_where_they_are_wrong_and_the_content_agrees() {
    let restamp = |stamps, to| plan(&graph(stamps), Goal::Restamp(to)).map(|plan| texts(&plan));
    let v4 = InternalSchema::V4;
    assert_eq!(restamp(&[("main", "9")], v4).unwrap(), ["main: stamp 4"]);
    assert_eq!(
        restamp(&[("main", "9"), ("work", "4"), ("lazy", "9")], v4).unwrap(),
        ["lazy: stamp 4", "main: stamp 4"]
    );
    assert_eq!(
        restamp(&[("main", "3"), ("work", "4")], InternalSchema::V3).unwrap(),
        ["work: stamp 3"]
    );
    assert_eq!(restamp(&[("main", "4")], InternalSchema::V3), Err(Refusal::Consistent));
    assert_eq!(restamp(&[("main", "2"), ("work", "3")], v4), Err(Refusal::Consistent));
    let wrong = restamp(&[("main", "banana")], v4).unwrap_err();
    assert!(matches!(wrong, Refusal::Content { .. }), "{wrong}");
    assert!(restamp(&[("main", "banana")], InternalSchema::V3).is_ok());
}

#[test]
fn a_stamp_that_would_hide_commits_is_refused() {
    let with = |rows: Option<u64>, apart: Option<u64>, to| {
        let mut facts = graph(&[("main", "banana")]);
        let (rows, apart) = (rows.map(Version), apart.map(Version));
        facts.branches[0].newest = Some(NewestCommits { rows, apart });
        plan(&facts, Goal::Restamp(to)).map(|plan| texts(&plan))
    };
    let (v3, v4) = (InternalSchema::V3, InternalSchema::V4);
    // Migrated, and written by clients of v4 since; what v3 kept may be gone.
    for apart in [Some(9), None] {
        let refused = with(Some(12), apart, v3).unwrap_err().to_string();
        assert!(refused.contains("its rows have later commits"), "{refused}");
        assert!(with(Some(12), apart, v4).is_ok());
    }
    // Taken back, and written by clients of v3 since.
    let refused = with(Some(9), Some(12), v4).unwrap_err().to_string();
    assert!(refused.contains("_graph_commits.lance has later commits"), "{refused}");
    assert!(with(Some(9), Some(12), v3).is_ok());
    // Right after either, both say the same.
    assert!(with(Some(9), Some(9), v3).is_ok() && with(Some(9), Some(9), v4).is_ok());
}

#[test]
fn a_note_does_not_stand_in_the_way_of_the_only_way_out() {
    let noted = |stamps: &[(&str, &str)], phase| Facts { journal: Some(phase), ..graph(stamps) };
    let restamp = |facts: &Facts| plan(facts, Goal::Restamp(InternalSchema::V3));
    // Half-way, and a stamp that nobody can read: it can be neither finished nor taken back.
    let facts = noted(&[("main", "5"), ("work", "banana")], Phase::Forward);
    assert!(plan(&facts, NEWEST).is_err() && plan(&facts, Goal::Abort).is_err());
    let steps = texts(&restamp(&facts).unwrap());
    assert_eq!(steps, ["work: stamp 3", "main: stamp 3", "remove the note"]);
    // Half-way and readable: it can be.
    let facts = noted(&[("main", "5"), ("work", "3")], Phase::Forward);
    assert!(matches!(restamp(&facts), Err(Refusal::UnderWay { .. })));
    // Over, but for the note.
    let facts = noted(&[("main", "4"), ("work", "banana")], Phase::Forward);
    assert!(plan(&facts, Goal::Restamp(InternalSchema::V4)).is_err(), "no commits of work");
}

#[test]
fn a_branch_that_an_old_client_made_after_the_migration_is_brought_along() {
    let facts = graph(&[("main", "4"), ("late", "3")]);
    let refused = plan(&facts, Goal::Write).unwrap_err();
    assert!(refused.hint().contains("--to 4"), "{refused}");
    let steps = texts(&plan(&facts, NEWEST).unwrap());
    let of_late: Vec<&String> = steps.iter().filter(|step| step.starts_with("late:")).collect();
    assert_eq!(of_late.len(), 4, "{steps:?}");
    assert!(!steps.iter().any(|step| step.starts_with("main:")), "{steps:?}");
    // Half brought along, too.
    let half = Facts { journal: Some(Phase::Forward), ..graph(&[("main", "4"), ("late", "5")]) };
    let refused = plan(&half, Goal::Write).unwrap_err();
    assert!(refused.hint().contains("--to 4") && plan(&half, NEWEST).is_ok(), "{refused}");
    // One whose commits are those of v4 has a wrong stamp, and nothing else.
    let mut facts = facts;
    facts.branches[1].newest =
        Some(NewestCommits { rows: Some(Version(12)), apart: Some(Version(9)) });
    let refused = plan(&facts, NEWEST).unwrap_err();
    assert!(matches!(&refused, Refusal::Stamp { .. }), "{refused}");
    assert!(refused.hint().contains("--restamp 4"), "{refused}");
}

#[test]
fn a_graph_of_v4_does_not_become_one_of_v3_by_name_and_its_first_write_is_none_of_that() {
    let v4 = graph(&[("main", "4"), ("work", "4")]);
    let refused = plan(&v4, Goal::V3).unwrap_err();
    assert_eq!((&refused, refused.kind()), (&Refusal::Backwards, ErrorKind::Invalid));
    assert!(refused.hint().contains("--abort"), "{refused}");
    assert_eq!(plan(&v4, Goal::Write).unwrap().steps, []);
    for stamps in [&[("main", "2"), ("work", "3")][..], &[("main", "3")]] {
        let facts = graph(stamps);
        assert_eq!(plan(&facts, Goal::V3), plan(&facts, Goal::Write));
    }
    // Half-way it has a way back, which has a name of its own.
    let mut half = graph(&[("main", "5"), ("work", "3")]);
    half.journal = Some(Phase::Forward);
    let refused = plan(&half, Goal::V3).unwrap_err();
    assert!(matches!(refused, Refusal::UnderWay { .. }), "{refused}");
}

#[test]
fn a_note_that_cannot_be_read_is_refused_by_name_and_what_the_hint_says_gets_the_graph_going() {
    let damaged = |stamps: &[(&str, &str)]| {
        let damaged_note = Some("expected value".to_owned());
        Facts { damaged_note, ..graph(stamps) }
    };
    for (stamps, to, word) in [
        (&[("main", "5"), ("work", "5")][..], InternalSchema::V3, "--restamp 3"),
        (&[("main", "5"), ("work", "3")], InternalSchema::V3, "--restamp 3"),
        (&[("main", "3"), ("work", "3")], InternalSchema::V3, "--restamp 3"),
        (&[("main", "4"), ("work", "4")], InternalSchema::V4, "--restamp 4"),
    ] {
        let mut facts = damaged(stamps);
        for goal in [NEWEST, Goal::Abort, Goal::Write] {
            let refused = plan(&facts, goal).unwrap_err();
            assert!(refused.to_string().contains("__maintenance/migration.json"), "{refused}");
            assert!(refused.hint().contains(word), "{}", refused.hint());
            assert_eq!(refused.kind(), ErrorKind::Corrupt);
        }
        let mended = plan(&facts, Goal::Restamp(to)).unwrap();
        assert_eq!(mended.steps.last(), Some(&Step::End), "{stamps:?}");
        mended.steps.iter().for_each(|step| apply(&mut facts, step));
        assert!(all_at(&facts, &to.to_string()), "{facts:?}");
        assert!(plan(&facts, NEWEST).is_ok());
    }
    // It says nothing else of the graph.
    let wrong = plan(&damaged(&[("main", "4"), ("work", "4")]), Goal::Restamp(InternalSchema::V3));
    assert_eq!(wrong, Err(Refusal::Consistent));
}
