//! How a root is shown to people: the whole path, and no secrets. What a root is, and where
//! it lies for Lance, is the business of `store`.

use std::path::{Path, absolute};

/// The place a root means, for the line on stderr. A path that does not exist stays readable.
pub(crate) fn resolved(uri: &str) -> String {
    if uri.contains("://") {
        return without_secrets(uri);
    }
    let path = Path::new(uri);
    let resolved = path.canonicalize().or_else(|_| absolute(path));
    resolved.map_or_else(|_| uri.to_owned(), |path| path.display().to_string())
}

/// Whether a root lies on this machine. What looks like no URI is a path.
pub(crate) fn is_local(uri: &str) -> bool {
    const HERE: [&str; 4] = ["file", "file-object-store", "memory", "shared-memory"];
    uri.split_once("://").is_none_or(|(scheme, _)| HERE.contains(&scheme.to_lowercase().as_str()))
}

/// A URI without what may be a password: the user part and the query.
pub(crate) fn without_secrets(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else {
        return uri.to_owned();
    };
    let (rest, query) = match rest.split_once('?') {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None => authority.to_owned(),
    };
    format!("{scheme}://{authority}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_uris_are_hidden() {
        for (uri, shown) in [
            ("s3://bucket/graph", "s3://bucket/graph"),
            ("s3://key:secret@bucket/a@b", "s3://***@bucket/a@b"),
            ("s3://bucket/graph?token=1", "s3://bucket/graph?***"),
            ("file:///a?b", "file:///a?***"),
            ("/plain/p?th", "/plain/p?th"),
        ] {
            assert_eq!(without_secrets(uri), shown);
        }
    }

    #[test]
    fn relative_paths_become_whole() {
        assert!(Path::new(&resolved("no/such/place")).is_absolute());
        assert_eq!(resolved("s3://bucket/x"), "s3://bucket/x");
    }
}
