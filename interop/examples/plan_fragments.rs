//! Plans a table of so many small fragments, and prints how long the plan alone took, as JSON.
//!
//! For `cargo xtask bench`: there is no table, because reading one would be measured, too.
#![expect(clippy::print_stdout, reason = "the figure is what the bench reads")]

use std::time::Instant;

use anyhow::{Context, Result, bail};
use chrono::DateTime;
use lancekeeper_model::{FragmentFacts, OptimizeOptions, TableFacts, TableKey, TableRef, Version};
use lancekeeper_planner::optimize::{
    Authority, LayoutPolicy, TableInventory, TablePlan, plan_table,
};

fn main() -> Result<()> {
    let count: u64 = std::env::args().nth(1).context("how many fragments?")?.parse()?;
    let fragment = |id: u64| FragmentFacts {
        id,
        // Of many sizes, some with deleted rows.
        physical_rows: 100 + id * 7919 % 900,
        deleted_rows: if id.is_multiple_of(10) { 30 } else { 0 },
        bytes: 50_000 + id * 104_729 % 100_000,
        files: 1,
        coverage: 0,
        held: false,
    };
    let inventory = TableInventory {
        facts: TableFacts {
            table: TableRef::on_main(TableKey::new("many")),
            version: Version(count),
            columns: 5,
            can_copy_pages: true,
            fragments: (0..count).map(fragment).collect(),
            shared_fragments: 0,
            unchosen: std::collections::BTreeSet::new(),
            pages: std::collections::BTreeMap::new(),
            of_other_versions: std::collections::BTreeSet::new(),
        },
        authority: Authority::Head { head: Version(count) },
        sidecar: None,
        ahead_is_ours: false,
    };
    let policy = LayoutPolicy::from_options(&OptimizeOptions::default(), DateTime::UNIX_EPOCH)?;
    let started = Instant::now();
    let plan = plan_table(&inventory, &policy);
    let took = started.elapsed().as_secs_f64();
    let TablePlan::Rewrite(rewrite) = plan else { bail!("{count} small fragments stay: {plan}") };
    println!("{{\"call\": {took}, \"groups\": {}}}", rewrite.groups.len());
    Ok(())
}
