//! What the queue of one root promises, each promise on its own. Futures are polled by hand
//! where the order of events matters.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use lancekeeper_model::{Branch, TableKey};

use super::*;
use crate::lane::WAITERS_MAX;
use crate::queues::Queues;

pub(super) type Waiting<'a> =
    Pin<Box<dyn Future<Output = Result<TableGuards, QueueError>> + Send + 'a>>;

pub(super) fn table(name: &str) -> TableRef {
    TableRef::on_main(TableKey::new(name))
}

fn on_branch(name: &str, branch: &str) -> TableRef {
    TableRef { key: TableKey::new(name), branch: Branch::named(branch) }
}

pub(super) fn queue() -> (Queues, RootQueue) {
    let queues = Queues::new();
    let queue = queues.root(&RootIdentity::new("/root"));
    (queues, queue)
}

fn ask(queue: &RootQueue, tables: impl IntoIterator<Item = TableRef>) -> Waiting<'_> {
    let tables: Vec<_> = tables.into_iter().collect();
    Box::pin(queue.acquire(tables))
}

/// The guards, if the future is done.
pub(super) fn poll(waiting: &mut Waiting<'_>) -> Option<TableGuards> {
    match waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(guards) => Some(guards.unwrap()),
        Poll::Pending => None,
    }
}

/// Asks and takes the place in the queue.
fn waiting(queue: &RootQueue, tables: impl IntoIterator<Item = TableRef>) -> Waiting<'_> {
    let mut future = ask(queue, tables);
    assert!(poll(&mut future).is_none(), "expected to wait");
    future
}

#[test]
fn waiters_are_served_in_the_order_they_came() {
    let (_queues, queue) = queue();
    let mut held = queue.try_acquire([table("a")]).unwrap();
    let mut line: Vec<_> = (0..5).map(|_| waiting(&queue, [table("a")])).collect();
    while !line.is_empty() {
        drop(held);
        // Asked from the back, so that whoever is let in first is let in by the queue.
        for other in line.iter_mut().skip(1).rev() {
            assert!(poll(other).is_none());
        }
        held = poll(&mut line[0]).unwrap();
        drop(line.remove(0));
    }
    assert_eq!(queue.len(), 1);
}

#[test]
fn nobody_overtakes_a_waiter_whose_turn_has_come() {
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("a")]).unwrap();
    let mut first = waiting(&queue, [table("a")]);
    drop(held);
    assert_eq!(queue.try_acquire([table("a")]).unwrap_err().held, table("a"));
    let mut second = waiting(&queue, [table("a")]);
    let held = poll(&mut first).unwrap();
    assert!(poll(&mut second).is_none());
    drop(held);
    assert!(poll(&mut second).is_some());
}

#[test]
fn sets_in_opposite_orders_cannot_wait_for_each_other() {
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("a")]).unwrap();
    let mut up = waiting(&queue, [table("a"), table("b")]);
    let mut down = waiting(&queue, [table("b"), table("a")]);
    assert!(queue.try_acquire([table("b")]).is_ok(), "a later key was taken before an earlier");
    drop(held);
    drop(poll(&mut up).unwrap());
    drop(poll(&mut down).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_with_overlapping_sets_in_opposite_orders_all_finish() {
    const ROUNDS: usize = 3_000;
    let (queues, queue) = queue();
    let writing: Arc<[AtomicBool; 4]> = Arc::default();
    let tasks: Vec<_> = [vec![0, 1, 2], vec![2, 1, 0], vec![3, 1], vec![1, 3, 0]]
        .into_iter()
        .map(|set| {
            let (queue, writing) = (queue.clone(), Arc::clone(&writing));
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let guards =
                        queue.acquire(set.iter().map(|n| table(&n.to_string()))).await.unwrap();
                    for n in &set {
                        assert!(!writing[*n].swap(true, Ordering::SeqCst), "two writers");
                    }
                    tokio::task::yield_now().await;
                    for n in &set {
                        writing[*n].store(false, Ordering::SeqCst);
                    }
                    drop(guards);
                }
            })
        })
        .collect();
    for task in tasks {
        tokio::time::timeout(Duration::from_secs(60), task).await.expect("deadlock").unwrap();
    }
    assert_eq!(queue.len(), 0);
    drop(queue);
    assert_eq!(queues.len(), 0);
}

#[test]
fn a_table_named_twice_is_taken_once() {
    let (_queues, queue) = queue();
    let guards = queue.try_acquire([table("b"), table("a"), table("b"), table("a")]).unwrap();
    assert_eq!(guards.tables(), [table("a"), table("b")]);
    assert_eq!(queue.len(), 2);
    drop(guards);
    let guards = poll(&mut ask(&queue, [table("b"), table("a"), table("b")])).unwrap();
    assert_eq!(guards.tables(), [table("a"), table("b")]);
    assert!(guards.holds(&table("b")));
    assert!(!guards.holds(&on_branch("b", "dev")));
    assert_eq!(guards.root(), queue.identity());
}

#[test]
fn the_empty_set_is_had_at_once() {
    let (_queues, queue) = queue();
    let guards = poll(&mut ask(&queue, [])).unwrap();
    assert!(guards.tables().is_empty());
    assert!(queue.is_empty());
}

#[test]
fn different_tables_and_different_branches_do_not_block() {
    let (_queues, queue) = queue();
    let keys = [table("a"), table("b"), on_branch("a", "dev"), on_branch("a", "exp")];
    let guards: Vec<_> =
        keys.iter().map(|key| poll(&mut ask(&queue, [key.clone()])).unwrap()).collect();
    assert_eq!(queue.len(), keys.len());
    drop(guards);
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_waiter_that_gives_up_leaves_the_others_in_order() {
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("a")]).unwrap();
    let mut first = waiting(&queue, [table("a")]);
    let second = waiting(&queue, [table("a")]);
    let mut third = waiting(&queue, [table("a")]);
    drop(second);
    drop(held);
    assert!(poll(&mut third).is_none());
    drop(poll(&mut first).unwrap());
    drop(poll(&mut third).unwrap());
    drop((first, third));
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_waiter_that_gives_up_just_when_its_turn_has_come_passes_it_on() {
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("a")]).unwrap();
    let first = waiting(&queue, [table("a")]);
    let mut second = waiting(&queue, [table("a")]);
    drop(held);
    drop(first);
    drop(poll(&mut second).unwrap());
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_waiter_that_gives_up_half_way_releases_what_it_had() {
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("b")]).unwrap();
    let halfway = waiting(&queue, [table("a"), table("b"), table("c")]);
    assert_eq!(queue.try_acquire([table("a")]).unwrap_err().held, table("a"));
    drop(halfway);
    drop(queue.try_acquire([table("a"), table("c")]).unwrap());
    assert_eq!(queue.len(), 1);
    drop(held);
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_future_that_was_never_polled_leaves_nothing() {
    let (_queues, queue) = queue();
    drop(ask(&queue, [table("a")]));
    assert_eq!(queue.len(), 0);
}

#[test]
fn trying_takes_everything_or_nothing_and_names_who_is_in_the_way() {
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("b"), on_branch("b", "dev")]).unwrap();
    let error = queue.try_acquire([table("c"), on_branch("b", "dev"), table("a")]).unwrap_err();
    assert_eq!(error.held, on_branch("b", "dev"));
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(error.to_string(), "b@dev is being written by another operation of this process");
    assert_eq!(queue.len(), 2);
    drop(held);
    assert_eq!(queue.len(), 0);
}

#[test]
fn a_full_queue_says_so_and_takes_nothing() {
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("b")]).unwrap();
    let mut line: Vec<_> = (0..WAITERS_MAX).map(|_| waiting(&queue, [table("b")])).collect();

    let mut refused = ask(&queue, [table("a"), table("b")]);
    let Poll::Ready(Err(error)) = refused.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("the queue grows without bound")
    };
    assert_eq!(error, QueueError::Full { lane: Lane::Table(table("b")) });
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(error.to_string(), "failed to queue for b: 10000 are waiting already");
    assert_eq!(queue.len(), 1);
    assert_eq!(queue.try_acquire([table("b")]).unwrap_err().held, table("b"));

    drop(line.pop());
    line.push(waiting(&queue, [table("b")]));
    drop((line, held, refused));
    assert_eq!(queue.len(), 0);
}

#[test]
fn guards_know_the_longest_wait_for_one_key() {
    const WAIT: Duration = Duration::from_millis(5);
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("a")]).unwrap();
    assert_eq!(held.waited(), Duration::ZERO);
    let mut line = waiting(&queue, [table("a"), table("b")]);
    let since = Instant::now();
    while since.elapsed() < WAIT {
        std::hint::spin_loop();
    }
    drop(held);
    let guards = poll(&mut line).unwrap();
    assert!(guards.waited() >= WAIT, "{:?}", guards.waited());
}

#[test]
fn waiting_futures_can_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let (_queues, queue) = queue();
    is_send(&queue.acquire([table("a")]));
    is_send(&queue.acquire_one(table("a")));
}

#[test]
fn who_waits_comes_between_two_turns_and_who_paused_hears_of_it() {
    let (_queues, queue) = queue();
    let held = queue.try_acquire([table("a"), table("b")]).unwrap();
    let mut waiting = waiting(&queue, [table("b")]);
    let mut again = Box::pin(held.pause().resume());
    let mut context = Context::from_waker(Waker::noop());
    assert!(again.as_mut().poll(&mut context).is_pending(), "it overtook who waited");
    let other = poll(&mut waiting).unwrap();
    assert!(again.as_mut().poll(&mut context).is_pending());
    drop(other);
    let Poll::Ready((held, had_others)) = again.as_mut().poll(&mut context) else {
        panic!("nobody has the key")
    };
    assert!(had_others);
    assert_eq!(held.tables(), [table("a"), table("b")]);
    assert!(queue.try_acquire([table("a")]).is_err() && queue.try_acquire([table("b")]).is_err());
}

#[tokio::test]
async fn who_paused_hears_of_others_that_came_and_went_and_of_nobody_else() {
    let (_queues, queue) = queue();
    let held = queue.acquire([table("a")]).await.unwrap();
    let (held, had_others) = held.pause().resume().await;
    assert!(!had_others, "nobody came");
    let paused = held.pause();
    drop(queue.try_acquire([table("b")]).unwrap());
    let (held, had_others) = paused.resume().await;
    assert!(!had_others, "somebody had another key");
    let paused = held.pause();
    for _ in 0..2 {
        drop(queue.try_acquire([table("a")]).unwrap());
    }
    let (held, had_others) = paused.resume().await;
    assert!(had_others, "two came and went");
    let (held, had_others) = held.pause().resume().await;
    assert!(!had_others, "that was before");
    drop(held.pause());
    assert!(queue.is_empty());
}

#[tokio::test]
async fn a_timed_handle_records_each_key_once_for_each_time_it_was_held() {
    let (_queues, queue) = queue();
    let times = HoldTimes::default();
    let timed = queue.clone().timed(times.clone());
    let held = timed.acquire([table("a"), table("b")]).await.unwrap();
    assert_eq!(times.holds().count, 0, "it is still held");
    let (held, _) = held.pause().resume().await;
    assert_eq!(times.holds().count, 2);
    drop(held);
    drop(queue.acquire([table("a")]).await.unwrap());
    assert_eq!(times.holds().count, 4, "another handle is not timed");
    drop(timed.root_turn().await.unwrap());
    assert_eq!(times.holds().count, 4, "the root's lock is no table key");
}
