//! Index upkeep, staged: new segments written beside the table, committed by one strict
//! CreateIndex that replaces the old ones.
//!
//! # Protocol
//!
//! Segments are built at the version the groups are staged at, over all its fragments. The
//! CreateIndex comes before the Rewrite: the other orders conflict or leave the rewritten
//! fragments uncovered. On tables with stable row ids the segments then follow the Rewrite by
//! themselves; on others they are carried over like any index. Kinds that Lance drops at a
//! Rewrite are built after it instead.
//!
//! A strict commit is not checked by Lance against what others committed since, so a segment
//! may only be committed while every fragment it covers is at HEAD as it was
//! ([`crate::check::HeadCheck::segments`]).
//!
//! An index that cannot be built is no failure of its table: it is told apart
//! ([`IndexFailure`]), and the table is planned without it.

mod accept;
pub mod answers;
mod btree;
mod build;
mod kind;
mod probe;

use std::collections::HashSet;

use futures::FutureExt;
use lance::Dataset;
use lance::dataset::transaction::Operation;
use lance::index::DatasetIndexExt;
use lance_index::scalar::inverted::builder::is_staged_path;
use lance_table::format::IndexMetadata;
use lancekeeper_model::{IndexKind, TableRef, Version};
use lancekeeper_planner::index::{IndexAction, IndexWork};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failure::{full_text, guarded, hint_of};
use lancekeeper_store::tables::version_of;
use uuid::Uuid;

use crate::damage::damaged;
use crate::journal::{StagedFile, discard};
use build::build;
pub use kind::{
    can_append, carry_over, is_btree_over_addresses, kind_of_index, known_obstacle, name_of_details,
};
pub use probe::{cannot_be_opened, is_definition, too_few_vectors};

/// How B-trees are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BTreeForm {
    /// Over row ids: what every client of a graph reads. Needs stable row ids.
    RowIds,
    /// As this Lance builds them.
    Native,
}

/// Segments that were built and not committed.
#[derive(Debug, Clone, Default)]
pub struct StagedIndexes {
    /// The new segments.
    pub new: Vec<IndexMetadata>,
    /// The segments they replace.
    pub replaced: Vec<IndexMetadata>,
    /// What was written.
    pub files: Vec<StagedFile>,
    /// The version they were built at.
    pub version: Version,
}

impl StagedIndexes {
    /// The commit that makes them visible.
    #[must_use]
    pub fn operation(&self) -> Operation {
        Operation::CreateIndex {
            new_indices: self.new.clone(),
            removed_indices: self.replaced.clone(),
        }
    }
}

/// An index that could not be built, though its table is in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFailure {
    /// Its name.
    pub name: String,
    /// Why, for a person.
    pub reason: String,
}

/// The names of the segments to be built, chosen before anything is written: a build that
/// fails or is dropped half way leaves what it has written.
#[derive(Debug, Clone)]
pub struct SegmentNames {
    /// One per index. `None`: Lance chooses, and tells when the segment is done.
    chosen: Vec<Option<Uuid>>,
}

impl SegmentNames {
    /// Chooses names for all the work for which Lance lets us.
    #[must_use]
    pub fn choose(work: &[IndexWork]) -> Self {
        // Also where Lance is asked first: what it cannot add to is made anew.
        let is_ours = |index: &IndexWork| {
            index.kind != IndexKind::Vector || index.action == IndexAction::Create
        };
        Self { chosen: work.iter().map(|index| is_ours(index).then(Uuid::new_v4)).collect() }
    }

    /// Where what is written under these names will lie.
    #[must_use]
    pub fn files(&self) -> Vec<StagedFile> {
        self.chosen.iter().flatten().map(|uuid| directory_of(*uuid)).collect()
    }
}

/// Builds the segments of a plan at the version the handle stands at, under names chosen for
/// this very work. Indexes that could not be built are noted in `failures`.
///
/// # Errors
///
/// When the table or the machine is to blame: a data file is damaged, the disk is full. Segments
/// that Lance named and built before are noted in `built`, so that the caller can delete them
/// beside those of `names`.
///
/// # Cancel safety
///
/// Nothing becomes visible. What is written under `names` is the caller's to delete; what
/// Lance names stays until collected.
pub async fn stage_indexes(
    table: &Dataset,
    table_ref: &TableRef,
    work: &[IndexWork],
    form: BTreeForm,
    names: &SegmentNames,
    built: &mut Vec<StagedFile>,
    failures: &mut Vec<IndexFailure>,
) -> Result<StagedIndexes, LanceFailure> {
    let existing = table
        .load_indices()
        .await
        .map_err(|source| LanceFailure::new("failed to read the indexes", source))?;
    let mut staged = StagedIndexes { version: version_of(table), ..StagedIndexes::default() };
    let mut replaced = HashSet::new();
    for (index, name) in work.iter().zip(&names.chosen) {
        let results = match guarded(table.uri(), build(table, index, form, *name).boxed()).await {
            Ok(results) => results,
            Err(error) => {
                failures.push(failure(table, table_ref, index, error).await?);
                continue;
            }
        };
        let files: Vec<StagedFile> =
            results.iter().map(|(segment, _)| directory_of(segment.uuid)).collect();
        built.extend(files.iter().cloned());
        if let Some(reason) = accept::rejection(table, index, &existing, &results).await {
            discard(table, &files).await?;
            built.retain(|file| !files.contains(file));
            failures.push(IndexFailure { name: index.name.clone(), reason });
            continue;
        }
        for (mut segment, replaces) in results {
            if let Some(files) = segment.files.as_mut() {
                // What a build leaves in its staging directory is no part of the index.
                files.retain(|file| !is_staged_path(&file.path));
            }
            replaced.extend(replaces);
            staged.new.push(segment);
        }
    }
    staged.replaced = existing
        .iter()
        .filter(|index| replaced.contains(&index.uuid.to_string()))
        .cloned()
        .collect();
    staged.files.clone_from(built);
    Ok(staged)
}

/// What failed, when it is the index; an error when it is the table or the machine.
async fn failure(
    table: &Dataset,
    table_ref: &TableRef,
    index: &IndexWork,
    error: lance::Error,
) -> Result<IndexFailure, LanceFailure> {
    let what = || format!("failed to build index {} of {table_ref}", index.name);
    if hint_of(&error).is_some() {
        return Err(LanceFailure::new(what(), error));
    }
    if let Some(damage) = damaged(table, table.fragments()).await {
        return Err(LanceFailure::new(what(), damage));
    }
    Ok(IndexFailure { name: index.name.clone(), reason: full_text(&error) })
}

/// Whether the rows of an index will be known by their addresses once this work is committed,
/// on a table with stable row ids: then the addresses of rewritten rows have to be captured.
#[must_use]
pub fn makes_addresses(work: &[IndexWork], form: BTreeForm) -> bool {
    form == BTreeForm::Native && work.iter().any(|index| index.kind == IndexKind::BTree)
}

fn directory_of(segment: Uuid) -> StagedFile {
    StagedFile { path: format!("_indices/{segment}"), bytes: None }
}
