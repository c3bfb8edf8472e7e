//! Which versions of which tables `verify` looks at: each once, whoever names it and however often.
//!
//! Not here: what is looked at in a version, and which fragments and indexes of it were looked at in
//! another one already; that is known only once it is open.

use std::collections::BTreeMap;

use lancekeeper_model::{Branch, TableKey, Version};

/// A version of a table that somebody names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The table.
    pub key: TableKey,
    /// Where it lies, relative to the root.
    pub location: String,
    /// The branch of the table that has the version.
    pub branch: Branch,
    /// The version.
    pub version: Version,
    /// Who names it.
    pub by: Namer,
}

/// Who names a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Namer {
    /// It is there.
    Listing,
    /// A tag of this name.
    Tag(String),
    /// A version of `__manifest`, on a branch of the graph.
    Pin {
        /// The branch.
        branch: Branch,
        /// The version.
        version: Version,
        /// How many rows it says there are.
        rows: u64,
    },
}

/// A table with what is to be looked at of it, on all its branches: forks share files with what they
/// were cut from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableToCheck {
    /// The table.
    pub key: TableKey,
    /// Where it lies, relative to the root.
    pub location: String,
    /// Its branches, main first, each with its versions, the newest first.
    pub branches: BTreeMap<Branch, Vec<VersionToCheck>>,
}

/// A version that is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionToCheck {
    /// The version.
    pub version: Version,
    /// Whether it is known to be there.
    pub is_listed: bool,
    /// The tags on it.
    pub tags: Vec<String>,
    /// Per branch of the graph and number of rows, the newest version of `__manifest` that pins it.
    pub pins: BTreeMap<(Branch, u64), Version>,
}

/// Sorts what is named by table, branch and version. Tables are in the order of their keys.
#[must_use]
pub fn plan_versions(named: impl IntoIterator<Item = Named>) -> Vec<TableToCheck> {
    type Versions = BTreeMap<Version, VersionToCheck>;
    let mut tables: BTreeMap<(TableKey, String), BTreeMap<Branch, Versions>> = BTreeMap::new();
    for Named { key, location, branch, version, by } in named {
        let versions = tables.entry((key, location)).or_default().entry(branch).or_default();
        let entry = versions.entry(version).or_insert_with(|| VersionToCheck {
            version,
            is_listed: false,
            tags: Vec::new(),
            pins: BTreeMap::new(),
        });
        match by {
            Namer::Listing => entry.is_listed = true,
            Namer::Tag(name) => entry.tags.push(name),
            Namer::Pin { branch, version, rows } => {
                let newest = entry.pins.entry((branch, rows)).or_insert(version);
                *newest = version.max(*newest);
            }
        }
    }
    let table = |((key, location), branches): ((TableKey, String), BTreeMap<Branch, Versions>)| {
        let newest_first = |(branch, versions): (Branch, Versions)| {
            (branch, versions.into_values().rev().collect())
        };
        TableToCheck { key, location, branches: branches.into_iter().map(newest_first).collect() }
    };
    tables.into_iter().map(table).collect()
}

impl VersionToCheck {
    /// Who names it, for a message; empty if it is only there.
    #[must_use]
    pub fn named_by(&self) -> String {
        let pins = self
            .pins
            .iter()
            .map(|((branch, _), version)| format!("version {version} of __manifest on {branch}"));
        let tags = self.tags.iter().map(|tag| format!("tag {tag}"));
        pins.chain(tags).collect::<Vec<_>>().join(", ")
    }

    /// Those who pin it and say that it has another number of rows than this.
    pub fn contradicting(&self, rows: u64) -> impl Iterator<Item = (&Branch, Version, u64)> {
        let others = self.pins.iter().filter(move |((_, declared), _)| *declared != rows);
        others.map(|((branch, declared), version)| (branch, *version, *declared))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(key: &str, branch: &str, version: u64, by: Namer) -> Named {
        Named {
            key: TableKey::new(key),
            location: format!("nodes/{key}"),
            branch: Branch::named(branch),
            version: Version(version),
            by,
        }
    }

    fn pin(branch: &str, version: u64, rows: u64) -> Namer {
        Namer::Pin { branch: Branch::named(branch), version: Version(version), rows }
    }

    #[test]
    fn a_version_is_looked_at_once_whoever_names_it_and_the_newest_first() {
        let tables = plan_versions([
            named("b", "main", 3, pin("main", 7, 10)),
            named("a", "main", 1, Namer::Listing),
            named("b", "main", 3, pin("main", 9, 10)),
            named("b", "main", 3, pin("main", 8, 10)),
            named("b", "main", 5, pin("main", 10, 12)),
            named("b", "main", 3, pin("work", 4, 10)),
            named("b", "work", 6, pin("work", 5, 11)),
            named("a", "main", 1, Namer::Tag("first".to_owned())),
        ]);
        type Shape<'a> = Vec<(&'a str, Vec<(&'a str, Vec<u64>)>)>;
        let shape: Shape<'_> = tables
            .iter()
            .map(|table| {
                let branches = table.branches.iter().map(|(branch, versions)| {
                    (branch.label(), versions.iter().map(|entry| entry.version.0).collect())
                });
                (table.key.as_str(), branches.collect())
            })
            .collect();
        let expected = vec![
            ("a", vec![("main", vec![1])]),
            ("b", vec![("main", vec![5, 3]), ("work", vec![6])]),
        ];
        assert_eq!(shape, expected);
        let third = &tables[1].branches[&Branch::main()][1];
        assert_eq!(
            third.named_by(),
            "version 9 of __manifest on main, version 4 of __manifest on work"
        );
        let first = &tables[0].branches[&Branch::main()][0];
        assert!(first.is_listed);
        assert_eq!(first.named_by(), "tag first");
    }

    #[test]
    fn whoever_declares_another_number_of_rows_is_named() {
        let tables = plan_versions([
            named("a", "main", 3, pin("main", 7, 10)),
            named("a", "main", 3, pin("main", 9, 11)),
            named("a", "main", 3, pin("work", 4, 10)),
        ]);
        let version = &tables[0].branches[&Branch::main()][0];
        let wrong: Vec<_> = version.contradicting(10).collect();
        assert_eq!(wrong, [(&Branch::main(), Version(9), 11)]);
        assert_eq!(version.contradicting(11).count(), 2);
    }
}
