//! Settling journal entries: of runs that died, or that give up what they staged.
//!
//! # Invariants
//!
//! * A file is deleted only if an entry of ours names it, every version from the one it was
//!   staged at up to HEAD is there to be read, and none refers to it.
//! * What a run that lives has staged is settled by nobody else.

use std::collections::{BTreeMap, HashSet};

use futures::TryStreamExt;
use lance::Dataset;
use lance_table::format::Fragment;
use lance_table::io::manifest::read_manifest_indexes;
use lancekeeper_model::{Branch, ErrorKind, OperationId, Version};
use lancekeeper_store::{Files, LanceFailure, Root, Tables};

use super::{Finished, Journal, JournalEntry, JournalError, StagedFile};

impl Journal {
    /// Settles the entries of dead runs: deletes the files that no version refers to, then the
    /// entry. The caller holds the root's lock; `live` are the operations of all runs that stage without it.
    /// Who `resumes` is given the groups that were finished and that no version refers to: they are left as
    /// they are.
    ///
    /// A table that cannot be read keeps its entries, and says why in the outcome: litter is
    /// no reason to refuse work.
    ///
    /// # Errors
    ///
    /// When the journal cannot be listed, or an entry is of a newer version.
    ///
    /// # Cancel safety
    ///
    /// Some files are deleted, their entries are still there, the next run goes on.
    pub async fn settle_dead(
        &self,
        tables: &Tables,
        root: &Root,
        live: &[OperationId],
        resumes: bool,
    ) -> Result<Settled, JournalError> {
        let is_live = |entry: &JournalEntry| live.iter().any(|run| run.as_str() == entry.operation);
        self.settle_each(tables, root, resumes, |entry| !is_live(entry)).await
    }

    /// Settles the entries of one run, which gives up what it has staged. Needs no lock: they are its own.
    ///
    /// # Errors
    ///
    /// As [`Journal::settle_dead`].
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn settle_run(
        &self,
        tables: &Tables,
        root: &Root,
        operation: &OperationId,
    ) -> Result<Settled, JournalError> {
        let is_its = |entry: &JournalEntry| entry.operation == operation.as_str();
        self.settle_each(tables, root, false, is_its).await
    }

    async fn settle_each(
        &self,
        tables: &Tables,
        root: &Root,
        resumes: bool,
        is_wanted: impl Fn(&JournalEntry) -> bool,
    ) -> Result<Settled, JournalError> {
        let mut settled = Settled::default();
        let mut by_table: BTreeMap<_, Vec<(String, JournalEntry)>> = BTreeMap::new();
        for name in self.entries().await? {
            match self.read(&name).await {
                Ok(Some(entry)) if !is_wanted(&entry) => {}
                Ok(Some(entry)) => {
                    let table = (entry.location.clone(), entry.branch.clone());
                    by_table.entry(table).or_default().push((name, entry));
                }
                Ok(None) => {}
                Err(error @ JournalError::Newer { .. }) => return Err(error),
                Err(error) => settled.kept.push(error.to_string()),
            }
        }
        for entries in by_table.into_values() {
            let resumed = resumes.then_some(&mut settled.finished);
            match self.settle_table(tables, root, entries, resumed).await {
                Ok(deleted) => settled.deleted += deleted,
                Err(error) => settled.kept.push(error.to_string()),
            }
        }
        Ok(settled)
    }

    /// Settles one entry, as [`Journal::settle_dead`] does.
    ///
    /// # Errors
    ///
    /// When the table's versions cannot be read (nothing is deleted then) or a file cannot be
    /// deleted.
    ///
    /// # Cancel safety
    ///
    /// As [`Journal::settle_dead`].
    pub async fn settle(
        &self,
        tables: &Tables,
        root: &Root,
        name: &str,
    ) -> Result<u64, JournalError> {
        let Some(entry) = self.read(name).await? else { return Ok(0) };
        self.settle_table(tables, root, vec![(name.to_owned(), entry)], None).await
    }

    /// Settles entries of one table and branch; at least one. Finished groups of which it is certain that no
    /// version has taken them in are left to whoever asks for them.
    async fn settle_table(
        &self,
        tables: &Tables,
        root: &Root,
        entries: Vec<(String, JournalEntry)>,
        mut resumed: Option<&mut Vec<Finished>>,
    ) -> Result<u64, JournalError> {
        let Some((_, first)) = entries.first() else { return Ok(0) };
        let branch = Branch::from(first.branch.clone());
        let oldest = entries.iter().map(|(_, entry)| entry.staged_at).min().unwrap_or_default();
        let head = match tables.open(&root.address_of(&first.location), &branch).await {
            Ok(head) => Some(head),
            // The table is gone, and its staged files with it.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let referenced = match &head {
            Some(head) => referenced_since(head, Version(oldest)).await?,
            None => None,
        };
        let mut deleted = 0;
        for (name, entry) in &entries {
            if let (Some(head), Some(referenced)) = (&head, &referenced) {
                let is_new = !entry.files.iter().any(|file| referenced.contains(&file.path));
                if let (true, Some(resumed)) = (is_new, resumed.as_deref_mut())
                    && let Some(finished) = entry.finished(name)
                {
                    resumed.push(finished);
                    continue;
                }
                for file in entry.files.iter().filter(|file| !referenced.contains(&file.path)) {
                    deleted += delete_staged(head, file).await?;
                }
            }
            self.files.delete(name).await?;
        }
        Ok(deleted)
    }
}

/// What settling the journal came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Files that were deleted.
    pub deleted: u64,
    /// Why entries were kept.
    pub kept: Vec<String>,
    /// Groups that were finished, for whoever resumes them.
    pub finished: Vec<Finished>,
}

/// Deletes staged files right away, in the run that staged them and knows that it did not
/// commit them. Returns the number of files deleted.
///
/// # Errors
///
/// When a file cannot be deleted; its journal entry must then stay.
///
/// # Cancel safety
///
/// Some files are deleted; the journal entry still names the rest.
pub async fn discard(table: &Dataset, files: &[StagedFile]) -> Result<u64, LanceFailure> {
    let mut deleted = 0;
    for file in files {
        deleted += delete_staged(table, file).await?;
    }
    Ok(deleted)
}

/// The files that any version from `from` to HEAD refers to, relative to the table. `None`
/// when versions in between are gone: a fork may have been cut from one of them and read
/// files that no version here names any more, so nothing can be proven unreferenced.
async fn referenced_since(
    head: &Dataset,
    from: Version,
) -> Result<Option<HashSet<String>>, JournalError> {
    let failed =
        |source| LanceFailure::new(format!("failed to read versions of {}", head.uri()), source);
    let wanted = from.0..=head.manifest().version;
    let there: HashSet<u64> =
        head.version_refs().await.map_err(failed)?.iter().map(|found| found.version).collect();
    if wanted.clone().any(|version| !there.contains(&version)) {
        return Ok(None);
    }
    let store = head.object_store(None).await.map_err(failed)?;
    let mut paths = HashSet::new();
    for version in wanted {
        let at = head.checkout_version(version).await.map_err(failed)?;
        paths.extend(at.fragments().iter().flat_map(data_paths));
        // Also indexes this build cannot read.
        let indexes = read_manifest_indexes(&store, at.manifest_location(), at.manifest());
        for index in indexes.await.map_err(failed)? {
            paths.insert(format!("_indices/{}", index.uuid));
        }
    }
    Ok(Some(paths))
}

fn data_paths(fragment: &Fragment) -> Vec<String> {
    fragment.files.iter().map(|file| format!("data/{}", file.path)).collect()
}

/// Deletes one staged file and what belongs to it: a data file's blob sidecars, an index
/// segment's files.
async fn delete_staged(table: &Dataset, file: &StagedFile) -> Result<u64, LanceFailure> {
    let path = file.path.as_str();
    let failed =
        |source: lance::Error| LanceFailure::new(format!("failed to delete {path}"), source);
    let store = table.object_store(None).await.map_err(failed)?;
    let base = table.branch_location().path;
    let join =
        |relative: &str| relative.split('/').fold(base.clone(), |path, part| path.join(part));
    let mut deleted = 0;
    let directory = join(path.strip_suffix(".lance").unwrap_or(path));
    let inside: Vec<_> = match store.inner.list(Some(&directory)).try_collect::<Vec<_>>().await {
        Ok(inside) => inside,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(error) => return Err(failed(error.into())),
    };
    for meta in inside {
        store.delete(&meta.location).await.map_err(failed)?;
        deleted += 1;
    }
    if !file.is_segment() {
        match store.delete(&join(path)).await {
            Ok(()) => deleted += 1,
            Err(error) if lancekeeper_store::kind_of(&error) == ErrorKind::NotFound => {}
            // Lance wraps the store's "not found" as an I/O error on some stores.
            Err(error) => match store.exists(&join(path)).await {
                Ok(false) => {}
                _ => return Err(failed(error)),
            },
        }
    } else if let Some((parent, name)) = path.rsplit_once('/') {
        // On a local disk the empty directory would stay as litter, which is harmless.
        let _ = Files::of_lance(&store, &join(parent)).delete_empty(name).await;
    }
    Ok(deleted)
}
