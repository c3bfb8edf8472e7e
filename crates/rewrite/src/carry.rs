//! Deletions that writers made while a group was rewritten: read from the fragments at HEAD and
//! written as deletion files of the new fragments. Not here: where each row went (`planner`), and
//! what else makes a group stale (`check`).
//!
//! # Crash consistency
//!
//! A deletion file is written under the queue key, right before the Rewrite that refers to it. A
//! refused Rewrite deletes it again. A crash in between leaves it, and nothing refers to it;
//! `cleanup` collects it once it is old enough.

use std::collections::HashMap;

use lance::Dataset;
use lance_core::utils::deletion::DeletionVector;
use lance_table::format::Fragment;
use lance_table::io::deletion::{deletion_file_path, write_deletion_file};
use lancekeeper_planner::optimize::{carry_deletions, find_deletions};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::tables::version_of;

use crate::journal::StagedFile;
use crate::sources::deleted_rows;
use crate::stage::StagedGroup;
use crate::stale::Stale;

/// Whether two states of a fragment differ in nothing but deleted rows.
pub(crate) fn is_same_but_for_deletions(a: &Fragment, b: &Fragment) -> bool {
    let bare = |fragment: &Fragment| Fragment { deletion_file: None, ..fragment.clone() };
    a == b || bare(a) == bare(b)
}

/// Whether every row that was deleted in a fragment still is. A restore can bring rows back: an
/// index built without them would hide them from searches.
///
/// # Errors
///
/// When a deletion file cannot be read.
pub(crate) async fn has_only_more_deletions(
    (then, old): (&Dataset, &Fragment),
    (now, new): (&Dataset, &Fragment),
) -> Result<bool, LanceFailure> {
    if old.deletion_file == new.deletion_file {
        return Ok(true);
    }
    let failed = |source| LanceFailure::new("failed to read deletions", source);
    let before = deleted_rows(then, old).await.map_err(failed)?;
    let after = deleted_rows(now, new).await.map_err(failed)?;
    Ok(before.iter().all(|row| after.binary_search(row).is_ok()))
}

/// Takes the group's sources as they are at HEAD, and notes which of the rows that were read are
/// deleted there, by where they stand in the new fragments. `now` are the fragments at HEAD; the
/// sources among them were found to differ in deletions only.
///
/// # Errors
///
/// When a deletion file cannot be read.
pub(crate) async fn follow(
    head: &Dataset,
    now: &HashMap<u64, &Fragment>,
    group: &mut StagedGroup,
) -> Result<Option<Stale>, LanceFailure> {
    let failed = |source| LanceFailure::new("failed to read deletions", source);
    for source in &mut group.read {
        match now.get(&source.id) {
            Some(fragment) if fragment.deletion_file != source.deletion_file => {
                source.seen = deleted_rows(head, fragment).await.map_err(failed)?;
            }
            Some(_) => source.seen.clone_from(&source.rows.deleted),
            // A source without live rows leaves the table with any commit, ours as well. Any
            // other that is gone was rewritten by somebody else, and its rows live on there.
            None if source.seen.len() as u64 == source.rows.rows => {}
            None => return Ok(Some(Stale::Fragment(source.id))),
        }
    }
    let sources: Vec<_> = group.read.iter().map(|s| (&s.rows, s.seen.as_slice())).collect();
    let outputs = group.new_fragments.iter().map(|f| f.physical_rows.unwrap_or_default() as u64);
    let outputs: Vec<u64> = outputs.collect();
    let carried = match &group.permuted {
        None => carry_deletions(&sources, &outputs),
        Some(permuted) => {
            let ids: Vec<u64> = group.read.iter().map(|source| source.id).collect();
            find_deletions(&ids, &sources, permuted.from.as_deref())
        }
    };
    match carried {
        Ok(carried) => group.deleted_since = carried,
        Err(why) => return Ok(Some(Stale::Deletions(why))),
    }
    for source in &mut group.source {
        if let Some(fragment) = now.get(&source.id) {
            source.clone_from(fragment);
        }
    }
    Ok(None)
}

/// Writes the deletion files of the groups' new fragments, which carry their final ids.
///
/// # Errors
///
/// When one cannot be written. Those written before are named in `written`.
///
/// # Cancel safety
///
/// Files written so far stay until they are old enough to be collected.
pub(crate) async fn write_deletions(
    head: &Dataset,
    groups: &mut [StagedGroup],
    written: &mut Vec<StagedFile>,
) -> Result<(), LanceFailure> {
    let failed = |source| LanceFailure::new("failed to write carried deletions", source);
    if groups.iter().all(|group| group.deleted_since.iter().all(Vec::is_empty)) {
        return Ok(());
    }
    let store = head.object_store(None).await.map_err(failed)?;
    let base = head.branch_location().path;
    for group in groups {
        for (fragment, rows) in group.new_fragments.iter_mut().zip(&group.deleted_since) {
            let vector: DeletionVector = rows.iter().copied().collect();
            let version = version_of(head).0;
            let file = write_deletion_file(&base, fragment.id, version, &vector, &store);
            fragment.deletion_file = file.await.map_err(failed)?;
            if let Some(file) = &fragment.deletion_file {
                let path = deletion_file_path(&base, fragment.id, file);
                let name = path.filename().unwrap_or_default();
                written.push(StagedFile { path: format!("_deletions/{name}"), bytes: None });
            }
        }
    }
    Ok(())
}

/// The live rows of sources and of new fragments, where they differ: such a Rewrite would lose
/// rows or bring deleted ones back. Counts that no manifest tells are left out.
pub(crate) fn miscounted(group: &StagedGroup) -> Option<(usize, usize)> {
    let live =
        |fragments: &[Fragment]| fragments.iter().map(Fragment::num_rows).sum::<Option<usize>>();
    let (old, new) = (live(&group.source)?, live(&group.new_fragments)?);
    (old != new).then_some((old, new))
}

#[cfg(test)]
mod tests {
    use lance_table::format::{DeletionFile, DeletionFileType};
    use lancekeeper_model::Version;

    use super::*;

    fn fragment(rows: usize, deleted: Option<usize>) -> Fragment {
        let deletion_file = deleted.map(|rows| DeletionFile {
            read_version: 1,
            id: 1,
            file_type: DeletionFileType::Array,
            num_deleted_rows: (rows > 0).then_some(rows),
            base_id: None,
        });
        Fragment { deletion_file, ..Fragment::new(0).with_physical_rows(rows) }
    }

    #[test]
    fn a_rewrite_that_would_lose_a_live_row_or_bring_one_back_is_found() {
        let of = |source: Fragment, new: Fragment| StagedGroup {
            source: vec![source, fragment(5, None)],
            read: Vec::new(),
            deleted_since: Vec::new(),
            new_fragments: vec![new],
            kept_addrs: None,
            permuted: None,
            version: Version(1),
            files: Vec::new(),
        };
        assert_eq!(miscounted(&of(fragment(10, Some(3)), fragment(14, Some(2)))), None);
        assert_eq!(miscounted(&of(fragment(10, Some(3)), fragment(14, None))), Some((12, 14)));
        assert_eq!(miscounted(&of(fragment(10, None), fragment(15, Some(1)))), Some((15, 14)));
        // Old writers leave the number of deleted rows out.
        assert_eq!(miscounted(&of(fragment(10, Some(0)), fragment(14, None))), None);
    }
}
