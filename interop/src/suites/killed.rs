//! What a real client left when it was killed: we recover it as it would itself, and it goes on from there. In `and_us` our
//! recovery is killed, too.

mod and_us;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Lab;
use super::graph::{Exports, Fixture, Graph};
use super::omnigraph::Omnigraph;
use super::report::{Report, Scenario};

/// Rows of each branch after the client's own recovery.
const BRANCHES: &[(&str, usize)] = &[("lazy", 3619), ("main", 7193), ("work", 6619)];
const LOADED: &[(&str, usize)] = &[("lazy", 3619), ("main", 7793), ("work", 6619)];
const NOT_MERGED: &[(&str, usize)] =
    &[("feature", 7823), ("lazy", 3619), ("main", 7235), ("work", 6619)];
const MERGED: &[(&str, usize)] =
    &[("feature", 7823), ("lazy", 3619), ("main", 7865), ("work", 6619)];
const OLD_SCHEMA: &[(&str, usize)] = &[("main", 6010)];
const NEW_SCHEMA: &[(&str, usize)] = &[("main", 4011)];

/// Rows that the client itself reads afterwards, by branch.
type Rows = &'static [(&'static str, usize)];

/// What was killed, for which client, and what there is afterwards.
const KILLED: &[(&str, &str, Rows)] = &[
    ("0.7.0", "killed-load-complete", LOADED),
    ("0.7.0", "killed-load-partial", BRANCHES),
    ("0.7.0", "killed-merge-partial", NOT_MERGED),
    ("0.7.0", "killed-merge-complete", MERGED),
    ("0.7.0", "killed-schema-moved", OLD_SCHEMA),
    ("0.7.0", "killed-schema-staged", NEW_SCHEMA),
    ("0.8.0", "killed-load-partial", BRANCHES),
    ("0.8.0", "killed-mutation", BRANCHES),
    ("0.8.0", "killed-optimize", BRANCHES),
    ("0.8.0", "killed-merge-armed", NOT_MERGED),
    ("0.8.0", "killed-merge-partial", NOT_MERGED),
    ("0.8.0", "killed-merge-complete", NOT_MERGED),
    ("0.8.0", "killed-merge-confirmed", MERGED),
    ("0.8.0", "killed-schema-locked", OLD_SCHEMA),
    ("0.8.0", "killed-schema-moved", OLD_SCHEMA),
    ("0.8.0", "killed-schema-staged", NEW_SCHEMA),
    ("0.8.0", "killed-schema-published", NEW_SCHEMA),
    ("0.8.0", "killed-schema-promoted", NEW_SCHEMA),
];
/// The lock of a schema apply, which no client takes away.
const LOCK: &str = "__manifest/_refs/branches/__schema_apply_lock__.json";
/// The exit code of a preview that found something.
const RECOVERY_NEEDED: i32 = 12;
const CONFIRMED: [&str; 3] = ["--assume-dead", "all", "--confirm"];

pub(super) fn run(report: &mut Report, lab: &Lab) -> Result<()> {
    for client in &lab.clients.omnigraph {
        for (_, suffix, branches) in KILLED.iter().filter(|(of, ..)| *of == client.version) {
            let fixture = Fixture::of_client(suffix, branches);
            let graph = Graph::unpacked(lab, client, fixture)?;
            let name = format!("recover {}", fixture.name(client));
            // What failed is in the report.
            let _: Option<()> = check(&graph, client, &mut report.scenario(&client.title(), &name));
        }
    }
    Ok(())
}

fn check(graph: &Graph<'_>, client: &Omnigraph, scenario: &mut Scenario<'_>) -> Option<()> {
    let path = graph.path();
    let schema = scenario.check("the client recovers it by itself", || {
        // Refused where the lock is, but what was unfinished is resolved before that is looked at.
        client.load(&path, "main", &super::graph::new_rows("itself").0).ok();
        client.schema(&path)
    })?;
    scenario.check("a preview changes nothing", || {
        graph.unpack()?;
        let before = files(&path)?;
        let outcome = start(graph, &["--assume-dead", "all"])?;
        let is_told = outcome.status.code() == Some(RECOVERY_NEEDED);
        ensure!(is_told, "it is not told: {}", outcome.describe());
        ensure!(files(&path)? == before, "files have changed");
        Ok(())
    })?;
    let mut expected =
        scenario.check("lancekeeper recover: the client's rows and schema", || {
            let outcome = start(graph, &CONFIRMED)?;
            ensure!(outcome.status.success(), "{}", outcome.describe());
            expect_clean(graph)?;
            ensure!(
                client.schema(&path)? == schema,
                "the schema is not what the client makes of it"
            );
            graph.read_fixture()
        })?;
    let recovered = expected.clone();
    scenario.check("no drift", || graph.expect_no_drift())?;
    scenario.check("a second recover has nothing to do", || {
        let before = files(&path)?;
        let outcome = start(graph, &CONFIRMED)?;
        ensure!(outcome.status.success(), "{}", outcome.describe());
        ensure!(files(&path)? == before, "files have changed");
        Ok(())
    })?;
    scenario.check("the client loads", || graph.load("main", "loadedafterwards", &mut expected))?;
    scenario.check("lancekeeper optimize", || {
        graph.lab.keeper.optimize_all(&path)?.expect_packed("main")?;
        graph.expect_unchanged(&expected)
    })?;
    scenario.check("the client optimizes", || {
        client.optimize(&path)?;
        unchanged_at_rest(graph, &expected)
    })?;
    and_us::check(graph, client, (&recovered, &schema), scenario);
    Some(())
}

fn start(graph: &Graph<'_>, options: &[&str]) -> Result<super::keeper::Outcome> {
    graph.lab.keeper.start_verb("recover", &graph.path(), options, None)?.wait()
}

/// Nothing is unfinished any more, and nothing stands in a writer's way.
fn expect_clean(graph: &Graph<'_>) -> Result<()> {
    let sidecars = graph.sidecars()?;
    ensure!(sidecars.is_empty(), "{sidecars:?} are left");
    ensure!(!graph.path().join(LOCK).exists(), "the lock is still there");
    let names = super::graph::file_names(&graph.path())?;
    let staged: Vec<_> = names.iter().filter(|name| name.ends_with(".staging")).collect();
    ensure!(staged.is_empty(), "{staged:?} are left");
    Ok(())
}

fn unchanged_at_rest(graph: &Graph<'_>, expected: &Exports) -> Result<()> {
    graph.expect_unchanged(expected)?;
    graph.expect_no_drift()
}

/// Every file of the graph, but those we keep for ourselves.
pub(super) fn files(graph: &Path) -> Result<BTreeMap<String, u64>> {
    fn walk(directory: &Path, prefix: &str, into: &mut BTreeMap<String, u64>) -> Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let inside = format!("{prefix}{name}");
            if name == "__maintenance" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                walk(&entry.path(), &format!("{inside}/"), into)?;
            } else {
                into.insert(inside, entry.metadata()?.len());
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    walk(graph, "", &mut found).with_context(|| graph.display().to_string())?;
    Ok(found)
}
