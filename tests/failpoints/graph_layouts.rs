//! `optimize --layout` on a graph dies: every reader reads what it read, nothing drifts, and the next run ends what was
//! begun. What a table is to be kept in is written down beside the graph before the first commit, so that a plain run
//! goes on with it.

use std::path::Path;

use lancekeeper::OptimizeOptions;
use lancekeeper_store::failpoint;
use lancekeeper_testkit::invariants::names;

use crate::child::{Death, SMALL_ROWS};
use crate::world::{KNOWS, WORKS_AT, World};

/// Where a run dies, and whether it has written down by then which layout one of the tables is to have.
const DEATHS: [(&str, bool); 6] = [
    (failpoint::OPTIMIZE_STAGED_PRE_ENTER, false),
    (failpoint::OPTIMIZE_ARMED_PRE_COMMIT, true),
    (failpoint::OPTIMIZE_RESERVED_PRE_REWRITE, true),
    (failpoint::OPTIMIZE_REWRITTEN_PRE_NEXT, true),
    (failpoint::OPTIMIZE_POST_PHASE_B, true),
    (failpoint::OPTIMIZE_PUBLISHED_PRE_DISARM, true),
];

fn options(layout: Option<&str>) -> OptimizeOptions {
    OptimizeOptions {
        layout: layout.map(|layout| layout.parse().unwrap()),
        target_rows: SMALL_ROWS,
        ..OptimizeOptions::default()
    }
}

fn documents(world: &World) -> usize {
    names(&Path::new(world.uri()).join("__maintenance/layouts")).unwrap().len()
}

#[tokio::test]
async fn a_run_that_lays_edges_out_may_die_anywhere() {
    for (name, is_remembered) in DEATHS {
        let mut world = World::v4().await;
        world.dies(Death::at(name, 1).laying_out("graph")).await;
        assert_eq!(documents(&world) > 0, is_remembered, "{name}");
        world.expects_unnamed_files().await;
        // What is remembered is gone on with unasked; the rest is asked for again.
        for layout in [None, Some("graph")] {
            let report = world.optimize_with(&options(layout)).await;
            assert_eq!(report.exit_code().number(), 0, "{name}: {report:#?}");
            world.reads_as_before().await;
        }
        world.is_at_rest().await;
        assert_eq!(documents(&world), 2, "{name}");
        let report = world.optimize_with(&options(None)).await;
        for table in &report.roots[0].tables {
            assert!(!table.committed && table.error.is_none(), "{name}: {table:#?}");
            if [KNOWS, WORKS_AT].contains(&table.table_key.as_str()) {
                let layout = table.layout.as_ref().unwrap();
                let depth = layout.after.as_ref().unwrap().depth;
                assert!(layout.layout == "graph" && depth < 4.0, "{name}: {table:#?}");
            }
        }
        assert_eq!(report.roots[0].published, 0, "{name}: {report:#?}");
    }
}
