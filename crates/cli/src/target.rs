//! How a root is shown to people: the whole path, and no secrets. What a root is, and where
//! it lies for Lance, is the business of `store`.

use std::path::{Path, absolute};

pub(crate) use lancekeeper_model::without_secrets;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_become_whole() {
        assert!(Path::new(&resolved("no/such/place")).is_absolute());
        assert_eq!(resolved("s3://bucket/x"), "s3://bucket/x");
    }
}
