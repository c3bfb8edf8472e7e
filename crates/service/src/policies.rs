//! The policies of a root's tables: one small document a table, under `__maintenance/policies/`, which
//! `ALTER TABLE … SET` writes and the watcher reads.
//!
//! Not here: what options mean (`settings::policy`), and what follows from a policy (`planner::schedule`).

mod error;

use std::collections::BTreeMap;

use lancekeeper_model::{
    DocumentError, DocumentKind, POLICY_FORMAT, Policy, PolicyOption, PolicyValue, TableKey,
    file_name_of,
};
use lancekeeper_settings::check_together;
use lancekeeper_store::Files;
use serde::{Deserialize, Serialize};

pub use error::PoliciesError;

/// Where the documents lie, relative to the root.
pub const POLICIES_DIRECTORY: &str = "__maintenance/policies";
/// Where those go that are no documents, below that.
const DAMAGED: &str = "damaged";
/// Bytes of a document that is read: one with every option takes less than a kilobyte.
const BYTES_MAX: u64 = 1 << 20;
/// How often a change is made anew because somebody else wrote in between. People write policies, so twice is rare.
const ATTEMPTS: usize = 8;

/// The policies of one root. Cheap to make and to clone; nothing is looked at or created by that.
#[derive(Debug, Clone)]
pub struct Policies {
    files: Files,
}

/// What the documents of a root say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PolicyList {
    /// By table.
    pub policies: BTreeMap<TableKey, Policy>,
    /// Documents that say nothing: damaged ones, and those of a newer program.
    pub warnings: Vec<String>,
}

/// A document, as it is written.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    /// The version of the format.
    format: u32,
    /// The table, as its root calls it.
    table: String,
    /// What is wanted of it.
    policy: Policy,
}

impl PolicyList {
    /// The tables that something is set of and that are not among these, which are those of the root.
    #[must_use]
    pub fn of_no_table(&self, tables: &[String]) -> Vec<String> {
        let names = self.policies.iter().filter(|(_, policy)| !policy.is_empty());
        let names = names.map(|(table, _)| table.as_str());
        names
            .filter(|name| tables.iter().all(|table| table != name))
            .map(ToOwned::to_owned)
            .collect()
    }
}

/// What to tell of a policy without a table.
pub(crate) fn about_gone(name: &str) -> String {
    format!(
        "there is no table {name}: its policy holds for the next one of that name until it is reset"
    )
}

impl Policies {
    /// Those among the files of a root.
    #[must_use]
    pub fn of(root: &Files) -> Self {
        Self { files: root.below(POLICIES_DIRECTORY) }
    }

    /// What was set of a table; `None` if nothing was. A document that is damaged is moved aside and told, and counts
    /// as none.
    ///
    /// # Errors
    ///
    /// When the document cannot be read, or a newer program wrote it.
    ///
    /// # Cancel safety
    ///
    /// A damaged document is where it was, aside, or in both places.
    pub async fn read(&self, table: &TableKey) -> Result<Option<Policy>, PoliciesError> {
        match self.document(&name_of(table)).await {
            Ok(found) => Ok(found.map(|(document, _)| document.policy)),
            Err(error @ PoliciesError::Damaged { .. }) => {
                let _ = self.set_aside(&name_of(table), &error).await;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Every policy of the root. Documents that are damaged are moved aside and told; those of a newer program are told.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed, or a document cannot be read.
    ///
    /// # Cancel safety
    ///
    /// As [`Policies::read`].
    pub async fn list(&self) -> Result<PolicyList, PoliciesError> {
        let mut list = PolicyList::default();
        for name in self.files.names(".json").await? {
            match self.document(&name).await {
                Ok(Some((document, _))) => {
                    list.policies.insert(TableKey::new(document.table), document.policy);
                }
                Ok(None) => {}
                Err(error @ PoliciesError::Damaged { .. }) => {
                    list.warnings.push(self.set_aside(&name, &error).await);
                }
                Err(error @ PoliciesError::Newer { .. }) => {
                    tracing::warn!(target: "lancekeeper::policies", "{error}");
                    list.warnings.push(error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(list)
    }

    /// Sets options of a table and leaves the others as they are. Returns what holds of the table by its own document.
    ///
    /// # Errors
    ///
    /// When the options make no sense together, the document cannot be read or written, or a newer program wrote it.
    /// What was there then stays.
    ///
    /// # Cancel safety
    ///
    /// The document is the new one as a whole, or what it was.
    pub async fn set(
        &self,
        table: &TableKey,
        options: &[(PolicyOption, PolicyValue)],
    ) -> Result<Policy, PoliciesError> {
        self.change(table, |policy| {
            for (option, value) in options {
                if !policy.set(*option, value.clone()) {
                    return Err(PoliciesError::Kind { option: *option });
                }
            }
            check_together(policy).map_err(PoliciesError::Option)
        })
        .await
    }

    /// Takes options of a table back, all of them if none is named. Returns what holds of the table by its own
    /// document.
    ///
    /// # Errors
    ///
    /// As [`Policies::set`].
    ///
    /// # Cancel safety
    ///
    /// As [`Policies::set`].
    pub async fn reset(
        &self,
        table: &TableKey,
        options: &[PolicyOption],
    ) -> Result<Policy, PoliciesError> {
        self.change(table, |policy| {
            if options.is_empty() {
                *policy = Policy::default();
            }
            options.iter().for_each(|option| policy.reset(*option));
            Ok(())
        })
        .await
    }

    async fn change(
        &self,
        table: &TableKey,
        change: impl Fn(&mut Policy) -> Result<(), PoliciesError>,
    ) -> Result<Policy, PoliciesError> {
        let name = name_of(table);
        for _ in 0..ATTEMPTS {
            let found = match self.document(&name).await {
                Ok(found) => found,
                Err(error @ PoliciesError::Damaged { .. }) => {
                    self.set_aside(&name, &error).await;
                    None
                }
                Err(error) => return Err(error),
            };
            let (mut policy, before) = match found {
                Some((document, before)) => (document.policy, Some(before)),
                None => (Policy::default(), None),
            };
            change(&mut policy)?;
            let content = self.encode(table, &policy)?;
            let written = match before {
                Some(before) => self.files.put_if_unchanged(&name, &before, content).await?,
                None => self.files.put_if_absent(&name, content).await?,
            };
            if written {
                return Ok(policy);
            }
        }
        Err(PoliciesError::Contended { file: self.files.place_of(&name) })
    }

    fn encode(&self, table: &TableKey, policy: &Policy) -> Result<Vec<u8>, PoliciesError> {
        let document = Document {
            format: POLICY_FORMAT,
            table: table.as_str().to_owned(),
            policy: policy.clone(),
        };
        serde_json::to_vec_pretty(&document)
            .map_err(|source| PoliciesError::Encode { table: table.clone(), source })
    }

    /// A document with the bytes it was read from; `None` if it is not there.
    async fn document(&self, name: &str) -> Result<Option<(Document, Vec<u8>)>, PoliciesError> {
        let file = || self.files.place_of(name);
        let damaged = |why: String| PoliciesError::Damaged { file: file(), why };
        match self.files.size(name).await? {
            None => return Ok(None),
            Some(bytes) if bytes > BYTES_MAX => return Err(damaged(format!("{bytes} bytes"))),
            Some(_) => {}
        }
        let Some(content) = self.files.read(name).await? else { return Ok(None) };
        let read = DocumentKind::Policy.read(&content).map_err(|error| match error {
            DocumentError::Newer { found, .. } => PoliciesError::Newer { file: file(), found },
            DocumentError::Damaged(error) => damaged(error.to_string()),
        });
        let document: Document = read?;
        // A copy under another name would count for another table than whoever looks at the directory thinks.
        let expected = name_of(&TableKey::new(document.table.as_str()));
        if expected != name {
            return Err(damaged(format!("it is about {}", document.table)));
        }
        Ok(Some((document, content.to_vec())))
    }

    /// Moves a document aside, so that nobody stumbles over it again. Returns what to tell.
    async fn set_aside(&self, name: &str, error: &PoliciesError) -> String {
        let aside = self.files.below(DAMAGED);
        let moved = async {
            let Some(content) = self.files.read(name).await? else { return Ok(()) };
            aside.put(name, content).await?;
            self.files.delete(name).await
        };
        let said = match moved.await {
            Ok(()) => format!("{error}; it was moved to {}", aside.place_of(name)),
            Err(failure) => format!("{error}; it stays there: {failure}"),
        };
        tracing::warn!(target: "lancekeeper::policies", "{said}");
        said
    }
}

fn name_of(table: &TableKey) -> String {
    format!("{}.json", file_name_of(table.as_str()))
}

#[cfg(test)]
mod tests;
