//! The lines of an export: whether a command was done as a whole, and who is there.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::suites::graph::expect_same;
use crate::suites::omnigraph::Lines;

/// What is there is `whole`, or `nothing` if the command was not called done, and no key is there twice.
pub(super) fn judge(nothing: &Lines, whole: &Lines, found: &Lines, done: bool) -> Result<()> {
    let people = names(found)?;
    let distinct: BTreeSet<_> = people.iter().collect();
    ensure!(distinct.len() == people.len(), "a key is there twice");
    if done || found != nothing {
        expect_same(whole, found).context("it is not there as a whole")?;
    }
    Ok(())
}

/// An export without the ids of edges, which the client draws.
pub(super) fn known(lines: &Lines) -> Result<Lines> {
    let mut known = lines
        .iter()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line)?;
            if row["edge"].is_string()
                && let Some(data) = row["data"].as_object_mut()
            {
                data.remove("id");
            }
            Ok(row.to_string())
        })
        .collect::<Result<Lines>>()?;
    known.sort();
    Ok(known)
}

/// The names of all persons, as often as they are there.
pub(super) fn names(lines: &Lines) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for line in lines {
        let row: Value = serde_json::from_str(line)?;
        if let (true, Some(name)) = (row["type"] == "Person", row["data"]["name"].as_str()) {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// A person, or an edge of theirs.
pub(super) fn is_about(line: &str, name: &str) -> bool {
    let row: Value = serde_json::from_str(line).unwrap_or_default();
    let is_person = row["type"] == "Person" && row["data"]["name"] == name;
    is_person || row["edge"].is_string() && (row["from"] == name || row["to"] == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_doubles_and_what_was_done_and_is_gone_are_found() {
        let lines = |names: &[&str]| -> Lines {
            let line = |name| format!(r#"{{"type":"Person","data":{{"name":"{name}"}}}}"#);
            names.iter().map(line).collect()
        };
        let (nothing, whole) = (lines(&["a"]), lines(&["a", "b", "c"]));
        assert!(judge(&nothing, &whole, &whole, true).is_ok());
        assert!(judge(&nothing, &whole, &whole, false).is_ok());
        assert!(judge(&nothing, &whole, &nothing, false).is_ok());
        assert!(judge(&nothing, &whole, &nothing, true).is_err());
        assert!(judge(&nothing, &whole, &lines(&["a", "b"]), false).is_err());
        assert!(judge(&nothing, &whole, &lines(&["a", "b", "c", "c"]), false).is_err());
        assert!(judge(&nothing, &whole, &lines(&["b", "c"]), false).is_err());
    }

    #[test]
    fn ids_of_edges_do_not_count_and_persons_do() {
        let lines = [
            r#"{"edge":"Knows","from":"a","to":"b","data":{"id":"01X","since":null}}"#,
            r#"{"type":"Person","data":{"name":"a","id":"a"}}"#,
        ];
        let lines: Lines = lines.map(str::to_owned).to_vec();
        let known = known(&lines).unwrap();
        assert!(!known.iter().any(|line| line.contains("01X")), "{known:?}");
        assert_eq!(names(&known).unwrap(), ["a"]);
        assert!(known.iter().all(|line| is_about(line, "a")));
        assert_eq!(known.iter().filter(|line| is_about(line, "b")).count(), 1);
    }
}
