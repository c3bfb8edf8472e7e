//! Records by themselves: who lives is told by the lock, and what it needs by the text.

use super::*;
use crate::lock::RootLock;

fn holder(operation: &str) -> LockHolder {
    LockHolder::this_process(OperationId::new(operation), "optimize", "2026-01-02T03:04:05Z")
}

fn stages() -> Vec<Stage> {
    let stage = |location: &str, branch: Branch, version| Stage {
        location: location.to_owned(),
        branch,
        version: Version(version),
    };
    vec![
        stage("nodes/a b%\n.lance", Branch::main(), 7),
        stage("", Branch::named("team/ü"), u64::MAX),
    ]
}

fn operations(runs: &[LiveRun]) -> Vec<&str> {
    runs.iter().map(|run| run.operation.as_str()).collect()
}

#[test]
fn a_run_lives_as_long_as_its_record_is_held_and_says_what_it_needs() {
    let root = tempfile::tempdir().unwrap();
    assert_eq!(live_runs(root.path()).unwrap(), []);
    let _lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    let record = RunRecord::begin(root.path(), &holder("01A")).unwrap();
    let live = live_runs(root.path()).unwrap();
    assert_eq!(live[0].needs.as_ref().unwrap().stages, []);
    record.stages(&stages()).unwrap();
    let other = RunRecord::begin(root.path(), &holder("01B")).unwrap();
    let live = live_runs(root.path()).unwrap();
    assert_eq!(operations(&live), ["01A", "01B"]);
    let needs = live[0].needs.as_ref().unwrap();
    assert_eq!(needs.stages, stages());
    assert!(needs.since_micros > 1_600_000_000_000_000, "{needs:?}");
    let said = live[0].refusal().to_string();
    assert!(said.contains("verb optimize") && !said.contains("stages"), "{said}");
    // Fewer and shorter lines leave nothing of the longer text.
    record.stages(&stages()[..1]).unwrap();
    let live = live_runs(root.path()).unwrap();
    assert_eq!(live[0].needs.as_ref().unwrap().stages, stages()[..1]);
    drop(record);
    assert_eq!(operations(&live_runs(root.path()).unwrap()), ["01B"]);
    drop(other);
    assert_eq!(live_runs(root.path()).unwrap(), []);
    assert!(records(root.path()).unwrap().is_empty());
}

#[test]
fn the_record_of_a_dead_run_is_cleared_away_and_that_of_a_live_one_is_not() {
    let root = tempfile::tempdir().unwrap();
    let _lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    let live = RunRecord::begin(root.path(), &holder("01A")).unwrap();
    let dead = live.path.with_file_name("01DEAD.run");
    fs::copy(&live.path, &dead).unwrap();
    assert_eq!(operations(&live_runs(root.path()).unwrap()), ["01A"]);
    clear_dead_runs(root.path()).unwrap();
    assert!(live.path.exists() && !dead.exists());
    assert_eq!(operations(&live_runs(root.path()).unwrap()), ["01A"]);
}

#[test]
fn a_record_that_is_cut_off_is_of_a_live_run_of_which_nothing_is_known() {
    let root = tempfile::tempdir().unwrap();
    let _lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    let record = RunRecord::begin(root.path(), &holder("01A")).unwrap();
    record.stages(&stages()).unwrap();
    let whole = fs::read(&record.path).unwrap();
    for length in 0..whole.len() {
        record.file.set_len(length as u64).unwrap();
        let live = live_runs(root.path()).unwrap();
        assert_eq!((operations(&live), &live[0].needs), (vec!["01A"], &None), "{length}");
        fs::write(&record.path, &whole).unwrap();
    }
    fs::write(&record.path, "schema 3\nsince 1\nend\n").unwrap();
    let newer = live_runs(root.path()).unwrap_err();
    assert!(matches!(newer, LockError::NewerSchema { .. }), "{newer}");
}
