//! Rows of `count-rows`.

use lancekeeper_model::{Branch, ErrorKind, RootCounts, RootKind, TableCount, Version};
use lancekeeper_store::failure::{full_text, hint_of};

use crate::root::Target;

/// A root that could not be read, or of which something was asked that it does not have.
pub(crate) fn failure(
    uri: &str,
    kind: Option<RootKind>,
    error_kind: ErrorKind,
    error: &(dyn std::error::Error + 'static),
    hint: Option<&str>,
) -> RootCounts {
    RootCounts {
        uri: uri.to_owned(),
        kind,
        error: Some(full_text(error)),
        hint: hint.or_else(|| hint_of(error)).map(ToOwned::to_owned),
        tables: Vec::new(),
        error_kind: Some(error_kind),
    }
}

/// A root that was read.
pub(crate) fn root(uri: &str, kind: RootKind, tables: Vec<TableCount>) -> RootCounts {
    let (error, hint, error_kind) = (None, None, None);
    RootCounts { uri: uri.to_owned(), kind: Some(kind), error, hint, tables, error_kind }
}

/// A table that was counted.
pub(super) fn table(target: &Target, branch: Branch, version: Version, rows: u64) -> TableCount {
    TableCount {
        table_key: target.table.key.clone(),
        branch,
        version: Some(version),
        rows: Some(rows),
        error: None,
    }
}

/// A table that could not be counted.
pub(super) fn failed(target: &Target, branch: Branch, error: String) -> TableCount {
    TableCount {
        table_key: target.table.key.clone(),
        branch,
        version: target.pin,
        rows: None,
        error: Some(error),
    }
}
