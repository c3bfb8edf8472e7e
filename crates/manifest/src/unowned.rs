//! Forks of tables that bear a branch's name and that it does not read: what a writer made who died before he
//! published the first thing that the branch has of its own of a table.

use lancekeeper_model::{Branch, TableKey};

use crate::graph::{Graph, GraphError};
use crate::sidecar::QUARANTINE_DIR;

impl Graph {
    /// Whether a sidecar was moved aside that nobody has taken from there since: nobody knows what its writer had
    /// committed.
    ///
    /// # Errors
    ///
    /// When the directory cannot be listed.
    pub async fn holds_quarantine(&self) -> Result<bool, GraphError> {
        Ok(!self.root.files().below(QUARANTINE_DIR).names(".json").await?.is_empty())
    }

    /// The tables that have a Lance branch of this name, while the graph's branch of that name reads them where it was
    /// cut from.
    ///
    /// # Errors
    ///
    /// When the branch cannot be read, or a directory not be looked at.
    pub async fn unowned_forks(&self, branch: &Branch) -> Result<Vec<TableKey>, GraphError> {
        let Some(name) = branch.name() else { return Ok(Vec::new()) };
        let file = format!("{}.json", name.replace('/', "%2F"));
        let files = self.root.files();
        let mut forks = Vec::new();
        for pin in self.snapshot(branch).await?.pins {
            let place = format!("{}/_refs/branches/{file}", pin.location);
            if pin.table_branch != *branch && files.size(&place).await?.is_some() {
                forks.push(pin.key);
            }
        }
        Ok(forks)
    }
}
