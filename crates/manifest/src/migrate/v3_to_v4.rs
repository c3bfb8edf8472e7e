//! v3 to v4: the commit history moves from `_graph_commits.lance` into `__manifest`.
//!
//! Each branch gets a row for every commit that its readers know, those it inherited too: a branch of
//! `__manifest` was cut before the rows were there, so what main gets it does not have. Ids, parents,
//! actors and times stay as they are. The datasets of v3 stay until a cleanup is told to take them.
//!
//! Not here: stamps, and the order of steps (`planner::migrate`).

mod copy;
mod history;
mod rows;

use std::collections::BTreeMap;

use lancekeeper_model::{Branch, Stamp};
use lancekeeper_planner::migrate::Goal;

use super::{MigrateError, Migration};
use crate::graph::Graph;
use history::Histories;

/// The history of one branch, as it was copied or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedHistory {
    /// The branch.
    pub branch: Branch,
    /// Its commits.
    pub commits: u64,
    /// Those among them that v3 never wrote down: their publisher died before it could.
    pub rebuilt: u64,
}

/// The copying of one plan: histories are read once, when all branches are out of clients' hands.
pub(super) struct Copying<'a> {
    migration: &'a Migration<'a>,
    histories: Option<Histories>,
    pub(super) copied: Vec<CopiedHistory>,
}

impl<'a> Copying<'a> {
    pub(super) fn of(migration: &'a Migration<'a>) -> Self {
        Self { migration, histories: None, copied: Vec::new() }
    }

    async fn histories(&mut self) -> Result<&Histories, MigrateError> {
        let read = match self.histories.take() {
            Some(read) => read,
            None => {
                let is_out_of_hands = |stamp: &Stamp| stamp.number() >= Some(4);
                self.migration.check_others(is_out_of_hands).await?;
                let rebuild = matches!(self.migration.goal, Goal::Newest { rebuild: true });
                read(self.migration.graph, rebuild).await?
            }
        };
        Ok(self.histories.insert(read))
    }

    /// Copies the history of a branch. Rows of an attempt that was taken back stay where they are as they should be.
    ///
    /// # Cancel safety
    ///
    /// Its rows are there, all or none.
    pub(super) async fn copy(&mut self, branch: &Branch) -> Result<(), MigrateError> {
        let migration = self.migration;
        let commits = self.histories().await?.of(branch);
        copy::copy(migration, branch, commits).await?;
        let copied = counted(branch, commits);
        self.copied.push(copied);
        Ok(())
    }

    /// Reads a branch again and compares it with what was to be copied.
    pub(super) async fn check(&mut self, branch: &Branch) -> Result<(), MigrateError> {
        let migration = self.migration;
        let commits = self.histories().await?.of(branch);
        copy::check(migration, branch, commits).await
    }
}

fn counted(branch: &Branch, commits: &[history::Commit]) -> CopiedHistory {
    CopiedHistory {
        branch: branch.clone(),
        commits: commits.len() as u64,
        rebuilt: commits.iter().filter(|commit| commit.is_rebuilt).count() as u64,
    }
}

/// The histories, of branches whose rows do not contradict them.
async fn read(graph: &Graph, rebuild: bool) -> Result<Histories, MigrateError> {
    let read = Histories::read(graph, rebuild).await?;
    for (branch, commits) in read.all() {
        copy::check_rows(graph, branch, commits).await?;
    }
    Ok(read)
}

/// The histories that a migration to v4 would copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundHistories {
    /// By branch.
    pub branches: BTreeMap<Branch, CopiedHistory>,
    /// Whether the dataset is not there that says who made which commit. Then nobody is named.
    pub lacks_actors: bool,
}

/// The histories that a migration to v4 would copy. Writes nothing.
///
/// # Errors
///
/// When a branch or the history that v3 keeps apart cannot be read; and without `rebuild`, when the history of a branch
/// is lost to which commits were published.
pub async fn histories(graph: &Graph, rebuild: bool) -> Result<FoundHistories, MigrateError> {
    let read = read(graph, rebuild).await?;
    let counted = |(branch, commits): (&Branch, _)| (branch.clone(), counted(branch, commits));
    Ok(FoundHistories {
        branches: read.all().map(counted).collect(),
        lacks_actors: read.lacks_actors,
    })
}
