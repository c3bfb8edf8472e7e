//! v2 to v3: the branches of runs go. Clients up to v2 made one for each load, and left it behind when
//! they died. What the same runs left in tables harms nobody: no branch reads it.

use lancekeeper_model::Branch;
use lancekeeper_planner::migrate::check_run;
use lancekeeper_store::LanceFailure;

use super::{MigrateError, Migration};

impl Migration<'_> {
    /// Deletes the branch of a run, if it is there and nobody has used it since it was looked at. Lance refuses one that another branch or a tag
    /// descends from, and takes the file first that makes it exist.
    ///
    /// # Cancel safety
    ///
    /// The branch is there or not. Files of it may be left, which nobody sees; a cleanup takes them.
    pub(super) async fn delete_run(&self, branch: &Branch) -> Result<(), MigrateError> {
        let failed =
            |source| LanceFailure::new(format!("failed to delete branch {branch}"), source);
        let mut main = self.graph.open_manifest(&Branch::main()).await?;
        let listed = main.list_branches().await.map_err(failed)?;
        let Some(contents) = listed.get(branch.label()) else { return Ok(()) };
        let run = self.graph.run(branch.clone(), contents).await;
        check_run(&run, self.dead_after, self.now)?;
        Box::pin(main.delete_branch(branch.label())).await.map_err(failed)?;
        Ok(())
    }
}
