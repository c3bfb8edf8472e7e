//! The file lock, between handles of one process and between processes.

use std::env;
use std::io::{BufRead, BufReader, stdin, stdout};
use std::os::unix::fs::symlink;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::*;
use lancekeeper_model::OperationId;
use tempfile::TempDir;

const CHILD_DIRECTORY: &str = "LANCEKEEPER_QUEUE_TEST_CHILD_DIRECTORY";
const CHILD_IS_READY: &str = "the child has the lock";

pub(crate) fn holder(operation: &str) -> LockHolder {
    LockHolder::this_process(OperationId::new(operation), "optimize", "2026-01-02T03:04:05Z")
}

fn root() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn text(root: &TempDir) -> String {
    fs::read_to_string(root.path().join("__maintenance/lock")).unwrap()
}

fn write_text(root: &TempDir, text: &str) {
    fs::create_dir_all(root.path().join("__maintenance")).unwrap();
    fs::write(root.path().join("__maintenance/lock"), text).unwrap();
}

/// Another process that holds the lock of a root until it is killed, or this one ends.
pub(crate) struct OtherProcess {
    pub(crate) child: Child,
    _stdin: ChildStdin,
    _stdout: BufReader<ChildStdout>,
}

impl OtherProcess {
    /// Runs this test binary again, with only
    /// [`child_process_holds_the_lock_until_its_parent_is_gone`] in it.
    pub(crate) fn holding(directory: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("lock::tests::child_process_holds_the_lock_until_its_parent_is_gone")
            .env(CHILD_DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains(CHILD_IS_READY) {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the child ended");
        }
        Self { child, _stdin: stdin, _stdout: stdout }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Does nothing unless [`OtherProcess`] runs it.
#[test]
fn child_process_holds_the_lock_until_its_parent_is_gone() {
    let Some(directory) = env::var_os(CHILD_DIRECTORY) else { return };
    let _lock = RootLock::try_acquire(Path::new(&directory), &holder("01CHILD")).unwrap();
    writeln!(stdout(), "{CHILD_IS_READY}").unwrap();
    let _ = stdin().read_line(&mut String::new());
}

#[test]
fn a_lock_of_another_process_is_seen_and_is_gone_with_it() {
    let root = root();
    let other = OtherProcess::holding(root.path());
    let error = RootLock::try_acquire(root.path(), &holder("01US")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    let LockError::Held { holder: Some(who), path } = &error else { panic!("{error:?}") };
    assert!(who.starts_with(&format!("pid {}, ", other.child.id())), "{who}");
    assert!(
        who.ends_with("operation 01CHILD, verb optimize, started-at 2026-01-02T03:04:05Z"),
        "{who}"
    );
    assert_eq!(
        error.to_string(),
        format!("{} is locked by another keeper ({who})", path.display())
    );

    other.kill();
    let lock = RootLock::try_acquire(root.path(), &holder("01US")).unwrap();
    assert!(text(&root).contains("operation 01US\n"));
    assert!(!text(&root).contains("01CHILD"));
    drop(lock);
}

#[test]
fn two_handles_in_one_process_conflict() {
    let root = root();
    let lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    let error = RootLock::try_acquire(root.path(), &holder("01B")).unwrap_err();
    let LockError::Held { holder: Some(who), .. } = error else { panic!("{error:?}") };
    assert!(who.contains("operation 01A"), "{who}");
    assert!(text(&root).contains("01A"), "the loser wrote into the file");
    drop(lock);
    drop(RootLock::try_acquire(root.path(), &holder("01B")).unwrap());
}

#[test]
fn a_released_lock_names_nobody_and_its_file_stays() {
    let root = root();
    let lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    assert_eq!(lock.path(), root.path().join("__maintenance/lock"));
    drop(lock);
    assert_eq!(text(&root), "schema 2\n");
}

#[test]
fn a_shorter_description_leaves_nothing_of_a_longer_one() {
    let root = root();
    write_text(&root, &format!("schema 1\npid 1\nverb {}\n", "x".repeat(3_000)));
    let _lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    assert_eq!(text(&root), holder("01A").render());
}

#[test]
fn a_lock_file_of_a_newer_schema_is_refused_and_left_alone() {
    for newer in ["schema 3\nnew things\n", "schema 99999999999999999999\n", "schema 1.5\n"] {
        let root = root();
        write_text(&root, newer);
        let error = RootLock::try_acquire(root.path(), &holder("01A")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused);
        let message = error.to_string();
        assert!(message.contains("__maintenance/lock was written by a newer keeper"), "{message}");
        assert!(message.contains(newer.lines().next().unwrap()), "{message}");
        assert_eq!(text(&root), newer);
    }
}

#[test]
fn a_newer_keeper_that_holds_the_lock_is_named_as_such() {
    let root = root();
    write_text(&root, "schema 3\n");
    let theirs = File::open(root.path().join("__maintenance/lock")).unwrap();
    theirs.lock().unwrap();
    let error = RootLock::try_acquire(root.path(), &holder("01A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
}

#[test]
fn a_torn_or_foreign_lock_file_does_not_stop_anybody() {
    for torn in ["", "sche", "schema ", "schema 1", "schema 1\npid", "\0\0\0\0", "4711\n"] {
        let root = root();
        write_text(&root, torn);
        let lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
        assert_eq!(text(&root), holder("01A").render());
        drop(lock);
    }
}

#[test]
fn a_holder_without_description_is_held_all_the_same() {
    let root = root();
    write_text(&root, "");
    let theirs = File::open(root.path().join("__maintenance/lock")).unwrap();
    theirs.lock().unwrap();
    let error = RootLock::try_acquire(root.path(), &holder("01A")).unwrap_err();
    assert!(matches!(error, LockError::Held { holder: None, .. }), "{error:?}");
    assert!(error.to_string().ends_with("(it left no description)"), "{error}");
}

#[test]
fn who_has_the_lock_is_told_to_those_who_do_not_want_it() {
    let root = tempfile::tempdir().unwrap();
    assert!(RootLock::holder(root.path()).unwrap().is_none());
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "asking made something");
    let lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    let held = RootLock::holder(root.path()).unwrap().unwrap();
    assert!(held.to_string().contains("01A"), "{held}");
    lock.check().unwrap();
    drop(lock);
    assert!(RootLock::holder(root.path()).unwrap().is_none());
    // Whoever works on a part of a root has a share, and keeps nobody out of the parts beside it.
    let _share = SharedRootLock::try_acquire(root.path(), &holder("01B")).unwrap();
    assert!(RootLock::holder(root.path()).unwrap().is_none());
}

/// Two commands started together: the second finds the lock taken before the first has written
/// who it is.
#[test]
fn a_holder_that_is_just_writing_its_description_is_waited_for() {
    let root = root();
    write_text(&root, "");
    let theirs = File::open(root.path().join("__maintenance/lock")).unwrap();
    theirs.lock().unwrap();
    let error = thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(30));
            write_text(&root, &holder("01B").render());
        });
        RootLock::try_acquire(root.path(), &holder("01A")).unwrap_err()
    });
    assert!(matches!(error, LockError::Held { holder: Some(_), .. }), "{error:?}");
}

#[test]
fn shares_of_a_lock_keep_the_whole_lock_out_and_each_other_in() {
    let root = root();
    let one = SharedRootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    let other = SharedRootLock::try_acquire(root.path(), &holder("01B")).unwrap();
    drop(one);
    let error = RootLock::try_acquire(root.path(), &holder("01C")).unwrap_err();
    assert!(error.to_string().contains("01B"), "{error}");
    drop(other);
    let whole = RootLock::try_acquire(root.path(), &holder("01C")).unwrap();
    let error = SharedRootLock::try_acquire(root.path(), &holder("01D")).unwrap_err();
    assert!(error.to_string().contains("01C"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(whole);
}

#[test]
fn locking_a_root_that_does_not_exist_does_not_make_it() {
    let root = root();
    let missing = root.path().join("missing");
    let error = RootLock::try_acquire(&missing, &holder("01A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(matches!(error, LockError::Io { .. }), "{error:?}");
    assert!(!missing.exists());
}

#[test]
fn a_refused_permission_is_named() {
    let error = |kind: io::ErrorKind| LockError::Io { path: "/r/lock".into(), source: kind.into() };
    let denied = error(io::ErrorKind::PermissionDenied);
    assert_eq!(denied.to_string(), "failed to lock /r/lock: permission denied");
    assert_eq!(denied.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error(io::ErrorKind::ReadOnlyFilesystem).to_string(),
        "failed to lock /r/lock: the file system is read-only"
    );
    assert_eq!(error(io::ErrorKind::Other).to_string(), "failed to lock /r/lock");
}

#[test]
fn a_lock_whose_file_was_removed_or_replaced_says_so() {
    let root = root();
    let lock = RootLock::try_acquire(root.path(), &holder("01A")).unwrap();
    lock.check().unwrap();
    fs::remove_file(lock.path()).unwrap();
    assert!(matches!(lock.check(), Err(LockError::Replaced { .. })));
    let newcomer = RootLock::try_acquire(root.path(), &holder("01B")).unwrap();
    let error = lock.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    newcomer.check().unwrap();
    drop(lock);
    assert!(text(&root).contains("01B"), "the loser wrote into the winner's file");
}

#[test]
fn a_link_in_place_of_the_lock_file_is_not_written_through() {
    let root = root();
    let precious = root.path().join("precious");
    fs::write(&precious, "data").unwrap();
    fs::create_dir(root.path().join("__maintenance")).unwrap();
    symlink(&precious, root.path().join("__maintenance/lock")).unwrap();
    let error = RootLock::try_acquire(root.path(), &holder("01A")).unwrap_err();
    assert!(matches!(error, LockError::Replaced { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(precious).unwrap(), "data");
}

#[test]
fn descriptions_are_plain_lines_whatever_the_values_contain() {
    let text = LockHolder::this_process(OperationId::new("01\nschema 2"), "a\u{1b}[2Jb", "t");
    let text = text.render();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "schema 2");
    assert_eq!(lines[1], format!("pid {}", std::process::id()));
    assert!(text.ends_with("operation 01 schema 2\nverb a [2Jb\nstarted-at t\n"), "{text}");
    assert_eq!(
        Description::parse("schema 1\npid 1\n\u{1b}[2Jverb x\n"),
        Description::Holder("pid 1, [2Jverb x".to_owned())
    );
}
