//! URIs as they may be shown and written down.

/// A URI without what may be a password: the user part and the query.
#[must_use]
pub fn without_secrets(uri: &str) -> String {
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
}
