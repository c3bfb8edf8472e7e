//! The turn in the process and the lock between processes, together.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use lancekeeper_model::{ErrorKind, TableKey, TableRef};

use super::*;
use crate::lock::tests::{OtherProcess, holder};
use crate::queues::Queues;

fn queue() -> RootQueue {
    Queues::new().root(&RootIdentity::new("/root"))
}

#[tokio::test]
async fn verbs_of_one_process_queue_instead_of_failing() {
    let root = tempfile::tempdir().unwrap();
    let queue = queue();
    let (first, second, third) = (holder("01A"), holder("01B"), holder("01C"));
    let held = queue.exclusive_lock(root.path(), &first, Duration::ZERO).await.unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let mut second = pin!(queue.exclusive_lock(root.path(), &second, Duration::ZERO));
    let mut third = pin!(queue.exclusive_lock(root.path(), &third, Duration::ZERO));
    assert!(second.as_mut().poll(&mut context).is_pending());
    assert!(third.as_mut().poll(&mut context).is_pending());
    drop(held);
    assert!(third.as_mut().poll(&mut context).is_pending());
    let Poll::Ready(held) = second.as_mut().poll(&mut context) else { panic!("not its turn") };
    let held = held.unwrap();
    assert_eq!(held.root(), queue.identity());
    held.check().unwrap();
    drop(held);
    let Poll::Ready(held) = third.as_mut().poll(&mut context) else { panic!("not its turn") };
    drop(held.unwrap());
    assert_eq!(queue.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_never_finds_the_file_locked_by_its_predecessor() {
    let root = tempfile::tempdir().unwrap();
    let queue = queue();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let (queue, directory) = (queue.clone(), root.path().to_owned());
            tokio::spawn(async move {
                for _ in 0..200 {
                    let ours = holder("01A");
                    let lock = queue.exclusive_lock(&directory, &ours, Duration::ZERO).await;
                    drop(lock.unwrap());
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(queue.len(), 0);
}

#[tokio::test]
async fn without_time_to_wait_another_process_is_told_at_once() {
    let root = tempfile::tempdir().unwrap();
    let queue = queue();
    let other = OtherProcess::holding(root.path());
    let error =
        queue.exclusive_lock(root.path(), &holder("01A"), Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, LockError::Held { holder: Some(_), .. }), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(queue.len(), 0, "the turn was not given back");

    let wait = LOCK_POLL_INTERVAL * 2 + Duration::from_millis(1);
    let asked = std::time::Instant::now();
    let error = queue.exclusive_lock(root.path(), &holder("01A"), wait).await.unwrap_err();
    assert!(matches!(error, LockError::Held { .. }), "{error:?}");
    assert!(asked.elapsed() >= wait);
    other.kill();
}

#[tokio::test]
async fn whoever_waits_gets_the_lock_when_the_other_process_dies() {
    let root = tempfile::tempdir().unwrap();
    let queue = queue();
    let other = OtherProcess::holding(root.path());
    let ours = holder("01A");
    let mut waiting = pin!(queue.exclusive_lock(root.path(), &ours, Duration::from_secs(60)));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    other.kill();
    drop(waiting.await.unwrap());
}

#[tokio::test]
async fn giving_up_while_another_process_holds_the_lock_gives_the_turn_back() {
    let root = tempfile::tempdir().unwrap();
    let queue = queue();
    let other = OtherProcess::holding(root.path());
    {
        let ours = holder("01A");
        let mut waiting = pin!(queue.exclusive_lock(root.path(), &ours, Duration::from_secs(60)));
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(queue.len(), 1);
    }
    assert_eq!(queue.len(), 0);
    other.kill();
}

#[tokio::test]
async fn the_root_lock_and_table_keys_are_different_things() {
    let root = tempfile::tempdir().unwrap();
    let queue = queue();
    let lock = queue.exclusive_lock(root.path(), &holder("01A"), Duration::ZERO).await.unwrap();
    let guards = queue.acquire_one(TableRef::on_main(TableKey::new("a"))).await.unwrap();
    assert_eq!(queue.len(), 2);
    drop((guards, lock));
    assert_eq!(queue.len(), 0);
}

#[tokio::test]
async fn a_turn_without_a_file_excludes_the_other_verbs_of_the_process() {
    let queue = queue();
    let held = queue.exclusive_turn().await.unwrap();
    held.check().unwrap();
    let mut other = pin!(queue.exclusive_turn());
    assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(held);
    drop(other.await.unwrap());
    assert_eq!(queue.len(), 0);
}
