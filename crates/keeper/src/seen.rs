//! What readers of a root see: its tables by name, each opened at the version that readers see, for whoever
//! asks questions of them rather than keeping them. Writes nothing, needs no lock.
//!
//! Not here: what the tables hold, and how many they are worked on at a time; both are the caller's.

use futures::FutureExt;
use futures::future::BoxFuture;
use lance::Dataset;
use lancekeeper_model::{
    Branch, BranchSelection, ErrorKind, RootFailure, RootKind, TableKey, TableRef, TableStatistics,
    Version,
};
use lancekeeper_store::{Files, OpenError};

use crate::root::{ReadRoot, Target, look, read_root, seen_targets};
use crate::run::Context;
use crate::run::ended::{Ended, EndsRoot};
use crate::statistics::{self, StatisticsError};

/// A root as its readers see it at one moment.
#[derive(Debug)]
pub struct SeenRoot {
    read: ReadRoot,
    tables: Vec<SeenTable>,
}

/// A table as the readers of one branch see it.
#[derive(Debug, Clone)]
pub struct SeenTable {
    /// The branch of whoever reads. In a graph it may read the table from another one.
    pub branch: Branch,
    target: Target,
}

impl SeenTable {
    /// Its name in the root.
    #[must_use]
    pub fn key(&self) -> &TableKey {
        &self.target.table.key
    }

    /// The table, with the branch that its versions lie on.
    #[must_use]
    pub fn table(&self) -> &TableRef {
        &self.target.table
    }

    /// In a graph, the version that is pinned.
    #[must_use]
    pub fn pin(&self) -> Option<Version> {
        self.target.pin
    }
}

impl SeenRoot {
    /// What kind of root it is.
    #[must_use]
    pub fn kind(&self) -> RootKind {
        self.read.root.kind
    }

    /// Its tables on the branches that were asked for. What is no table yet, or no more, is not among them.
    #[must_use]
    pub fn tables(&self) -> &[SeenTable] {
        &self.tables
    }

    /// What lies in the root and is not read through Lance.
    #[must_use]
    pub fn files(&self) -> Files {
        self.read.root.files()
    }

    /// Opens a table at the version that readers see: in a graph the pinned one, else the newest.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is gone by now.
    pub fn open<'a>(&'a self, table: &'a SeenTable) -> BoxFuture<'a, Result<Dataset, OpenError>> {
        table.target.visible(&self.read).boxed()
    }

    /// The statistics of its values that were kept, if there are some.
    ///
    /// # Errors
    ///
    /// When their document cannot be read or understood.
    pub fn statistics<'a>(
        &'a self,
        table: &'a SeenTable,
    ) -> BoxFuture<'a, Result<Option<TableStatistics>, RootFailure>> {
        async move {
            let files = self.files();
            let known = statistics::read(&files, &table.target.table).await;
            known.map_err(|error| Ended::from(error).0)
        }
        .boxed()
    }
}

impl EndsRoot for StatisticsError {
    fn kind(&self) -> ErrorKind {
        Self::kind(self)
    }
}

/// Looks at a root.
///
/// # Errors
///
/// When it is none, when it cannot be read, and when a branch was asked for that is not there.
pub(crate) fn see<'a>(
    context: &'a Context,
    uri: String,
    branches: &'a BranchSelection,
) -> BoxFuture<'a, Result<SeenRoot, RootFailure>> {
    async move { look_at(context, &uri, branches).await.map_err(|ended| ended.0) }.boxed()
}

async fn look_at(
    context: &Context,
    uri: &str,
    branches: &BranchSelection,
) -> Result<SeenRoot, Ended> {
    let root = look(uri).await?;
    let read = read_root(root, &context.tables).await?;
    let mut targets = seen_targets(&read, &[], branches).await?;
    targets.retain(|(_, target)| target.left_alone.is_none());
    let tables = targets.into_iter().map(|(branch, target)| SeenTable { branch, target }).collect();
    Ok(SeenRoot { read, tables })
}
