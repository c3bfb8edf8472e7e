//! Giving the manifests of a table new names.
//!
//! # Protocol
//!
//! Newest first, each by a rename that never replaces a file. While a directory has both names Lance opens nothing
//! on a local disk; elsewhere it takes the newest of the new names for HEAD, which is true at any moment. What
//! somebody commits meanwhile under the old names is one more file to rename, unless somebody else has committed that
//! version under the new names: then both are left, and said.
//!
//! A handle that was opened before goes on under the old names whenever it commits, and nothing here can keep it from
//! that. So the caller promises to be alone.
//!
//! # Crash consistency
//!
//! Every file has its old name, its new one, or for a moment both. A second run renames what is left.

use std::collections::BTreeSet;

use lancekeeper_model::{Branch, Version};
use lancekeeper_planner::migrate::tables::{new_name, old_name};
use lancekeeper_store::failpoint;
use lancekeeper_store::{Files, LanceFailure, Tables};

use super::error::TableError;
use super::inventory::{Found, VERSIONS, names_in};

/// How often a directory is looked at again for what somebody has committed meanwhile.
const PASSES_MAX: u32 = 3;

/// What a preview says of it.
pub(super) const ALONE: &str = "giving manifests new names is not safe beside anybody who writes: who has a table open goes on under the old names, and what they commit is lost or keeps everybody from opening the table. --confirm needs --assume-alone as well: stop all writers, migrate, start them again";

/// Gives every manifest of a chain its new name. `files`: those of the table.
///
/// # Errors
///
/// [`TableError`]; some manifests may have their new names.
///
/// # Cancel safety
///
/// As after a crash.
pub(super) async fn rename(
    files: &Files,
    found: &Found,
    warnings: &mut Vec<String>,
) -> Result<(), TableError> {
    let directory = files.below(&found.directory).below(VERSIONS);
    let newest = found.names.versions().last().copied();
    for _ in 0..PASSES_MAX {
        let names = names_in(files, &found.directory).await?;
        let renames = names.renames();
        if renames.is_empty() {
            files.below(&found.directory).make_durable(VERSIONS).await?;
            let now = names.versions().last().copied();
            if now > newest
                && let Some(now) = now
            {
                warnings.push(format!(
                    "{}: somebody committed up to version {now} meanwhile: whoever had it open must open it again before it writes",
                    found.table
                ));
            }
            return Ok(());
        }
        for version in renames {
            rename_one(&directory, found, version).await?;
            failpoint::cross_async(failpoint::MIGRATE_BETWEEN_NAMES).await?;
        }
    }
    Err(TableError::NotAlone { table: found.table.clone() })
}

async fn rename_one(directory: &Files, found: &Found, version: Version) -> Result<(), TableError> {
    let (old, new) = (old_name(version), new_name(version));
    if directory.rename_if_absent(&old, &new).await? {
        return Ok(());
    }
    // It has both names: a renaming was cut off in between, or somebody else has committed that version.
    let (by_old, by_new) = (directory.read(&old).await?, directory.read(&new).await?);
    if by_old.is_some() && by_old != by_new {
        let table = found.table.clone();
        let (old, new) = (directory.place_of(&old), directory.place_of(&new));
        return Err(TableError::Twice { table, version, old, new });
    }
    Ok(directory.delete(&old).await?)
}

/// Checks that Lance reads every version that was there.
///
/// # Errors
///
/// [`TableError::Missing`], or whatever Lance fails with.
pub(super) async fn check(
    tables: &Tables,
    uri: &str,
    files: &Files,
    found: &Found,
) -> Result<(), TableError> {
    let missing = |missing: Vec<Version>| match missing.first() {
        Some(first) => {
            let (table, missing, first) = (found.table.clone(), missing.len(), *first);
            Err(TableError::Missing { table, missing, first })
        }
        None => Ok(()),
    };
    let before = found.names.versions();
    let lie_there = names_in(files, &found.directory).await?.new;
    missing(before.difference(&lie_there).copied().collect())?;
    // A directory of which no branch is known is nobody's yet, or nobody's any more.
    let failed = |source| {
        LanceFailure::new(format!("failed to read the versions of {}", found.table), source)
    };
    let main = tables.open(uri, &Branch::main()).await?;
    let table = match found.table.branch.name() {
        None => main,
        Some(name) if !main.list_branches().await.map_err(failed)?.contains_key(name) => {
            return Ok(());
        }
        Some(_) => tables.open(uri, &found.table.branch).await?,
    };
    let versions = table.versions().await.map_err(failed)?;
    let read: BTreeSet<Version> = versions.iter().map(|version| Version(version.version)).collect();
    missing(before.difference(&read).copied().collect())
}
