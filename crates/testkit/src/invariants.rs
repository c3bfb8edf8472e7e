//! What must hold of a graph after every run, crash and recovery.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use lance::Dataset;
use lance::dataset::builder::DatasetBuilder;
use lance::index::DatasetIndexExt;
use lancekeeper_manifest::Graph;
use lancekeeper_model::Branch;
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;

/// Checks a graph at rest: every pinned table of main has HEAD == pin, no sidecar, no journal
/// entry, no record of a run, and no data or index file that no version explains.
///
/// # Errors
///
/// The first invariant that does not hold.
pub async fn check_graph(uri: &str) -> Result<()> {
    let root = recognise(uri)?;
    let graph = Graph::open(&Tables::new(), &root).await?;
    let snapshot = graph.snapshot(&Branch::main()).await?;
    for pin in &snapshot.pins {
        let table = DatasetBuilder::from_uri(root.address_of(&pin.location)).load().await?;
        let head = table.manifest().version;
        ensure!(head == pin.version.0, "{}: HEAD {head} but pinned {}", pin.key, pin.version);
        let rows = table.count_rows(None).await? as u64;
        ensure!(rows == pin.rows, "{}: {rows} rows but {} pinned", pin.key, pin.rows);
        check_files(&table, &root.directory.join(&pin.location)).await?;
    }
    ensure!(names(&root.directory.join("__recovery"))?.is_empty(), "sidecars are left");
    ensure!(
        names(&root.directory.join("__maintenance/journal"))?.is_empty(),
        "journal entries are left"
    );
    ensure!(names(&root.directory.join("__maintenance/runs"))?.is_empty(), "runs are left");
    Ok(())
}

/// Checks that every data file and index segment of main's directory is explained by a
/// version of main.
///
/// # Errors
///
/// Naming the first file that is not.
pub async fn check_files(table: &Dataset, directory: &Path) -> Result<()> {
    let mut data = BTreeSet::new();
    let mut indexes = BTreeSet::new();
    for version in table.version_refs().await? {
        let at = table.checkout_version(version.version).await?;
        for file in at.fragments().iter().flat_map(|fragment| &fragment.files) {
            data.insert(file.path.clone());
        }
        indexes.extend(at.load_indices().await?.iter().map(|index| index.uuid.to_string()));
    }
    for name in names(&directory.join("data"))? {
        // A blob's side files lie in a directory named like their data file.
        let explained = data.contains(&name) || data.contains(&format!("{name}.lance"));
        ensure!(explained, "{}: no version refers to data/{name}", directory.display());
    }
    for name in names(&directory.join("_indices"))? {
        ensure!(
            indexes.contains(&name),
            "{}: no version refers to _indices/{name}",
            directory.display()
        );
    }
    Ok(())
}

/// The names in a directory; none when it is not there.
///
/// # Errors
///
/// When it is there and cannot be listed.
pub fn names(directory: &Path) -> Result<BTreeSet<String>> {
    match fs::read_dir(directory) {
        Ok(entries) => {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(BTreeSet::new()),
        Err(error) => Err(error.into()),
    }
}
