//! Creating a branch of a graph. No table is copied: the branch pins what its source pins.
//!
//! # Crash consistency
//!
//! On v3 the branch of the commit history comes first, because a client cannot read a branch
//! without one, and the branch of `__manifest`, which makes it exist, last. What a crash
//! leaves before that is no branch: clients overwrite it, and a cleanup takes it away.
//!
//! Not here: deleting branches, and what is left of those that were deleted (`reconciler`).

use std::time::Duration;

use lance::Dataset;
use lance::dataset::refs::check_valid_branch;
use lance::dataset::transaction::Operation;
use lancekeeper_model::{Branch, ErrorKind, Version};
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::root::MANIFEST_DIR;
use lancekeeper_store::tables::version_of;
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use crate::graph::{Graph, GraphError};
use crate::lineage::{COMMITS, LineageError, newest_publish, v3_head};

/// A v3 publisher writes its commit row right after its publish. Looks at whether it has, and
/// the time between them: a second in all, many times what that takes. One that died in
/// between never will, and its branch can be cut all the same.
const ROW_LOOKS_MAX: u32 = 20;
const ROW_WAIT: Duration = Duration::from_millis(50);

/// A branch could not be created.
#[derive(Debug, Error)]
pub enum BranchError {
    /// The graph could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The commit history could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The commit history could not be read.
    #[error(transparent)]
    Lineage(#[from] LineageError),
    /// Lance could not do it.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// Others published to the source at every look.
    #[error("{from} was published to at every look: nothing was created")]
    Unsettled {
        /// The source.
        from: Branch,
    },
    /// It was created, and is not what it should be.
    #[error("branch {branch} was created, but {what}: delete it")]
    Otherwise {
        /// The branch.
        branch: Branch,
        /// What is wrong.
        what: String,
    },
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl BranchError {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Graph(error) => error.kind(),
            Self::Open(error) => error.kind(),
            Self::Lineage(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Unsettled { .. } | Self::Otherwise { .. } => ErrorKind::Conflict,
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}

/// Where a branch is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The source.
    pub from: Branch,
    /// The version of its `__manifest`.
    pub manifest: Version,
    /// On v3, the version of its commit history.
    pub commits: Option<Version>,
}

impl Graph {
    /// The newest place at which a branch can be cut from another: a version of `__manifest`
    /// and, on v3, the commit history that belongs to it. Writes nothing.
    ///
    /// # Errors
    ///
    /// When the source cannot be read, or others publish to it at every look.
    pub async fn newest_cut(&self, from: &Branch) -> Result<Cut, BranchError> {
        let mut looks = 0;
        loop {
            let manifest = self.open_manifest(from).await?;
            let cut = Cut { from: from.clone(), manifest: version_of(&manifest), commits: None };
            if !self.keeps_commits_apart() {
                return Ok(cut);
            }
            let commits = self.tables.open(&self.root.address_of(COMMITS), from).await?;
            let whole = Cut { commits: Some(version_of(&commits)), ..cut };
            looks += 1;
            match row_of_newest(&manifest, &commits).await? {
                Row::There => return Ok(whole),
                Row::Missing if looks >= ROW_LOOKS_MAX => return Ok(whole),
                Row::Newer if looks >= ROW_LOOKS_MAX => {
                    return Err(BranchError::Unsettled { from: from.clone() });
                }
                Row::Missing | Row::Newer => tokio::time::sleep(ROW_WAIT).await,
            }
        }
    }

    /// Creates a branch. The caller holds the root's lock and the branch's key, and has made
    /// sure that no branch and nothing left of one has that name.
    ///
    /// # Errors
    ///
    /// When Lance refuses the name, the version cut at is gone, or somebody else was faster.
    ///
    /// # Cancel safety
    ///
    /// The branch is there or not. When not, a branch of the commit history or a directory of
    /// that name may be left, which no reader sees; a cleanup takes it away.
    pub async fn create_branch(&self, branch: &Branch, cut: &Cut) -> Result<(), BranchError> {
        let refused =
            |source| LanceFailure::new(format!("failed to name a branch {branch}"), source);
        check_valid_branch(branch.label()).map_err(refused)?;
        if let Some(version) = cut.commits {
            self.cut_dataset(COMMITS, branch, &cut.from, version).await?;
            failpoint::cross_async(failpoint::BRANCH_CREATE_AFTER_COMMIT_BRANCH).await?;
        }
        self.cut_dataset(MANIFEST_DIR, branch, &cut.from, cut.manifest).await?;
        self.check_created(branch, cut).await
    }

    async fn cut_dataset(
        &self,
        location: &str,
        branch: &Branch,
        from: &Branch,
        version: Version,
    ) -> Result<(), BranchError> {
        let uri = self.root.address_of(location);
        let mut source = self.tables.open(&uri, from).await?;
        let place = (from.name(), Some(version.0));
        // Boxed: Lance's futures are large.
        Box::pin(source.create_branch(branch.label(), place, None)).await.map_err(|error| {
            LanceFailure::new(format!("failed to cut {branch} from {from} in {location}"), error)
        })?;
        Ok(())
    }

    /// A client that deletes a branch of that name at the same moment may have taken part of
    /// this one with it.
    async fn check_created(&self, branch: &Branch, cut: &Cut) -> Result<(), BranchError> {
        let otherwise = |what| BranchError::Otherwise { branch: branch.clone(), what };
        let found = version_of(&self.open_manifest(branch).await?);
        if found < cut.manifest {
            return Err(otherwise(format!("it is at version {found}, not {}", cut.manifest)));
        }
        if let Some(version) = cut.commits {
            let commits = self.tables.open(&self.root.address_of(COMMITS), branch).await;
            let found = commits.map(|commits| version_of(&commits));
            if found.as_ref().is_ok_and(|found| *found < version) || found.is_err() {
                return Err(otherwise("its commit history is not there".to_owned()));
            }
        }
        Ok(())
    }
}

/// How a commit history stands to a version of `__manifest`.
enum Row {
    /// Its newest row is that of the newest publish.
    There,
    /// That row is not there: its publisher is about to write it, or died.
    Missing,
    /// It has rows of publishes that came later.
    Newer,
}

async fn row_of_newest(manifest: &Dataset, commits: &Dataset) -> Result<Row, LineageError> {
    let newest = newest_publish(manifest).await;
    let found = manifest.read_version_transaction(newest.0).await;
    let operation = found.ok().and_then(|found| found.transaction).map(|found| found.operation);
    if matches!(operation, Some(Operation::Clone { .. })) {
        // Nothing was published since it was cut itself.
        return Ok(Row::There);
    }
    let head = v3_head(commits, Version(u64::MAX)).await?;
    Ok(match head.map(|head| head.manifest_version) {
        Some(version) if version > version_of(manifest).0 => Row::Newer,
        // The first commit of a graph names the version at which it was stamped.
        Some(version) if version >= newest.0 => Row::There,
        Some(_) | None => Row::Missing,
    })
}
