//! Branches of graphs: listing, creating and deleting them.

use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{BranchReport, RootBranchReport};

use super::{Keeper, each};
use crate::branch;
use crate::run::millis;

impl Keeper {
    /// Lists the branches of graphs, those of operations only if asked for. Writes nothing.
    pub fn list_branches(
        &self,
        roots: impl IntoIterator<Item = impl AsRef<str>>,
        internal: bool,
    ) -> BoxFuture<'_, BranchReport> {
        let lists = each(roots, |root| branch::list_root(&self.context, root, internal));
        branch_report(false, lists)
    }

    /// What [`Keeper::create_branch`] would do now. Writes nothing.
    pub fn plan_create_branch<'a>(
        &'a self,
        root: &'a str,
        name: &'a str,
        from: &'a str,
    ) -> BoxFuture<'a, BranchReport> {
        let plan = branch::plan_create_root(&self.context, root, name, from);
        branch_report(true, plan.map(|root| vec![root]).boxed())
    }

    /// Creates a branch of a graph that reads what another one reads now. No table is copied.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the branch is there or not. What else may be left is no branch; the next
    /// cleanup takes it away.
    pub fn create_branch<'a>(
        &'a self,
        root: &'a str,
        name: &'a str,
        from: &'a str,
    ) -> BoxFuture<'a, BranchReport> {
        let run = branch::create_root(&self.context, root, name, from);
        branch_report(false, run.map(|root| vec![root]).boxed())
    }

    /// What [`Keeper::delete_branch`] would delete and lose now. Writes nothing.
    pub fn plan_delete_branch<'a>(
        &'a self,
        root: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, BranchReport> {
        let plan = branch::plan_delete_root(&self.context, root, name);
        branch_report(true, plan.map(|root| vec![root]).boxed())
    }

    /// Deletes a branch of a graph that nothing depends on, with all that only it has.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the branch is there as before, or gone; what is left of it then goes with the
    /// next cleanup. Dropped in the moment between, a branch that somebody cut from it stays
    /// readable, but this one may be gone.
    pub fn delete_branch<'a>(
        &'a self,
        root: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, BranchReport> {
        let run = branch::delete_root(&self.context, root, name);
        branch_report(false, run.map(|root| vec![root]).boxed())
    }
}

fn branch_report<'a>(
    dry_run: bool,
    roots: BoxFuture<'a, Vec<RootBranchReport>>,
) -> BoxFuture<'a, BranchReport> {
    let started = Instant::now();
    async move { BranchReport::new(dry_run, roots.await, millis(started)) }.boxed()
}
