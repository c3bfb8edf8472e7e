//! Random schedules of asking, polling, giving up and releasing, against a model that is a
//! list of waiters per key.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::tests::{Waiting, poll, queue, table};
use super::*;

const KEYS: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
enum Step {
    /// A new caller asks for the keys of this bit set; its first poll is a step of its own.
    Ask(u8),
    /// A caller without waiting.
    Try(u8),
    /// The n-th caller, in the order of asking, is polled; without an effect if it has guards.
    Poll(usize),
    /// The n-th caller gives up, or releases its guards.
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => any::<u8>().prop_map(Step::Ask),
        1 => any::<u8>().prop_map(Step::Try),
        6 => any::<usize>().prop_map(Step::Poll),
        3 => any::<usize>().prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 0..80)
}

fn keys_of(set: u8) -> Vec<&'static str> {
    KEYS.into_iter().enumerate().filter(|(n, _)| set & (1 << n) != 0).map(|(_, key)| key).collect()
}

/// One caller as the model sees it.
struct Caller {
    keys: Vec<&'static str>,
    /// How many keys it has queued for; 0 before the first poll.
    queued: usize,
    polled: bool,
}

/// Who is at the head of a key's list has the key, whether it knows it yet or not.
#[derive(Default)]
struct Model {
    callers: BTreeMap<usize, Caller>,
    lists: BTreeMap<&'static str, VecDeque<usize>>,
}

impl Model {
    fn has(&self, id: usize, key: &str) -> bool {
        self.lists.get(key).and_then(VecDeque::front) == Some(&id)
    }

    /// Goes on until it waits; whether it has everything.
    fn poll(&mut self, id: usize) -> bool {
        self.callers.get_mut(&id).unwrap().polled = true;
        loop {
            let caller = &self.callers[&id];
            if caller.queued > 0 && !self.has(id, caller.keys[caller.queued - 1]) {
                return false;
            }
            if caller.queued == caller.keys.len() {
                return true;
            }
            self.lists.entry(caller.keys[caller.queued]).or_default().push_back(id);
            self.callers.get_mut(&id).unwrap().queued += 1;
        }
    }

    fn leave(&mut self, id: usize) {
        self.callers.remove(&id);
        self.lists.values_mut().for_each(|list| list.retain(|other| *other != id));
    }

    /// The keys that somebody has, waits for or will queue for.
    fn keys_in_use(&self) -> BTreeSet<&'static str> {
        self.callers.values().filter(|c| c.polled).flat_map(|c| c.keys.iter().copied()).collect()
    }

    fn first_held(&self, keys: &[&'static str]) -> Option<&'static str> {
        keys.iter().copied().find(|key| self.lists.get(key).is_some_and(|list| !list.is_empty()))
    }
}

/// One caller as the queue sees it.
enum Real<'a> {
    Waiting(Waiting<'a>),
    Done(TableGuards),
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (queues, queue) = queue();
    let mut model = Model::default();
    let mut real: BTreeMap<usize, Real<'_>> = BTreeMap::new();
    let caller = |keys, polled| Caller { keys, queued: 0, polled };
    for (id, step) in steps.into_iter().enumerate() {
        match step {
            Step::Ask(set) => {
                let keys = keys_of(set);
                let mut tables: Vec<_> = keys.iter().map(|key| table(key)).collect();
                // The high bits decide in which order it names them.
                tables.rotate_left(usize::from(set >> 4) % keys.len().max(1));
                model.callers.insert(id, caller(keys, false));
                real.insert(id, Real::Waiting(Box::pin(queue.acquire(tables))));
            }
            Step::Try(set) => {
                let keys = keys_of(set);
                let expected = model.first_held(&keys).map(table);
                match queue.try_acquire(keys.iter().rev().map(|key| table(key))) {
                    Ok(guards) => {
                        prop_assert_eq!(None, expected);
                        model.callers.insert(id, caller(keys, true));
                        prop_assert!(model.poll(id));
                        real.insert(id, Real::Done(guards));
                    }
                    Err(error) => prop_assert_eq!(Some(error.held), expected),
                }
            }
            Step::Poll(_) | Step::Leave(_) if real.is_empty() => {}
            Step::Poll(n) => {
                let id = *real.keys().nth(n % real.len()).unwrap();
                if let Some(Real::Waiting(future)) = real.get_mut(&id) {
                    let guards = poll(future);
                    prop_assert_eq!(guards.is_some(), model.poll(id));
                    if let Some(guards) = guards {
                        real.insert(id, Real::Done(guards));
                    }
                }
            }
            Step::Leave(n) => {
                let id = *real.keys().nth(n % real.len()).unwrap();
                real.remove(&id);
                model.leave(id);
            }
        }
        let held: Vec<_> = real
            .values()
            .filter_map(|caller| match caller {
                Real::Done(guards) => Some(guards.tables().to_vec()),
                Real::Waiting(_) => None,
            })
            .flatten()
            .collect();
        prop_assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len(), "two writers");
        prop_assert_eq!(queue.len(), model.keys_in_use().len());
    }
    // Whoever is still there gets its turn when those before it have left: in the order of
    // the lists, so at every moment somebody can go on.
    while !real.is_empty() {
        let done: Vec<_> = real
            .iter_mut()
            .filter_map(|(id, caller)| match caller {
                Real::Done(_) => Some(*id),
                Real::Waiting(future) => poll(future).map(|_| *id),
            })
            .collect();
        prop_assert!(!done.is_empty(), "deadlock");
        done.iter().for_each(|id| drop(real.remove(id)));
    }
    prop_assert_eq!(queue.len(), 0);
    drop(real);
    drop(queue);
    prop_assert_eq!(queues.len(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_schedules_agree_with_the_model(steps in steps()) {
        run(steps)?;
    }
}
