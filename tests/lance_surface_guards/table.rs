//! One small table in a temporary directory, and what can be seen of it from outside. No
//! tests here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use lance::Dataset;
use lance::dataset::CommitBuilder;
use lance::dataset::builder::DatasetBuilder;
use lance::dataset::optimize::{
    CompactionMode, CompactionOptions, CompactionTask, IndexRemapMode, RewriteResult, TaskData,
};
use lance::dataset::transaction::{Operation, RewriteGroup, RewrittenIndex, Transaction};
use lance_table::format::Fragment;
use lancekeeper_testkit::tables;
use tempfile::TempDir;

/// A table `t.lance` of `id` and `text`.
pub(crate) struct Table {
    directory: TempDir,
}

impl Table {
    /// A place for a table that is not there yet.
    pub(crate) fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// A table of fragments of ten rows each, ids counted from 0.
    pub(crate) async fn of(fragments: usize, stable_row_ids: bool) -> Self {
        let table = Self::empty();
        tables::create(&table.uri(), fragments, 10, stable_row_ids).await.unwrap();
        table
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("t.lance")
    }

    pub(crate) fn uri(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }

    /// HEAD, with nothing cached.
    pub(crate) async fn head(&self) -> Dataset {
        DatasetBuilder::from_uri(self.uri()).load().await.unwrap()
    }

    /// One version, with nothing cached.
    pub(crate) async fn at(&self, version: u64) -> Dataset {
        self.try_at(version).await.unwrap()
    }

    pub(crate) async fn try_at(&self, version: u64) -> lance::Result<Dataset> {
        DatasetBuilder::from_uri(self.uri()).with_version(version).load().await
    }

    /// Every file, relative to the table, with `/`.
    pub(crate) fn files(&self) -> BTreeSet<String> {
        files_in(&self.path())
    }

    /// The files below a part of the table.
    pub(crate) fn files_under(&self, part: &str) -> BTreeSet<String> {
        self.files().into_iter().filter(|file| file.starts_with(part)).collect()
    }

    pub(crate) fn remove(&self, file: &str) {
        fs::remove_file(self.path().join(file)).unwrap();
    }

    /// Where the manifest of a version lies, in today's naming.
    pub(crate) fn manifest(version: u64) -> String {
        format!("_versions/{:020}.manifest", u64::MAX - version)
    }
}

pub(crate) fn files_in(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let inside = path.strip_prefix(directory).unwrap();
                found.insert(inside.to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// A commit as Lance makes it, read version and all: rebased where Lance rebases.
pub(crate) async fn commit_at(
    handle: &Dataset,
    read_version: u64,
    operation: Operation,
) -> lance::Result<Dataset> {
    let transaction = Transaction::new(read_version, operation, None);
    CommitBuilder::new(Arc::new(handle.clone())).execute(transaction).await
}

/// The same on top of what the handle stands at.
pub(crate) async fn commit(handle: &Dataset, operation: Operation) -> lance::Result<Dataset> {
    commit_at(handle, handle.manifest().version, operation).await
}

/// Fragments rewritten into one, as the staging of ours asks for it; nothing committed.
pub(crate) async fn stage(handle: &Dataset, ids: &[u64]) -> RewriteResult {
    stage_in_mode(handle, ids, CompactionMode::Reencode).await
}

pub(crate) async fn stage_in_mode(
    handle: &Dataset,
    ids: &[u64],
    mode: CompactionMode,
) -> RewriteResult {
    let fragments: Vec<Fragment> =
        handle.fragments().iter().filter(|f| ids.contains(&f.id)).cloned().collect();
    let rows = fragments.iter().map(|f| f.physical_rows.unwrap()).sum();
    let task = CompactionTask {
        task: TaskData { fragments },
        read_version: handle.manifest().version,
        options: CompactionOptions {
            target_rows_per_fragment: rows,
            num_threads: Some(1),
            index_remap_mode: IndexRemapMode::Compact,
            compaction_mode: Some(mode),
            ..CompactionOptions::default()
        },
    };
    task.execute(handle).await.unwrap()
}

/// Reserves ids for the new fragments and gives them out; returns the handle after it.
pub(crate) async fn reserve(handle: &Dataset, staged: &mut RewriteResult) -> Dataset {
    let num_fragments = u32::try_from(staged.new_fragments.len()).unwrap();
    let reserved = commit(handle, Operation::ReserveFragments { num_fragments }).await.unwrap();
    let first = u64::from(reserved.manifest().max_fragment_id.unwrap() + 1 - num_fragments);
    for (id, fragment) in (first..).zip(&mut staged.new_fragments) {
        fragment.id = id;
    }
    reserved
}

pub(crate) fn rewrite(staged: &RewriteResult) -> Operation {
    rewrite_with(staged, Vec::new())
}

pub(crate) fn rewrite_with(
    staged: &RewriteResult,
    rewritten_indices: Vec<RewrittenIndex>,
) -> Operation {
    let group = RewriteGroup {
        old_fragments: staged.original_fragments.clone(),
        new_fragments: staged.new_fragments.clone(),
    };
    Operation::Rewrite { groups: vec![group], rewritten_indices, frag_reuse_index: None }
}

pub(crate) fn fragment_ids(handle: &Dataset) -> Vec<u64> {
    handle.fragments().iter().map(|fragment| fragment.id).collect()
}

/// The ids of all rows, in the order of a scan.
pub(crate) async fn ids(handle: &Dataset) -> Vec<i64> {
    let batch = handle.scan().project(&["id"]).unwrap().try_into_batch().await.unwrap();
    batch["id"].as_primitive::<Int64Type>().values().to_vec()
}

pub(crate) async fn sorted_ids(handle: &Dataset) -> Vec<i64> {
    let mut ids = ids(handle).await;
    ids.sort_unstable();
    ids
}

/// (id, row id) of all rows, sorted.
pub(crate) async fn row_ids(handle: &Dataset) -> Vec<(i64, u64)> {
    let mut scan = handle.scan();
    scan.project(&["id"]).unwrap().with_row_id();
    let batch = scan.try_into_batch().await.unwrap();
    let ids = batch["id"].as_primitive::<Int64Type>().values();
    let row_ids = batch["_rowid"].as_primitive::<UInt64Type>().values();
    let mut pairs: Vec<(i64, u64)> = ids.iter().copied().zip(row_ids.iter().copied()).collect();
    pairs.sort_unstable();
    pairs
}

/// The ids that a filter finds, with indexes or without, sorted.
pub(crate) async fn found(handle: &Dataset, filter: &str, use_index: bool) -> Vec<i64> {
    let mut scan = handle.scan();
    scan.project(&["id"]).unwrap().filter(filter).unwrap().use_scalar_index(use_index);
    let batch = scan.try_into_batch().await.unwrap();
    let mut ids = batch["id"].as_primitive::<Int64Type>().values().to_vec();
    ids.sort_unstable();
    ids
}
