//! What is wanted of every table, and what of it the authority of its root already decides. What
//! is known of each table and the plan for it are in [`super::table`].

use chrono::{DateTime, Utc};
use lancekeeper_model::{
    Branch, ErrorKind, Layout, OptimizeOptions, RootKind, SkipReason, TableOptimizeStats, TableRef,
};
use lancekeeper_planner::index::IndexWish;
use lancekeeper_planner::optimize::{LayoutPolicy, PolicyError, SidecarClaim};
use lancekeeper_planner::sweep::SweepPlan;

use thiserror::Error;

use crate::root::Target;
use crate::run::ended::EndsRoot;

/// What the caller wants of every table.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) layout: LayoutPolicy,
    pub(crate) index: IndexWish,
    /// Whether no fragment is to be rewritten.
    pub(crate) index_only: bool,
    /// In which order rows are to lie; `None` keeps up what each table remembers.
    pub(crate) order: Option<Layout>,
    /// Whether everything is to be laid out anew.
    pub(crate) full: bool,
    /// The predicates that suggest an order.
    pub(crate) workload: Vec<String>,
    /// What every live row of a fragment has to match, or the fragment stays as it is.
    pub(crate) predicate: Option<String>,
}

impl Wish {
    pub(crate) fn from_options(
        options: &OptimizeOptions,
        now: DateTime<Utc>,
    ) -> Result<Self, PolicyError> {
        Ok(Self {
            layout: LayoutPolicy::from_options(options, now)?,
            index: IndexWish { mode: options.index, names: options.index_names.clone() },
            index_only: options.index_only,
            order: options.layout.clone(),
            full: options.full,
            workload: options.workload.clone(),
            predicate: options.predicate.clone(),
        })
    }
}

impl Wish {
    /// Whether fragments are rewritten whatever is in them. Only then the tables that a graph keeps for itself
    /// are, too.
    pub(crate) fn is_of_all_fragments(&self) -> bool {
        !self.index_only && self.predicate.is_none()
    }
}

impl EndsRoot for PolicyError {
    fn kind(&self) -> ErrorKind {
        Self::kind(self)
    }
}

/// A layout that is not kept yet.
#[derive(Debug, Error)]
pub(crate) enum LayoutRefused {
    #[error(
        "tables of graphs keep the order of their rows: what their clients make of another one is not known yet"
    )]
    Graph,
    #[error("the layout {0} is not known yet")]
    Kind(&'static str),
}

impl EndsRoot for LayoutRefused {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Refused
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Graph => None,
            Self::Kind(_) => Some("name the columns: sort:ts,-id, zorder:a,b or hilbert:a,b"),
        }
    }
}

/// Data files of graphs stay what their clients read.
#[derive(Debug, Error)]
#[error(
    "data files of graphs keep their version: clients that do not know another one would not open their tables"
)]
pub(crate) struct StorageRefused;

impl EndsRoot for StorageRefused {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Refused
    }
}

/// Refuses to write data files of another version to a graph.
pub(super) fn check_storage(
    kind: RootKind,
    options: &OptimizeOptions,
) -> Result<(), StorageRefused> {
    match options.storage_version {
        Some(_) if kind == RootKind::Graph => Err(StorageRefused),
        _ => Ok(()),
    }
}

/// Refuses layouts that a root of this kind cannot have.
pub(super) fn check_layout(kind: RootKind, options: &OptimizeOptions) -> Result<(), LayoutRefused> {
    match &options.layout {
        None | Some(Layout::BinPack | Layout::None) => Ok(()),
        Some(Layout::Graph) => Err(LayoutRefused::Kind("graph")),
        Some(_) if kind == RootKind::Graph => Err(LayoutRefused::Graph),
        Some(_) => Ok(()),
    }
}

/// The foreign sidecar that claims a table, if one does.
pub(crate) fn claim_of(sweep: Option<&SweepPlan>, table: &TableRef) -> Option<SidecarClaim> {
    let (_, claim) = sweep?.blocked.iter().find(|(blocked, _)| blocked == table)?;
    Some(claim.clone())
}

/// The row of a table that a branch reads from where it was cut. It is no drift of the
/// branch, and rewriting it here would undo the sharing.
pub(crate) fn inherited(target: &Target, branch: &Branch) -> TableOptimizeStats {
    let seen = TableRef { branch: branch.clone(), ..target.table.clone() };
    let mut stats = TableOptimizeStats::of(&seen);
    stats.skipped = Some(SkipReason::Inherited);
    stats.reason = format!("the branch reads it from {}", target.table.branch);
    stats
}
