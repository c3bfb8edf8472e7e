//! Random histories of a table: what its indexes hold and answer after each run of ours.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use super::table::Table;

/// How many histories are made; without it, a few.
const CASES: &str = "LANCEKEEPER_BTREE_CASES";
const FEW: u32 = 12;
/// Which ones; without it, the same every time.
const SEED: &str = "LANCEKEEPER_BTREE_SEED";

#[derive(Debug, Clone)]
enum Step {
    Append {
        rows: i64,
        salt: i64,
    },
    /// Every so-manieth row gets a value.
    Update {
        every: i64,
        column: &'static str,
        value: &'static str,
    },
    Upsert {
        every: i64,
        new: i64,
        salt: i64,
    },
    SetNumbers {
        every: i64,
        salt: i64,
    },
    Delete {
        every: i64,
        rest: i64,
    },
    DeleteOld,
    Compact,
    Refresh,
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![
        Just(("number", "3")),
        Just(("number", "number + 1")),
        Just(("number", "NULL")),
        Just(("real", "real * 2.0")),
        Just(("real", "NULL")),
        Just(("word", "concat(word, 'x')")),
        Just(("word", "'w3w3'")),
    ];
    prop_oneof![
        4 => (1..30_i64, 0..20_i64).prop_map(|(rows, salt)| Step::Append { rows, salt }),
        3 => (2..6_i64, value)
            .prop_map(|(every, (column, value))| Step::Update { every, column, value }),
        2 => (2..6_i64, 0..5_i64, 0..20_i64)
            .prop_map(|(every, new, salt)| Step::Upsert { every, new, salt }),
        1 => (2..6_i64, 0..20_i64).prop_map(|(every, salt)| Step::SetNumbers { every, salt }),
        2 => (2..8_i64, 0..8_i64).prop_map(|(every, rest)| Step::Delete { every, rest }),
        1 => Just(Step::DeleteOld),
        2 => Just(Step::Compact),
        3 => Just(Step::Refresh),
    ]
}

/// Does the steps, and looks at every index after each run.
async fn happens(first: i64, steps: &[Step]) {
    let mut next = first;
    let table = Table::indexed(&Vec::from_iter(0..first)).await;
    for step in steps.iter().chain([&Step::Refresh]) {
        let every = |every: i64| Vec::from_iter((0..next).filter(|id| id % every == 0));
        match *step {
            Step::Append { rows, salt } => {
                table.append(&Vec::from_iter(next..next + rows), salt).await;
                next += rows;
            }
            Step::Update { every, column, value } => {
                table.update(&format!("id % {every} = 1"), column, value).await;
            }
            Step::Upsert { every: which, new, salt } => {
                let ids: Vec<i64> = every(which).into_iter().chain(next..next + new).collect();
                table.upsert(&ids, salt).await;
                next += new;
            }
            Step::SetNumbers { every: which, salt } => {
                table.set_numbers(&every(which), salt).await;
            }
            Step::Delete { every, rest } => table.delete(&format!("id % {every} = {rest}")).await,
            Step::DeleteOld => table.delete(&format!("id < {}", next / 2)).await,
            Step::Compact => table.compact().await,
            Step::Refresh => table.refresh().await,
        }
    }
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

#[test]
fn whatever_happened_a_merged_b_tree_is_one_that_is_trained_now() {
    let cases = asked(CASES).map_or(FEW, |cases| u32::try_from(cases).unwrap());
    let config = ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(asked(SEED).unwrap_or(12)),
        failure_persistence: None,
        max_shrink_iters: 64,
        ..ProptestConfig::default()
    };
    let histories = (1..40_i64, vec(step(), 4..12));
    let outcome = TestRunner::new(config).run(&histories, |(first, steps)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(happens(first, &steps));
        Ok(())
    });
    if let Err(why) = outcome {
        panic!("{why}");
    }
}
