//! Directories in which the making of a graph was interrupted: what is there, and what is not.
//!
//! A client makes the schema files, then the tables, then `__manifest`, and on v3 the commit history.
//! Nothing is mended here: a graph without `__manifest` has no pins, and only the client knows its
//! schema language.

use std::fs;
use std::path::Path;

use lancekeeper_store::root::MANIFEST_DIR;

/// What a client writes first.
const SCHEMA: [&str; 3] = ["_schema.pg", "_schema.ir.json", "__schema_state.json"];
/// What it leaves behind while it makes a graph, in newer versions.
const CLAIM: &str = "__init_claim.json";
const HISTORY: &str = "_graph_commits.lance";

/// What there is of a graph that was not made to the end; `None` where there is nothing of one, or a
/// whole one. Blocks on the file system.
pub(super) fn half_made(directory: &Path) -> Option<HalfMade> {
    let is_there = |name: &str| directory.join(name).exists();
    let marks = SCHEMA.into_iter().chain([CLAIM, HISTORY]);
    if is_there(MANIFEST_DIR) || !marks.into_iter().any(is_there) {
        return None;
    }
    let mut there: Vec<String> =
        SCHEMA.into_iter().filter(|name| is_there(name)).map(ToOwned::to_owned).collect();
    let tables = tables(directory);
    // Rows of branches lie in directories of their own.
    let has_rows = tables
        .iter()
        .any(|table| ["data", "tree"].iter().any(|part| has_entries(&table.join(part))));
    if !tables.is_empty() {
        let rows = if has_rows { "some with rows" } else { "all without rows" };
        there.push(format!("{} tables, {rows}", tables.len()));
    }
    let missing = SCHEMA.into_iter().filter(|name| !is_there(name)).chain([MANIFEST_DIR]);
    Some(HalfMade {
        there: there.join(", "),
        missing: missing.collect::<Vec<_>>().join(", "),
        has_rows,
    })
}

/// What there is of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HalfMade {
    /// What was made.
    pub(super) there: String,
    /// What was not.
    pub(super) missing: String,
    /// Whether a table has data: then it is no new graph, but one that lost its `__manifest`.
    pub(super) has_rows: bool,
}

fn tables(directory: &Path) -> Vec<std::path::PathBuf> {
    let of = |kind: &str| fs::read_dir(directory.join(kind)).into_iter().flatten();
    let entries = of("nodes").chain(of("edges")).filter_map(Result::ok);
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Whether something is in a directory. One that cannot be read may be full.
fn has_entries(directory: &Path) -> bool {
    match fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}
