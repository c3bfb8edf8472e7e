//! What holds of every sweep, for graphs with crashed operations made up at random.

use lancekeeper_model::TableKey;
use proptest::prelude::*;

use super::*;

/// One table: who made each version after the first pin, and where the pin is now.
#[derive(Debug, Clone)]
struct World {
    tables: Vec<Chain>,
    sidecars: Vec<Armed>,
}

#[derive(Debug, Clone)]
struct Chain {
    /// The operation that made version `i + 2`; 9 is somebody else.
    makers: Vec<usize>,
    pin: u64,
}

#[derive(Debug, Clone)]
struct Armed {
    operation: usize,
    table: usize,
    ours: bool,
}

fn world() -> impl Strategy<Value = World> {
    let maker = prop_oneof![2 => 0..3_usize, 1 => Just(9)];
    let chain = (proptest::collection::vec(maker, 0..8), 0..8_u64).prop_map(|(makers, pin)| {
        let pin = 1 + pin.min(makers.len() as u64);
        Chain { makers, pin }
    });
    let armed = (0..3_usize, 0..2_usize, prop::bool::weighted(0.8))
        .prop_map(|(operation, table, ours)| Armed { operation, table, ours });
    (proptest::collection::vec(chain, 2), proptest::collection::vec(armed, 0..5))
        .prop_map(|(tables, sidecars)| World { tables, sidecars })
}

impl World {
    fn key(table: usize) -> TableRef {
        TableRef::on_main(TableKey::new(format!("node:{table}")))
    }

    fn inventory(&self) -> SweepInventory {
        let sidecars = self.sidecars.iter().enumerate().map(|(number, armed)| {
            let chain = &self.tables[armed.table];
            SidecarFacts {
                file: format!("{}-{number}", armed.operation),
                operation: Some(OperationId::new(armed.operation.to_string())),
                schema_version: Some(1),
                writer_kind: "Optimize".into(),
                ours: armed.ours,
                readable: Ok(()),
                branch: Branch::main(),
                tables: vec![SidecarTableFacts {
                    table: Self::key(armed.table),
                    expected: Version(1),
                    pin: Some(Version(chain.pin)),
                    head: Version(1 + chain.makers.len() as u64),
                    ahead: chain.ahead().map(|maker| maker == armed.operation).collect(),
                }],
                unread: None,
            }
        });
        SweepInventory { sidecars: sidecars.collect() }
    }

    /// Carries a plan out. `forgetful` leaves the sidecars of published tables behind.
    fn apply(&mut self, plan: &SweepPlan, forgetful: bool) {
        let files: Vec<String> =
            self.inventory().sidecars.into_iter().map(|sidecar| sidecar.file).collect();
        let mut keep = vec![true; files.len()];
        for step in &plan.steps {
            let number = files.iter().position(|file| *file == step.file).expect("a real file");
            match &step.decision {
                SidecarDecision::Publish { table, expected, to } => {
                    let chain = &mut self.tables[self.sidecars[number].table];
                    assert_eq!(*table, Self::key(self.sidecars[number].table));
                    assert_eq!(chain.pin, expected.0, "the publish would be refused");
                    chain.pin = to.0;
                    keep[number] = forgetful;
                }
                SidecarDecision::Discard => keep[number] = false,
                SidecarDecision::LeaveToItsWriter
                | SidecarDecision::Refuse
                | SidecarDecision::Stop => {}
            }
        }
        let mut keep = keep.into_iter();
        self.sidecars.retain(|_| keep.next() == Some(true));
    }
}

impl Chain {
    fn ahead(&self) -> impl Iterator<Item = usize> {
        self.makers[self.pin as usize - 1..].iter().copied()
    }
}

proptest! {
    #[test]
    fn nothing_is_published_beyond_the_leading_run_of_the_operation(world in world()) {
        let plan = plan_sweep(&world.inventory());
        let mut pins: Vec<u64> = world.tables.iter().map(|chain| chain.pin).collect();
        for step in &plan.steps {
            let SidecarDecision::Publish { table, expected, to } = &step.decision else {
                continue;
            };
            let at = usize::from(*table == World::key(1));
            prop_assert_eq!(expected.0, pins[at]);
            prop_assert!(to > expected);
            let operation = step.operation.as_ref().map(OperationId::to_string);
            let makers = &world.tables[at].makers[expected.0 as usize - 1..to.0 as usize - 1];
            prop_assert!(makers.iter().all(|maker| Some(maker.to_string()) == operation));
            pins[at] = to.0;
        }
    }

    #[test]
    fn every_sidecar_gets_one_step(world in world()) {
        let inventory = world.inventory();
        let mut files: Vec<String> =
            inventory.sidecars.iter().map(|sidecar| sidecar.file.clone()).collect();
        files.sort();
        let plan = plan_sweep(&inventory);
        let steps: Vec<String> = plan.steps.iter().map(|step| step.file.clone()).collect();
        prop_assert_eq!(steps, files);
        for (step, ours) in plan.steps.iter().map(|step| {
            let sidecar = inventory.sidecars.iter().find(|sidecar| sidecar.file == step.file);
            (step, sidecar.is_some_and(|sidecar| sidecar.ours))
        }) {
            prop_assert_eq!(step.decision == SidecarDecision::LeaveToItsWriter, !ours);
        }
    }

    #[test]
    fn sweeping_twice_changes_nothing_the_second_time(world in world()) {
        let mut world = world;
        let plan = plan_sweep(&world.inventory());
        world.apply(&plan, false);
        let again = plan_sweep(&world.inventory());
        prop_assert!(
            again.steps.iter().all(|step| step.decision == SidecarDecision::LeaveToItsWriter)
        );
        prop_assert_eq!(again.blocked.len(), plan.blocked.len());
    }

    #[test]
    fn a_sidecar_that_stayed_behind_after_its_publish_is_discarded(world in world()) {
        let mut world = world;
        // One of ours per table, as the protocol has it.
        let mut seen = std::collections::BTreeSet::new();
        world.sidecars.retain(|armed| seen.insert(armed.table));
        let plan = plan_sweep(&world.inventory());
        world.apply(&plan, true);
        let again = plan_sweep(&world.inventory());
        prop_assert!(again.steps.iter().all(|step| matches!(
            step.decision,
            SidecarDecision::Discard | SidecarDecision::LeaveToItsWriter
        )));
    }
}
