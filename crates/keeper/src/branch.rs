//! `branch`: list the branches of a graph, create one, delete one.
//!
//! # Protocol
//!
//! Both that write open as every verb does, hold the root's lock and the keys of the branch,
//! and look again at everything under them. What makes a branch exist is one file: creating
//! writes it last, deleting removes it first.
//!
//! # Crash consistency
//!
//! Whatever dies, a branch that is listed can be read. What is left beside is nobody's: the
//! next cleanup takes it away, and clients make a branch of that name over it, but for one
//! whose versions of `__manifest` are still there.

mod create;
mod delete;
mod list;

use lancekeeper_manifest::{BranchError, FoundSidecar, LiveBranch};
use lancekeeper_model::{
    Branch, BranchTableStats, ErrorKind, OperationId, RootBranchReport, RootKind,
};
use lancekeeper_planner::branch::NameError;
use lancekeeper_planner::cleanup::{DatasetPlan, Retention};
use lancekeeper_reconciler::cleanup::{CleanupError, Executor, Lists};
use lancekeeper_store::{FilesError, Root};
use thiserror::Error;
use tokio::sync::watch;

use crate::cleanup::{Cleaning, CleanupRootError};
use crate::root::{OpenRootError, ReadGraph, ReadRoot, look, recovery_needed};
use crate::run::Context;
use crate::run::ended::EndsRoot;

pub(crate) use create::{create_root, plan_create_root, take_remains_away};
pub(crate) use delete::{delete_root, plan_delete_root};
pub(crate) use list::list_root;

/// Nothing was done with a branch, or not all.
#[derive(Debug, Error)]
pub(crate) enum BranchRootError {
    /// The root could not be opened.
    #[error(transparent)]
    Open(#[from] OpenRootError),
    /// Facts could not be gathered.
    #[error(transparent)]
    Gather(#[from] CleanupRootError),
    /// Facts could not be learned, or files not be deleted.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
    /// The branch could not be created.
    #[error(transparent)]
    Create(#[from] BranchError),
    /// No branch may have that name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Only graphs have branches as a whole.
    #[error("{uri} is a {kind}: only graphs have branches as a whole")]
    NotAGraph {
        /// The root.
        uri: String,
        /// What it is.
        kind: RootKind,
    },
    /// No such branch.
    #[error("there is no branch {branch} in {uri}; there are {known}")]
    Unknown {
        /// The root.
        uri: String,
        /// The branch asked for.
        branch: Branch,
        /// Those there are.
        known: String,
    },
    /// There is one already.
    #[error("branch {branch} exists")]
    Exists {
        /// The branch.
        branch: Branch,
    },
    /// It is not a user's to delete, or to cut from.
    #[error("{branch} {why}")]
    Protected {
        /// The branch.
        branch: Branch,
        /// Why.
        why: &'static str,
    },
    /// Others need it.
    #[error("branch {branch} cannot be deleted: {dependants}")]
    Depends {
        /// The branch.
        branch: Branch,
        /// Who.
        dependants: String,
        /// Whether all of them are branches whose files are gone: nobody can delete or merge those.
        are_lost: bool,
    },
    /// Files of an earlier branch of that name are in the way.
    #[error("there are files of an earlier branch {branch}: {why}")]
    Leftover {
        /// The branch.
        branch: Branch,
        /// Why they stay.
        why: String,
    },
    /// Versions of a branch of that name are there that were published to it.
    #[error(
        "branch {branch} cannot be made: {published} versions are there that were published to a branch of that name, whose file is gone"
    )]
    Lost {
        /// The branch.
        branch: Branch,
        /// How many.
        published: u64,
    },
    /// Somebody began to use it while it was being deleted. It is there as before.
    #[error("branch {branch} was not deleted: {why}")]
    Meanwhile {
        /// The branch.
        branch: Branch,
        /// What happened.
        why: String,
    },
    /// The same, but it is not there as before.
    #[error(
        "branch {branch} is in use again ({why}), but its file could not be put back: {source}; it read {text}"
    )]
    NotPutBack {
        /// The branch.
        branch: Branch,
        /// What happened.
        why: String,
        /// What the file said.
        text: String,
        /// Why it is not there.
        #[source]
        source: FilesError,
    },
    /// Others changed branches at every look.
    #[error("branches changed at every look: nothing was done")]
    Unsettled,
}

impl EndsRoot for BranchRootError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Gather(error) => error.kind(),
            Self::Cleanup(error) => error.kind(),
            Self::Create(error) => error.kind(),
            Self::Name(_) | Self::NotAGraph { .. } | Self::Unknown { .. } => ErrorKind::Invalid,
            Self::Exists { .. }
            | Self::Protected { .. }
            | Self::Depends { .. }
            | Self::Leftover { .. }
            | Self::Lost { .. } => ErrorKind::Refused,
            Self::Meanwhile { .. } | Self::Unsettled => ErrorKind::Conflict,
            Self::NotPutBack { source, .. } => source.kind(),
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.hint(),
            Self::Gather(error) => error.hint(),
            Self::Name(_) => Some("as in feat, team/feat or v1.2"),
            Self::NotAGraph { .. } => Some("branches of tables are made by Lance or LanceDB"),
            Self::Unknown { .. } => Some("`lancekeeper branch list` shows them"),
            Self::Exists { .. } => Some("choose another name, or delete it first"),
            Self::Depends { are_lost: true, .. } | Self::Lost { .. } => Some(
                "if only its file in __manifest/_refs/branches/ was lost, restore that; if it was being deleted, `lancekeeper recover ROOT --assume-dead NAME --confirm` takes it away",
            ),
            Self::Depends { .. } => {
                Some("delete or merge those branches first, and remove tags that are not needed")
            }
            Self::Leftover { .. } => Some(
                "somebody may be creating or deleting it; once they are old enough (--min-fork-age, 1h) `lancekeeper cleanup` takes them away",
            ),
            Self::Meanwhile { .. } | Self::Unsettled => Some("look at it, and run again"),
            Self::NotPutBack { .. } => {
                Some("write that text into _refs/branches of __manifest, under the branch's name")
            }
            _ => None,
        }
    }
}

/// Recognises a root that must be a graph.
async fn look_at_graph(uri: &str, report: &mut RootBranchReport) -> Result<Root, BranchRootError> {
    let root = look(uri).await?;
    report.kind = Some(root.kind);
    if root.kind != RootKind::Graph {
        return Err(BranchRootError::NotAGraph { uri: uri.to_owned(), kind: root.kind });
    }
    Ok(root)
}

/// The graph of a root that was recognised as one.
fn graph_of(read: &ReadRoot) -> Result<&ReadGraph, BranchRootError> {
    let (uri, kind) = (read.root.given.clone(), read.root.kind);
    read.graph.as_ref().ok_or(BranchRootError::NotAGraph { uri, kind })
}

async fn live_branches(graph: &ReadGraph) -> Result<Vec<LiveBranch>, BranchRootError> {
    Ok(graph.graph.live_branches().await.map_err(OpenRootError::from)?)
}

/// A live branch by name.
fn find<'l>(
    live: &'l [LiveBranch],
    branch: &Branch,
    uri: &str,
) -> Result<&'l LiveBranch, BranchRootError> {
    live.iter().find(|live| live.branch == *branch).ok_or_else(|| {
        let public = live.iter().filter(|live| !live.branch.is_internal());
        let known: Vec<&str> = public.map(|live| live.branch.label()).collect();
        BranchRootError::Unknown {
            uri: uri.to_owned(),
            branch: branch.clone(),
            known: known.join(", "),
        }
    })
}

/// Refuses while another writer's unfinished operation is about the branch.
fn check_no_sidecar_naming(
    root: &Root,
    verb: &'static str,
    found: &[FoundSidecar],
    branch: &Branch,
) -> Result<(), BranchRootError> {
    let names_it = |sidecar: &&FoundSidecar| {
        let of_branch = sidecar
            .content
            .as_ref()
            .is_ok_and(|content| Branch::from(content.branch.clone()) == *branch);
        let of_table = sidecar.tables().iter().any(|table| table.branch == *branch);
        sidecar.our_operation().is_none() && (of_branch || of_table || sidecar.content.is_err())
    };
    match found.iter().find(names_it) {
        Some(sidecar) => Err(recovery_needed(&root.given, verb, sidecar).into()),
        None => Ok(()),
    }
}

/// What facts are gathered and plans are made with.
fn cleaning<'a>(
    context: &'a Context,
    read: &'a ReadRoot,
    policy: Retention,
    now: chrono::DateTime<chrono::Utc>,
) -> Cleaning<'a> {
    let (own, concurrency) = (Vec::new(), None);
    Cleaning { context, read, policy, own, now, concurrency, takes_old_history: false }
}

fn executor(context: &Context, read: &ReadRoot, operation: OperationId) -> Executor {
    Executor {
        root: read.root.clone(),
        graph: read.graph.as_ref().map(|graph| graph.graph.clone()),
        stop: context.stop.receiver(),
        // It is no job.
        cancel: watch::channel(false).1,
        lists: Lists::of(&read.root.files()),
        operation,
        at_once: crate::cleanup::DELETIONS_AT_ONCE,
        rate: None,
        observer: context.observer.clone(),
    }
}

/// The row of a dataset of which something goes, or would go.
fn stats(plan: &DatasetPlan, branch: &Branch) -> BranchTableStats {
    let kept = plan.forks.iter().find(|fork| {
        fork.branch == *branch && fork.status != lancekeeper_model::ForkRefStatus::Orphan
    });
    let mut row = BranchTableStats::of(&plan.table);
    row.versions_removed = plan.removed.len() as u64;
    row.files_removed = plan.deletions.len() as u64;
    row.bytes_removed = plan.bytes();
    row.kept = plan.refused.clone().or_else(|| kept.map(|fork| fork.why.clone()));
    row
}
