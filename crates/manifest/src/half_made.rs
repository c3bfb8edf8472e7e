//! A v3 graph whose making ended before its commit history: `__manifest` is whole, and every table is
//! as it was made.

use chrono::{DateTime, Utc};
use lancekeeper_model::{Branch, ErrorKind, InternalSchema, OperationId, Version};
use lancekeeper_store::tables::version_of;

use crate::graph::{Graph, GraphError};
use crate::lineage::{ACTORS, COMMITS, LineageError, genesis_row};

/// The version that `__manifest` has when it is made: created, configured, stamped.
const MADE: Version = Version(3);

impl Graph {
    /// Whether the commit history is not there that a v3 graph keeps apart, or not even its first commit: whoever makes
    /// it may die before that.
    pub async fn lacks_history(&self) -> bool {
        if self.schema != InternalSchema::V3 {
            return false;
        }
        let versions = self.root.files().below(COMMITS).below("_versions").names(".manifest").await;
        match versions.as_deref() {
            Ok([]) => true,
            // Later ones are made by commits.
            Ok([_]) => self.has_no_commit().await,
            Ok(_) | Err(_) => false,
        }
    }

    /// Whether the commit history can be read and has no row.
    async fn has_no_commit(&self) -> bool {
        let uri = self.root.address_of(COMMITS);
        let Ok(commits) = self.tables.open(&uri, &Branch::main()).await else { return false };
        commits.count_rows(None).await.is_ok_and(|rows| rows == 0)
    }

    /// Why the commit history of a branch, kept apart up to v3, cannot be opened; `None` on v4. Of main that is also who
    /// made the commits of all branches: a publish writes both. A branch that died in the making has none, and nothing was
    /// published to it: that is not meant.
    pub async fn unreadable_history(&self, branch: &Branch) -> Option<GraphError> {
        if self.schema != InternalSchema::V3 {
            return None;
        }
        let opened = self.tables.open(&self.root.address_of(COMMITS), branch).await;
        if !branch.is_main() {
            let error = opened.err()?;
            let was_made = error.kind() != ErrorKind::NotFound;
            // Of one that cannot be read nothing else is said here.
            let is_damaged = was_made || !self.is_untouched(branch).await.unwrap_or(true);
            return is_damaged.then_some(GraphError::Open(error));
        }
        let actors = match opened {
            Ok(_) => self.tables.open(&self.root.address_of(ACTORS), branch).await,
            Err(error) => return Some(GraphError::Open(error)),
        };
        // It is made with its first row.
        actors.err().filter(|error| error.kind() != ErrorKind::NotFound).map(GraphError::Open)
    }

    /// Whether a branch has no commit history of its own and needs none: it died in the making, and nothing was published
    /// to it.
    ///
    /// # Errors
    ///
    /// When the branch or a version of it cannot be read.
    pub(crate) async fn needs_no_history(&self, branch: &Branch) -> Result<bool, GraphError> {
        if branch.is_main() {
            return Ok(false);
        }
        match self.tables.open(&self.root.address_of(COMMITS), branch).await {
            Err(error) if error.kind() == ErrorKind::NotFound => self.is_untouched(branch).await,
            _ => Ok(false),
        }
    }

    /// Whether nothing happened to the graph since it was made: no publish, no branch, and not a
    /// row or a commit in a table. Only then its history has one beginning.
    ///
    /// # Errors
    ///
    /// When `__manifest` or a table cannot be read.
    pub async fn is_as_made(&self) -> Result<bool, GraphError> {
        let main = Branch::main();
        let snapshot = self.snapshot(&main).await?;
        if snapshot.manifest_version > MADE || self.live_branches().await?.len() > 1 {
            return Ok(false);
        }
        for pin in &snapshot.pins {
            let uri = self.root.address_of(&pin.location);
            let table = self.tables.open(&uri, &main).await.map_err(GraphError::Open)?;
            if version_of(&table) != pin.version || pin.rows > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes the commit history of a graph that is as it was made, with its first commit. What somebody had made of it
    /// who died is taken over.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    ///
    /// # Cancel safety
    ///
    /// It is there as a whole, or still one that is lacking ([`Graph::lacks_history`]): making it again does the rest.
    pub async fn make_history(
        &self,
        operation: &OperationId,
        now: DateTime<Utc>,
    ) -> Result<(), LineageError> {
        let manifest = self.open_manifest(&Branch::main()).await.map_err(Box::new)?;
        let (commit, actor) = genesis_row(version_of(&manifest), now)?;
        self.open_record(ACTORS, &actor).await?;
        self.append_record(COMMITS, &commit, operation, "genesis").await
    }
}
