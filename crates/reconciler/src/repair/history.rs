//! What each version did to the rows that readers get, by the transaction that Lance stored with it.

use lance::Dataset;
use lance::dataset::transaction::{Operation, UpdateMap};
use lancekeeper_model::Version;
use lancekeeper_planner::repair::{Effect, VERSIONS_MAX, VersionFacts};

/// How keys of the configuration begin by which Lance deletes old versions after commits, pinned ones included.
const AUTO_CLEANUP: &str = "lance.auto_cleanup.";

/// What was committed after `from`, oldest first; at most [`VERSIONS_MAX`] versions of it.
pub(super) async fn versions_after(
    head: &Dataset,
    from: Version,
    to: Version,
) -> Vec<VersionFacts> {
    let last = to.0.min(from.0.saturating_add(VERSIONS_MAX));
    let mut versions = Vec::new();
    for version in from.0 + 1..=last {
        let found = head.read_version_transaction(version).await;
        let (operation, effect) = match found {
            Ok(found) => match found.transaction {
                Some(transaction) => of_operation(&transaction.operation),
                None => ("no transaction is stored".to_owned(), Effect::Unreadable),
            },
            Err(error) => (error.to_string(), Effect::Unreadable),
        };
        versions.push(VersionFacts { version: Version(version), operation, effect });
    }
    versions
}

fn of_operation(operation: &Operation) -> (String, Effect) {
    (operation.to_string(), effect_of(operation))
}

/// Whatever is not known to keep every row as it is counts as a change.
fn effect_of(operation: &Operation) -> Effect {
    match operation {
        Operation::Rewrite { .. }
        | Operation::ReserveFragments { .. }
        | Operation::CreateIndex { .. } => Effect::Maintenance,
        Operation::Restore { version } => Effect::Restore(Version(*version)),
        // Ours and newer clients take that away before they compact a table. Any other configuration decides how
        // the table behaves, and is its owner's to publish.
        Operation::UpdateConfig {
            config_updates: Some(updates),
            table_metadata_updates: None,
            schema_metadata_updates: None,
            field_metadata_updates,
        } if field_metadata_updates.is_empty() && only_ends_auto_cleanup(updates) => {
            Effect::Maintenance
        }
        Operation::Unknown { .. } => Effect::Unreadable,
        _ => Effect::Change,
    }
}

fn only_ends_auto_cleanup(updates: &UpdateMap) -> bool {
    let entries = &updates.update_entries;
    let ends =
        entries.iter().all(|entry| entry.value.is_none() && entry.key.starts_with(AUTO_CLEANUP));
    !updates.replace && !entries.is_empty() && ends
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn config(updates: &[(&str, Option<&str>)], replace: bool) -> Operation {
        let entry = |(key, value): &(&str, Option<&str>)| {
            let value = value.map(ToOwned::to_owned);
            lance::dataset::transaction::UpdateMapEntry { key: (*key).to_owned(), value }
        };
        Operation::UpdateConfig {
            config_updates: Some(UpdateMap {
                update_entries: updates.iter().map(entry).collect(),
                replace,
            }),
            table_metadata_updates: None,
            schema_metadata_updates: None,
            field_metadata_updates: HashMap::new(),
        }
    }

    #[test]
    fn only_operations_that_keep_every_row_are_maintenance() {
        let maintenance = [
            Operation::Rewrite {
                groups: vec![],
                rewritten_indices: vec![],
                frag_reuse_index: None,
            },
            Operation::ReserveFragments { num_fragments: 3 },
            Operation::CreateIndex { new_indices: vec![], removed_indices: vec![] },
            config(&[("lance.auto_cleanup.interval", None)], false),
        ];
        for operation in maintenance {
            assert_eq!(effect_of(&operation), Effect::Maintenance, "{operation}");
        }
        let change = [
            Operation::Append { fragments: vec![] },
            Operation::Delete {
                updated_fragments: vec![],
                deleted_fragment_ids: vec![],
                predicate: "false".to_owned(),
            },
            Operation::UpdateBases { new_bases: vec![] },
            config(&[], false),
            config(&[("lance.auto_cleanup.interval", Some("1"))], false),
            config(&[("lance.auto_cleanup.interval", None), ("owner", None)], false),
            config(&[("lance.auto_cleanup.interval", None)], true),
        ];
        for operation in change {
            assert_eq!(effect_of(&operation), Effect::Change, "{operation}");
        }
        let restore = Operation::Restore { version: 4 };
        assert_eq!(effect_of(&restore), Effect::Restore(Version(4)));
    }
}
