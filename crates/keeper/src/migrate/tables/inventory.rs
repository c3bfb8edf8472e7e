//! What is known of a table and of each of its branches: the names of its manifests by a listing, because Lance does
//! not open a table whose names are mixed, and the rest by what Lance opens. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lancekeeper_model::{Branch, ErrorKind, MigratedTable, StorageVersion, TableRef};
use lancekeeper_planner::migrate::tables::{FormatFacts, ManifestNames, StoragePlan};
use lancekeeper_store::{Files, LanceFailure};

use super::error::TableError;
use crate::root::ReadRoot;

/// Where the manifests of a chain lie, below its directory.
pub(super) const VERSIONS: &str = "_versions";
/// Where the branches of a table lie, below its directory.
const BRANCHES: &str = "tree";
/// What the names of Lance's own indexes begin with.
const OWN_INDEX: &str = "__lance";

/// A table on one of its branches.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) table: TableRef,
    /// Its directory, relative to that of the table; empty for main.
    pub(super) directory: String,
    pub(super) names: ManifestNames,
    /// As Lance opens it.
    opened: Option<(Dataset, FormatFacts)>,
    /// Why Lance does not.
    pub(super) unreadable: Option<TableError>,
}

impl Found {
    /// The table as Lance opened it.
    ///
    /// # Errors
    ///
    /// When there is nothing to open under that name.
    pub(super) fn opened(&self) -> Result<(&Dataset, &FormatFacts), TableError> {
        match &self.opened {
            Some((table, facts)) => Ok((table, facts)),
            None => Err(LanceFailure::new(
                format!("failed to open {}", self.table),
                lance::Error::internal(match &self.unreadable {
                    Some(error) => lancekeeper_store::failure::full_text(error),
                    None => "no branch of that name".to_owned(),
                }),
            )
            .into()),
        }
    }

    /// Its row, as far as nothing is done with it.
    pub(super) fn row(&self) -> MigratedTable {
        let mut row = MigratedTable::of(&self.table);
        row.manifest_paths = self.names.paths();
        row.versions = self.names.versions().len() as u64;
        if let Some((_, facts)) = &self.opened {
            row.storage_version = Some(facts.storage_version.clone());
            row.file_versions = facts.files.keys().cloned().collect();
            row.stable_row_ids = Some(facts.stable_row_ids);
        }
        row
    }
}

/// A table and its branches: main first, then by name.
///
/// # Errors
///
/// When its files cannot be listed.
pub(super) async fn inventory(
    read: &ReadRoot,
    table: &TableRef,
    location: &str,
) -> Result<Vec<Found>, TableError> {
    let files = read.root.files().below(location);
    let uri = read.root.address_of(location);
    let mut all = Vec::new();
    for (directory, names) in chains(&files).await? {
        let branch = match directory.strip_prefix(BRANCHES) {
            Some(name) => Branch::named(name.trim_start_matches('/')),
            None => Branch::main(),
        };
        let table = TableRef { branch, ..table.clone() };
        let (opened, unreadable) = match read.tables.open(&uri, &table.branch).await {
            Ok(opened) => match facts(&opened, &table).await {
                Ok(facts) => (Some((opened, facts)), None),
                Err(error) => (None, Some(error.into())),
            },
            // A directory of which no branch is known: one that is just being made, or what is left of one.
            Err(error) if error.kind() == ErrorKind::NotFound && !table.branch.is_main() => {
                (None, None)
            }
            Err(error) => (None, Some(error.into())),
        };
        all.push(Found { table, directory, names, opened, unreadable });
    }
    Ok(all)
}

/// The directories with manifests, each with their names: that of the table first.
async fn chains(files: &Files) -> Result<Vec<(String, ManifestNames)>, TableError> {
    let mut all = vec![(String::new(), names_in(files, "").await?)];
    let below: BTreeSet<String> = files
        .list(BRANCHES)
        .await?
        .iter()
        .filter_map(|file| file.path.rsplit_once('/'))
        .filter_map(|(directory, _)| directory.strip_suffix(VERSIONS)?.strip_suffix('/'))
        .map(ToOwned::to_owned)
        .collect();
    for directory in below {
        let names = names_in(files, &directory).await?;
        if names.paths().is_some() {
            all.push((directory, names));
        }
    }
    Ok(all)
}

/// The names of the manifests of a chain.
///
/// # Errors
///
/// When its directory cannot be listed.
pub(super) async fn names_in(files: &Files, directory: &str) -> Result<ManifestNames, TableError> {
    let listed = files.below(directory).below(VERSIONS).list_directly().await?;
    Ok(ManifestNames::of(listed.iter().map(|file| file.path.as_str())))
}

async fn facts(table: &Dataset, named: &TableRef) -> Result<FormatFacts, LanceFailure> {
    let failed = |source| LanceFailure::new(format!("failed to read the form of {named}"), source);
    let manifest = table.manifest();
    let mut files: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for file in table.fragments().iter().flat_map(|fragment| fragment.files.iter()) {
        let version = file.file_version().map_err(failed)?;
        let of = files.entry(version.to_string()).or_default();
        of.0 += 1;
        of.1 += file.file_size_bytes.get().map_or(0, std::num::NonZero::get);
    }
    let indexes = table.load_indices().await.map_err(failed)?;
    let names: BTreeSet<&str> = indexes.iter().map(|index| index.name.as_str()).collect();
    Ok(FormatFacts {
        storage_version: manifest.data_storage_format.lance_file_format().to_string(),
        files,
        stable_row_ids: manifest.uses_stable_row_ids(),
        has_blobs: table.schema().fields_pre_order().any(lance::datatypes::Field::is_blob),
        indexes: names
            .into_iter()
            .filter(|name| !name.starts_with(OWN_INDEX))
            .map(ToOwned::to_owned)
            .collect(),
        config: manifest.config.clone().into_iter().collect(),
    })
}

/// What is said of the rewriting of a table's data files.
pub(super) fn storage_words(plan: &StoragePlan, default: &str, wanted: StorageVersion) -> String {
    if plan.is_nothing() {
        return format!("every data file is of version {wanted}");
    }
    let files = match plan.files {
        0 => "no data file is to be written anew".to_owned(),
        1 => format!("write 1 data file anew as {wanted}"),
        n => format!("write {n} data files anew as {wanted}"),
    };
    match plan.mixes {
        true => format!(
            "{files}; the table itself stays at {default}: clients write new rows as {default} until a compaction, and those with a Lance before 12 do not open it any more"
        ),
        false => files,
    }
}
