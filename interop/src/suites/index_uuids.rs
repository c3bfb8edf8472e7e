//! The index segments of a graph's tables, as pylance sees them at the pinned versions.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::graph::Graph;
use super::output;

/// Prints `{"TABLE": {"INDEX": ["UUID", ...]}}`.
const SCRIPT: &str = r"
import json, sys, lance
print(json.dumps({
    table['key']: {
        index.name: [str(segment.uuid) for segment in index.segments]
        for index in lance.dataset(table['path'], version=table['version']).describe_indices()
    }
    for table in json.loads(sys.argv[1])
}))
";

/// Triples of table, index and segment.
pub(super) type Segments = BTreeSet<[String; 3]>;

pub(super) fn of_main(graph: &Graph<'_>) -> Result<Segments> {
    let tables = graph.client.tables(&graph.path(), "main")?.into_iter().map(|table| {
        json!({ "key": table.key, "path": graph.path().join(table.path), "version": table.version })
    });
    let tables = Value::Array(tables.collect()).to_string();
    let mut command = Command::new(&graph.lab.clients.python);
    let text = output(command.args(["-c", SCRIPT, &tables]))?;
    parse(&text).with_context(|| format!("not a list of index segments: {text}"))
}

fn parse(text: &str) -> Result<Segments> {
    let tables: BTreeMap<String, BTreeMap<String, Vec<String>>> = serde_json::from_str(text)?;
    let mut segments = Segments::new();
    for (table, indexes) in tables {
        for (index, uuids) in indexes {
            segments.extend(uuids.into_iter().map(|uuid| [table.clone(), index.clone(), uuid]));
        }
    }
    Ok(segments)
}

/// Every segment is still there: a client that could not read one would have built it anew.
pub(super) fn expect_kept(before: &Segments, after: &Segments) -> Result<()> {
    ensure!(!before.is_empty(), "there is no index");
    let gone: Vec<_> = before.difference(after).collect();
    ensure!(gone.is_empty(), "{} of {} segments are gone: {gone:?}", gone.len(), before.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_was_built_anew_is_found() {
        let before = parse(r#"{"node:A": {"id_idx": ["u1"], "name_idx": ["u2", "u3"]}}"#).unwrap();
        let after = parse(r#"{"node:A": {"id_idx": ["u9"], "name_idx": ["u2", "u3"]}}"#).unwrap();
        assert_eq!(before.len(), 3);
        assert!(expect_kept(&before, &before).is_ok());
        assert!(expect_kept(&before, &after).is_err());
        assert!(expect_kept(&Segments::new(), &after).is_err());
    }
}
