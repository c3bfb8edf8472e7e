//! Which handles share a queue, and for how long a queue exists.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use lancekeeper_model::{TableKey, TableRef};

use super::*;

fn table() -> TableRef {
    TableRef::on_main(TableKey::new("node:Person"))
}

#[test]
fn handles_on_the_same_root_share_a_queue() {
    let queues = Queues::new();
    let one = queues.root(&RootIdentity::new("/data/graph"));
    let other = queues.clone().root(&RootIdentity::new("/data/graph"));
    let held = one.try_acquire([table()]).unwrap();
    assert_eq!(other.try_acquire([table()]).unwrap_err().held, table());
    drop(held);
    assert!(other.try_acquire([table()]).is_ok());
}

#[test]
fn different_roots_do_not_share_a_queue() {
    let queues = Queues::new();
    let one = queues.root(&RootIdentity::new("/data/graph"));
    let other = queues.root(&RootIdentity::new("/data/graph2"));
    let _held = one.try_acquire([table()]).unwrap();
    assert!(other.try_acquire([table()]).is_ok());
    assert_eq!(queues.len(), 2);
}

#[test]
fn the_process_has_one_registry() {
    let identity = RootIdentity::new("/data/the_process_has_one_registry");
    let _held = Queues::process().root(&identity).try_acquire([table()]).unwrap();
    assert!(Queues::process().root(&identity).try_acquire([table()]).is_err());
}

#[test]
fn a_queue_lives_as_long_as_a_guard_and_no_longer() {
    let queues = Queues::new();
    let identity = RootIdentity::new("/data/graph");
    let held = queues.root(&identity).try_acquire([table()]).unwrap();
    assert_eq!(queues.len(), 1);
    assert!(queues.root(&identity).try_acquire([table()]).is_err());
    drop(held);
    assert!(queues.is_empty());
}

#[test]
fn a_queue_may_outlive_its_registry() {
    let queue = Queues::new().root(&RootIdentity::new("/data/graph"));
    drop(queue.try_acquire([table()]).unwrap());
    assert!(queue.is_empty());
}

#[test]
fn handles_that_come_and_go_on_many_threads_never_get_two_queues() {
    let queues = Queues::new();
    let identity = RootIdentity::new("/data/graph");
    let writing = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    if let Ok(_held) = queues.root(&identity).try_acquire([table()]) {
                        assert!(!writing.swap(true, Ordering::SeqCst), "two writers");
                        thread::yield_now();
                        writing.store(false, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert!(queues.is_empty());
}
