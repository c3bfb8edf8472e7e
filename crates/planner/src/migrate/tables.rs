//! Tables of databases: which of them a step changes, and what forbids it. The names of manifests, row ids that
//! stay, and the version of data files.
//!
//! # Names of manifests
//!
//! Where a directory has both names, Lance opens nothing on a local disk, and elsewhere takes the newest of the new
//! names for HEAD. So names are changed newest first: at any moment whoever opens the table sees the true HEAD or an
//! error. A renaming that was cut off is planned again by what is there.
//!
//! Not here: whether somebody has a table open to write, which nobody can know.

use std::collections::{BTreeMap, BTreeSet};

use lancekeeper_model::{ManifestPaths, StorageVersion, TableRef, Version};
use thiserror::Error;

/// The key in the configuration of a table by which Lance's compaction, and ours, chooses the version of the files
/// it writes.
pub const COMPACTION_STORAGE_KEY: &str = "lance.compaction.data_storage_version";

/// What the configuration keys of Lance begin with by which any commit deletes old versions.
const AUTO_CLEANUP_PREFIX: &str = "lance.auto_cleanup.";

/// The versions whose manifests lie in a directory under the old name, and under the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestNames {
    /// As `3.manifest`.
    pub old: BTreeSet<Version>,
    /// As `18446744073709551612.manifest`.
    pub new: BTreeSet<Version>,
}

impl ManifestNames {
    /// Those among the names of the files in a directory. Whatever else lies there is left alone.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        for name in names {
            let Some(number) = name.strip_suffix(".manifest") else { continue };
            let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let Some(number) = number.parse::<u64>().ok().filter(|_| is_number) else { continue };
            // As Lance tells them apart: by their length alone.
            if name.len() == new_name(Version(0)).len() {
                found.new.insert(Version(u64::MAX - number));
            } else if old_name(Version(number)) == name {
                found.old.insert(Version(number));
            }
        }
        found
    }

    /// How the manifests are named; `None` if there are none.
    #[must_use]
    pub fn paths(&self) -> Option<ManifestPaths> {
        match (self.old.is_empty(), self.new.is_empty()) {
            (true, true) => None,
            (false, true) => Some(ManifestPaths::V1),
            (true, false) => Some(ManifestPaths::V2),
            (false, false) => Some(ManifestPaths::Mixed),
        }
    }

    /// Every version, whatever its name.
    #[must_use]
    pub fn versions(&self) -> BTreeSet<Version> {
        self.old.union(&self.new).copied().collect()
    }

    /// The versions that get another name, in this order. One that has both names is among them: whether both are
    /// the same file is seen when it is its turn.
    #[must_use]
    pub fn renames(&self) -> Vec<Version> {
        self.old.iter().rev().copied().collect()
    }
}

/// The old name of a version's manifest.
#[must_use]
pub fn old_name(version: Version) -> String {
    format!("{}.manifest", version.0)
}

/// The new name of a version's manifest: twenty digits that count down from the top.
#[must_use]
pub fn new_name(version: Version) -> String {
    format!("{:020}.manifest", u64::MAX - version.0)
}

/// What is known of a table that Lance opens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormatFacts {
    /// The version of new data files, as Lance writes it.
    pub storage_version: String,
    /// The data files, by their version: how many there are, and their bytes.
    pub files: BTreeMap<String, (u64, u64)>,
    /// Whether row ids stay when rows are moved.
    pub stable_row_ids: bool,
    /// Whether it has columns of blobs.
    pub has_blobs: bool,
    /// The names of its indexes, those of Lance's own left out.
    pub indexes: Vec<String>,
    /// Its configuration.
    pub config: BTreeMap<String, String>,
}

/// Why a step is not taken with a table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TableRefusal {
    /// Lance refuses it while there are indexes: what they say of rows would be wrong.
    #[error(
        "{table}: Lance cannot give row ids that stay to a table with indexes ({}): drop them, migrate, and build them anew", names.join(", ")
    )]
    Indexes {
        /// The table.
        table: TableRef,
        /// Their names.
        names: Vec<String>,
    },
    /// The commit is Lance's own, and would delete versions.
    #[error(
        "{table}: its configuration makes every commit of Lance's delete old versions ({key}): take that off it first"
    )]
    AutoCleanup {
        /// The table.
        table: TableRef,
        /// The key.
        key: String,
    },
    /// Files of the first format cannot stand beside others.
    #[error(
        "{table}: its data files are of Lance's first format ({found}), and those cannot stand in one table with files of {wanted}: write the table anew"
    )]
    Legacy {
        /// The table.
        table: TableRef,
        /// Its version.
        found: String,
        /// What was asked for.
        wanted: StorageVersion,
    },
    /// Not everything that a newer file holds can be written to an older one.
    #[error(
        "{table}: it is at {found}, and what its files hold need not fit into files of {wanted}, which is older"
    )]
    Older {
        /// The table.
        table: TableRef,
        /// The newest version among its own and those of its files.
        found: String,
        /// What was asked for.
        wanted: StorageVersion,
    },
    /// With files of 2.2 a column of blobs becomes another one.
    #[error(
        "{table}: it has columns of blobs, and Lance makes other columns of them when it writes them in another version"
    )]
    Blobs {
        /// The table.
        table: TableRef,
    },
}

/// Whether a table is to be given row ids that stay; `false` if it has them.
///
/// # Errors
///
/// [`TableRefusal`], if Lance cannot do it or it would do more than that.
pub fn plan_row_ids(table: &TableRef, facts: &FormatFacts) -> Result<bool, TableRefusal> {
    if facts.stable_row_ids {
        return Ok(false);
    }
    let table = table.clone();
    if !facts.indexes.is_empty() {
        return Err(TableRefusal::Indexes { table, names: facts.indexes.clone() });
    }
    match facts.config.keys().find(|key| key.starts_with(AUTO_CLEANUP_PREFIX)) {
        Some(key) => Err(TableRefusal::AutoCleanup { table, key: key.clone() }),
        None => Ok(true),
    }
}

/// What takes the data files of a table to another version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoragePlan {
    /// Whether the table is to be told that compaction writes that version.
    pub tells: bool,
    /// Files of other versions.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Whether files of several versions would stand in the table, which no Lance before 12 reads.
    pub mixes: bool,
}

impl StoragePlan {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.tells && self.files == 0
    }
}

/// What takes the data files of a table to a version.
///
/// # Errors
///
/// [`TableRefusal`], if that may lose something or Lance cannot do it.
pub fn plan_storage(
    table: &TableRef,
    facts: &FormatFacts,
    wanted: StorageVersion,
) -> Result<StoragePlan, TableRefusal> {
    let versions = || std::iter::once(&facts.storage_version).chain(facts.files.keys());
    let of = |found: &String| (table.clone(), found.clone());
    if let Some((table, found)) = versions().find(|found| !found.starts_with("2.")).map(of) {
        return Err(TableRefusal::Legacy { table, found, wanted });
    }
    // They differ in one digit after the point.
    let newest = versions().max().filter(|found| found.as_str() > wanted.as_str());
    if let Some((table, found)) = newest.map(of) {
        return Err(TableRefusal::Older { table, found, wanted });
    }
    let told = facts.config.get(COMPACTION_STORAGE_KEY).map(String::as_str);
    let writes = told.unwrap_or(&facts.storage_version);
    let mut plan = StoragePlan { tells: writes != wanted.as_str(), ..StoragePlan::default() };
    for (_, (files, bytes)) in facts.files.iter().filter(|(version, _)| *version != wanted.as_str())
    {
        plan.files += files;
        plan.bytes += bytes;
    }
    plan.mixes = facts.storage_version != wanted.as_str();
    if facts.has_blobs && plan.files > 0 {
        return Err(TableRefusal::Blobs { table: table.clone() });
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::TableKey;

    use super::*;

    fn table() -> TableRef {
        TableRef::on_main(TableKey::new("events"))
    }

    fn versions(numbers: &[u64]) -> BTreeSet<Version> {
        numbers.iter().map(|number| Version(*number)).collect()
    }

    #[test]
    fn manifests_are_known_by_both_names_and_nothing_else_is_taken_for_one() {
        let names = [
            "1.manifest",
            "12.manifest",
            "18446744073709551612.manifest",
            "latest_version_hint.json",
            "007.manifest",
            "d9223372036854775809.manifest",
            "3.manifest-0f1e2d3c-4b5a-6978-8a9b-acbdcedfe0f1",
            "x.manifest",
            ".manifest",
            "3.manifest.bak",
            ".tmp123456",
        ];
        let found = ManifestNames::of(names);
        assert_eq!((&found.old, &found.new), (&versions(&[1, 12]), &versions(&[3])));
        assert_eq!(found.paths(), Some(ManifestPaths::Mixed));
        assert_eq!(found.versions(), versions(&[1, 3, 12]));
        for version in [0, 1, 3, u64::MAX >> 1].map(Version) {
            let by_old = ManifestNames::of([old_name(version).as_str()]);
            let by_new = ManifestNames::of([new_name(version).as_str()]);
            assert_eq!(by_old.paths(), Some(ManifestPaths::V1));
            assert_eq!(by_new.paths(), Some(ManifestPaths::V2));
            assert_eq!(by_old.versions(), by_new.versions());
        }
        assert_eq!(ManifestNames::of(["readme"]).paths(), None);
    }

    /// Whoever opens a table while it is renamed takes the newest of the new names for HEAD.
    #[test]
    fn the_newest_manifest_is_renamed_first_and_a_renaming_that_was_cut_off_goes_on() {
        let mut names = ManifestNames { old: versions(&[2, 3, 10, 11]), new: versions(&[]) };
        let all = names.versions();
        let head = all.last().copied();
        let mut renamed = 0;
        while let Some(version) = names.renames().first().copied() {
            names.old.remove(&version);
            names.new.insert(version);
            renamed += 1;
            assert_eq!(names.new.last().copied(), head);
            assert_eq!(names.versions(), all);
        }
        assert_eq!((renamed, names.paths()), (4, Some(ManifestPaths::V2)));
    }

    fn facts() -> FormatFacts {
        FormatFacts {
            storage_version: "2.0".to_owned(),
            files: BTreeMap::from([("2.0".to_owned(), (3, 300)), ("2.1".to_owned(), (1, 50))]),
            ..FormatFacts::default()
        }
    }

    #[test]
    fn row_ids_are_given_only_where_lance_can_and_does_nothing_else() {
        assert_eq!(plan_row_ids(&table(), &facts()), Ok(true));
        let has = FormatFacts { stable_row_ids: true, indexes: vec!["a".to_owned()], ..facts() };
        assert_eq!(plan_row_ids(&table(), &has), Ok(false));
        let indexed = FormatFacts { indexes: vec!["a_idx".to_owned()], ..facts() };
        let refused = plan_row_ids(&table(), &indexed).unwrap_err().to_string();
        assert!(refused.contains("a_idx"), "{refused}");
        let key = "lance.auto_cleanup.interval".to_owned();
        let cleaning = FormatFacts { config: BTreeMap::from([(key, "20".to_owned())]), ..facts() };
        let refused = plan_row_ids(&table(), &cleaning).unwrap_err();
        assert!(matches!(refused, TableRefusal::AutoCleanup { .. }), "{refused}");
    }

    #[test]
    fn files_of_other_versions_are_written_anew_and_the_table_is_told_so_that_it_stays_like_that() {
        let plan = |facts: &FormatFacts, wanted| plan_storage(&table(), facts, wanted).unwrap();
        let newer = StoragePlan { tells: true, files: 3, bytes: 300, mixes: true };
        assert_eq!(plan(&facts(), StorageVersion::V2_1), newer);
        let all = StoragePlan { tells: true, files: 4, bytes: 350, mixes: true };
        assert_eq!(plan(&facts(), StorageVersion::V2_2), all);
        let told = |version: &str| FormatFacts {
            config: BTreeMap::from([(COMPACTION_STORAGE_KEY.to_owned(), version.to_owned())]),
            ..facts()
        };
        assert!(!plan(&told("2.1"), StorageVersion::V2_1).tells);
        assert!(plan(&told("2.1"), StorageVersion::V2_2).tells);
        let done =
            FormatFacts { files: BTreeMap::from([("2.1".to_owned(), (4, 1))]), ..told("2.1") };
        assert!(plan(&done, StorageVersion::V2_1).is_nothing());
    }

    #[test]
    fn what_need_not_fit_into_other_files_is_left_as_it_is() {
        let refused = |facts: &FormatFacts, wanted| plan_storage(&table(), facts, wanted);
        let older = refused(&facts(), StorageVersion::V2_0).unwrap_err();
        assert!(matches!(&older, TableRefusal::Older { found, .. } if found == "2.1"), "{older}");
        let blobs = FormatFacts { has_blobs: true, ..facts() };
        let blobs = refused(&blobs, StorageVersion::V2_1).unwrap_err();
        assert!(matches!(blobs, TableRefusal::Blobs { .. }), "{blobs}");
    }

    #[test]
    fn files_of_the_first_format_are_not_mixed_with_others() {
        let of_files =
            FormatFacts { files: BTreeMap::from([("0.1".to_owned(), (3, 300))]), ..facts() };
        let of_table = FormatFacts { storage_version: "0.1".to_owned(), ..facts() };
        for facts in [of_files, of_table] {
            let refused = plan_storage(&table(), &facts, StorageVersion::V2_1).unwrap_err();
            assert!(matches!(refused, TableRefusal::Legacy { .. }), "{refused}");
        }
    }
}
