//! Whose versions are these? Answered by the transactions Lance stored with them.

use lance::Dataset;
use lancekeeper_model::{OperationId, Version};

use crate::strict::OPERATION_PROPERTY;

/// Versions looked at when ownership is asked for. A writer that is further ahead of its pin
/// than this is none of ours: an operation of ours makes a handful of commits per table.
const VERSIONS_MAX: u64 = 256;

/// Who committed a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A keeper, in this operation.
    Ours(OperationId),
    /// Somebody else.
    Foreign,
    /// The version or its transaction could not be read, so it is not provably ours.
    Unreadable(String),
}

/// The owners of versions `from + 1 ..= to`, oldest first. Reads at most
/// a few hundred of them; what is beyond is reported as foreign.
pub async fn owners_between(dataset: &Dataset, from: Version, to: Version) -> Vec<Owner> {
    let mut owners = Vec::new();
    for version in from.0 + 1..=to.0 {
        if version - from.0 > VERSIONS_MAX {
            owners.push(Owner::Foreign);
            break;
        }
        owners.push(owner_of(dataset, Version(version)).await);
    }
    owners
}

async fn owner_of(dataset: &Dataset, version: Version) -> Owner {
    match dataset.read_version_transaction(version.0).await {
        Ok(found) => found
            .transaction
            .and_then(|transaction| transaction.transaction_properties)
            .and_then(|properties| properties.get(OPERATION_PROPERTY).cloned())
            .map_or(Owner::Foreign, |id| Owner::Ours(OperationId::new(id))),
        Err(error) => Owner::Unreadable(error.to_string()),
    }
}
