//! What cleanup reads of manifests is what Lance reads of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lance_io::object_store::ObjectStore;
use lance_table::io::commit::{ManifestLocation, ManifestNamingScheme};
use lance_table::io::manifest::{read_manifest, read_manifest_indexes};
use lancekeeper::TableKey;
use lancekeeper_planner::cleanup::{DatasetFacts, FileClass, Role, UnitId, VersionFacts};
use lancekeeper_reconciler::cleanup::{DatasetPlace, list_dataset};
use lancekeeper_store::Tables;
use lancekeeper_store::root::recognise;
use lancekeeper_testkit::FixturePath;

/// Directories of datasets below a root, relative to it.
fn datasets(root: &Path, below: &str, found: &mut Vec<String>) {
    if root.join(below).join("_versions").is_dir() {
        return found.push(below.to_owned());
    }
    for entry in std::fs::read_dir(root.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() && !name.starts_with("__m") || name == "__manifest" {
            let separator = if below.is_empty() { "" } else { "/" };
            datasets(root, &format!("{below}{separator}{name}"), found);
        }
    }
}

/// How manifests call a part: a file's name, or the uuid of an index.
fn name_of(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.iter().position(|part| *part == "_indices") {
        Some(at) => parts[at + 1].to_owned(),
        None => (*parts.last().unwrap()).to_owned(),
    }
}

fn names(facts: &DatasetFacts) -> BTreeMap<UnitId, String> {
    let files = facts.files.iter().filter(|file| !file.path.ends_with(".blob"));
    files
        .filter_map(|file| match file.class {
            FileClass::Part(unit) => Some((unit, name_of(&file.path))),
            _ => None,
        })
        .collect()
}

/// Compares one version; returns how much it refers to.
async fn compare(
    root: &Path,
    facts: &DatasetFacts,
    version: &VersionFacts,
    names: &BTreeMap<UnitId, String>,
) -> usize {
    let store = ObjectStore::local();
    let file = &facts.files[version.manifest.0 as usize];
    let path = root.join(&facts.location).join(&file.path);
    let path = object_store::path::Path::from_absolute_path(&path).unwrap();
    let manifest = read_manifest(&store, &path, Some(file.bytes)).await.unwrap();
    let place = ManifestLocation {
        version: manifest.version,
        path,
        size: Some(file.bytes),
        naming_scheme: ManifestNamingScheme::V2,
        e_tag: None,
        identity: None,
    };
    let indexes = read_manifest_indexes(&store, &place, &manifest).await.unwrap();
    assert_eq!(version.version.0, manifest.version);
    assert_eq!(version.committed_at, manifest.timestamp());
    assert_eq!(version.fragments, manifest.fragments.len() as u64);
    let mut expected = BTreeSet::new();
    for fragment in manifest.fragments.iter() {
        expected.extend(fragment.referenced_lance_files().map(|file| file.path.clone()));
        expected.extend(fragment.deletion_file.as_ref().map(|deletion| {
            let path =
                lance_table::io::deletion::relative_deletion_file_path(fragment.id, deletion);
            name_of(&path)
        }));
    }
    expected.extend(indexes.iter().map(|index| index.uuid.to_string()));
    expected.extend(manifest.transaction_file.clone());
    // Indexes without files, transactions that were collected.
    let listed: BTreeSet<&String> = names.values().collect();
    expected.retain(|name| listed.contains(name));
    let found: BTreeSet<String> = version.refs.iter().map(|unit| names[unit].clone()).collect();
    assert_eq!(found, expected, "{} {}", facts.location, version.version);
    assert_eq!(version.missing, None);
    found.len()
}

async fn compare_all(uri: &str) -> usize {
    let root = recognise(uri).unwrap();
    let mut locations = Vec::new();
    datasets(&root.directory, "", &mut locations);
    let mut compared = 0;
    for location in locations {
        let (table, role) = (TableKey::new(&location), Role::Plain);
        let place = DatasetPlace { table, location, role };
        let listed = list_dataset(&Tables::new(), &root, &place, &BTreeSet::new()).await.unwrap();
        let names = names(&listed.facts);
        for version in listed.facts.chains.iter().flat_map(|chain| &chain.versions) {
            compared += compare(&root.directory, &listed.facts, version, &names).await;
        }
    }
    compared
}

#[tokio::test]
async fn versions_refer_to_what_lance_says_they_do_at_fixture_path() {
    let fixture = FixturePath::unpack("omnigraph-0.7.0-branches").unwrap();
    for name in ["omnigraph-0.7.0-branches", "omnigraph-0.8.0-branches"] {
        fixture.reset(name).unwrap();
        let compared = compare_all(&fixture.uri()).await;
        assert!(compared > 500, "{name}: {compared}");
    }
    let databases = lancekeeper_testkit::Fixture::unpack("lancedb-python-0.40").unwrap();
    for name in ["lancedb", "lancedb-music"] {
        let compared = compare_all(&databases.uri(name)).await;
        assert!(compared > 10, "{name}: {compared}");
    }
}
