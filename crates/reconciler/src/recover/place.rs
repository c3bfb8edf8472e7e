//! Whether the places that a sidecar names are in its graph. They are full paths, spelt as the
//! root was when the client opened it, so only their ends can be relied on.

use lancekeeper_model::TableKey;
use lancekeeper_store::Root;
use lancekeeper_store::root::{identity_of, recognise};
use tokio::task::JoinError;

/// Why a path cannot be that of a table that lies at `location`, if it cannot.
pub(super) async fn misplaced(
    root: &Root,
    key: &TableKey,
    path: &str,
    location: &str,
) -> Result<Option<String>, JoinError> {
    let prefix = match prefix_of(key, path, location) {
        Ok(prefix) => prefix.to_owned(),
        Err(why) => return Ok(Some(why)),
    };
    // A relative path is of a directory that nobody knows any more.
    if !prefix.starts_with('/') || prefix == root.address {
        return Ok(None);
    }
    let (here, asked) = (root.identity(), prefix.clone());
    // Where nothing is any more, the root was called that once.
    let is_elsewhere = move || identity_of(&asked) != here && recognise(&asked).is_ok();
    let is_elsewhere = tokio::task::spawn_blocking(is_elsewhere).await?;
    Ok(is_elsewhere.then(|| format!("{path} is of another root, {prefix}")))
}

/// What comes before the location in a path that ends with it.
fn prefix_of<'p>(key: &TableKey, path: &'p str, location: &str) -> Result<&'p str, String> {
    let plain = path.strip_prefix("file://").unwrap_or(path).trim_end_matches('/');
    if plain.contains("://") {
        return Err(format!("{path} is in another store than the graph"));
    }
    let elsewhere = || format!("{path} is not where {key} lies, which is {location} in the graph");
    if plain.split('/').any(|part| part == "..") {
        return Err(elsewhere());
    }
    let prefix = plain.strip_suffix(location).ok_or_else(elsewhere)?;
    if !prefix.is_empty() && !prefix.ends_with('/') {
        return Err(elsewhere());
    }
    Ok(prefix.trim_end_matches('/'))
}

/// Why a location cannot be that of a new table of a graph, if it cannot.
pub(super) fn misplaced_new(key: &TableKey, location: &str) -> Option<String> {
    let parts: Vec<&str> = location.split('/').collect();
    let [directory, name] = parts.as_slice() else {
        return Some(format!("{location} is no place for {key}"));
    };
    let expected = if key.is_edge() { "edges" } else { "nodes" };
    let is_plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (*directory != expected || !is_plain).then(|| format!("{location} is no place for {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_with_the_place_of_its_table() {
        let key = TableKey::new("node:P");
        let prefix = |path| prefix_of(&key, path, "nodes/1f");
        for (path, expected) in [
            ("/data/g/nodes/1f", "/data/g"),
            ("file:///data/g/nodes/1f", "/data/g"),
            ("/data/g/nodes/1f/", "/data/g"),
            ("g/nodes/1f", "g"),
            ("nodes/1f", ""),
            ("/data//g//nodes/1f", "/data//g"),
        ] {
            assert_eq!(prefix(path), Ok(expected), "{path}");
        }
        for path in [
            "/etc/passwd",
            "/data/g/nodes/2f",
            "/data/g/othernodes/1f",
            "/data/g/../nodes/1f",
            "../nodes/1f",
            "s3://bucket/g/nodes/1f",
            "",
        ] {
            assert!(prefix(path).is_err(), "{path}");
        }
        let why = "/etc/passwd is not where node:P lies, which is nodes/1f in the graph";
        assert_eq!(prefix("/etc/passwd").unwrap_err(), why);
    }

    #[test]
    fn a_new_table_has_a_place_of_its_kind() {
        let misplaced = |key: &str, location| misplaced_new(&TableKey::new(key), location);
        assert_eq!(misplaced("node:P", "nodes/1f"), None);
        assert_eq!(misplaced("edge:K", "edges/1f-2"), None);
        for location in
            ["edges/1f", "nodes", "nodes/..", "nodes/a/b", "/nodes/1f", "nodes/", "__manifest/x"]
        {
            assert!(misplaced("node:P", location).is_some(), "{location}");
        }
    }
}
