//! What a directory `__manifest` is: a graph's table of pins, or the list of tables that LanceDB
//! keeps for namespaces. Both are Lance tables of that name, and their columns tell them apart.
//! Blocks on the file system; writes nothing, and reads one manifest, no data.

use std::fs;
use std::path::Path;

use prost::Message;

/// What a Lance table `__manifest` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Catalog {
    /// A graph's table of pins. Also what cannot be read at all: whoever opens it says why, and
    /// nothing is decided past a graph's authority because that is damaged.
    Graph,
    /// The list of tables that LanceDB keeps for namespaces.
    Namespace,
    /// Neither; with its columns.
    Other(Vec<String>),
}

/// Only graphs have it, of whatever version.
const GRAPH_COLUMN: &str = "table_key";
/// Prefix of what graphs note in the schema's metadata.
const GRAPH_METADATA: &str = "omnigraph:";
const NAMESPACE_COLUMNS: [&str; 3] = ["object_id", "object_type", "location"];
/// Manifests that are tried, the newest first: a damaged newest version does not change what
/// kind of table it is.
const MANIFESTS_MAX: usize = 4;
/// Position of the message, two numbers for the format's version, four bytes that say it is one.
const FOOTER: usize = 16;
/// In front of the message stands its length.
const PREFIX: usize = 4;

/// The fields of Lance's manifest message that matter here, under its own numbers.
#[derive(Clone, PartialEq, Message)]
struct Columns {
    #[prost(message, repeated, tag = "1")]
    fields: Vec<Column>,
    #[prost(map = "string, bytes", tag = "5")]
    schema_metadata: std::collections::HashMap<String, Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Column {
    #[prost(string, tag = "2")]
    name: String,
}

/// Looks at the directory of a table `__manifest`.
pub(super) fn look(directory: &Path) -> Catalog {
    let newest = newest_manifests(&directory.join("_versions"));
    let Some(columns) = newest.iter().find_map(|file| read(file)) else { return Catalog::Graph };
    let names: Vec<String> = columns.fields.into_iter().map(|field| field.name).collect();
    let has = |name: &str| names.iter().any(|known| known == name);
    if has(GRAPH_COLUMN)
        || columns.schema_metadata.keys().any(|key| key.starts_with(GRAPH_METADATA))
    {
        Catalog::Graph
    } else if NAMESPACE_COLUMNS.into_iter().all(has) {
        Catalog::Namespace
    } else {
        Catalog::Other(names)
    }
}

fn newest_manifests(versions: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = fs::read_dir(versions) else { return Vec::new() };
    let mut files: Vec<(u64, std::path::PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let stem = path.file_name()?.to_str()?.strip_suffix(".manifest")?;
            let number: u64 = stem.parse().ok()?;
            // Twenty digits count down from the top.
            Some((if stem.len() == 20 { u64::MAX - number } else { number }, path))
        })
        .collect();
    files.sort_unstable_by(|a, b| b.cmp(a));
    files.truncate(MANIFESTS_MAX);
    files.into_iter().map(|(_, path)| path).collect()
}

/// The columns of a version; `None` when its manifest is not as Lance writes it.
fn read(file: &Path) -> Option<Columns> {
    let content = fs::read(file).ok()?;
    let end = content.len().checked_sub(FOOTER)?;
    let position = content.get(end..end + 8)?.try_into().ok()?;
    let start = usize::try_from(u64::from_le_bytes(position)).ok()?;
    let from = start.checked_add(PREFIX)?;
    let length = content.get(start..from)?.try_into().ok()?;
    let to = from.checked_add(usize::try_from(u32::from_le_bytes(length)).ok()?)?;
    let columns = Columns::decode(content.get(from..to)?).ok()?;
    // Bytes that happen to decode name nothing.
    (!columns.fields.is_empty()).then_some(columns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(columns: &[&str], metadata: &[&str]) -> Vec<u8> {
        let field = |name: &&str| Column { name: (*name).to_owned() };
        let columns = Columns {
            fields: columns.iter().map(field).collect(),
            schema_metadata: metadata.iter().map(|key| ((*key).to_owned(), vec![b'4'])).collect(),
        };
        let message = columns.encode_to_vec();
        let mut content = u32::try_from(message.len()).unwrap().to_le_bytes().to_vec();
        content.extend(message);
        content.extend(0_u64.to_le_bytes());
        content.extend([0, 0, 2, 0]);
        content.extend(b"LANC");
        content
    }

    fn table(versions: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("_versions")).unwrap();
        for (name, content) in versions {
            fs::write(dir.path().join("_versions").join(name), content).unwrap();
        }
        dir
    }

    const NAMESPACE: &[&str] = &["object_id", "object_type", "location", "metadata"];

    #[test]
    fn columns_tell_a_graph_from_a_namespace_and_both_from_anything_else() {
        let graph = ["object_id", "object_type", "location", "metadata", "table_key"];
        for (columns, metadata, expected) in [
            (&graph[..], &[][..], Catalog::Graph),
            (NAMESPACE, &[], Catalog::Namespace),
            (NAMESPACE, &["omnigraph:internal_schema_version"], Catalog::Graph),
            (&["id"], &[], Catalog::Other(vec!["id".to_owned()])),
        ] {
            let dir = table(&[("1.manifest", manifest(columns, metadata))]);
            assert_eq!(look(dir.path()), expected);
        }
    }

    #[test]
    fn the_newest_version_that_can_be_read_counts_and_none_is_a_graphs() {
        let old = format!("{:020}.manifest", u64::MAX - 9);
        let new = format!("{:020}.manifest", u64::MAX - 10);
        let dir = table(&[
            (&old, manifest(NAMESPACE, &[])),
            (&new, b"damaged".to_vec()),
            ("latest_version_hint.json", b"{}".to_vec()),
        ]);
        assert_eq!(look(dir.path()), Catalog::Namespace);
        fs::remove_file(dir.path().join("_versions").join(old)).unwrap();
        assert_eq!(look(dir.path()), Catalog::Graph);
        assert_eq!(look(&dir.path().join("absent")), Catalog::Graph);
    }

    #[test]
    fn whatever_is_cut_is_no_manifest_and_no_panic() {
        let whole = manifest(NAMESPACE, &[]);
        for length in 0..whole.len() {
            let dir = table(&[("1.manifest", whole[..length].to_vec())]);
            assert_eq!(look(dir.path()), Catalog::Graph, "{length}");
        }
    }
}
