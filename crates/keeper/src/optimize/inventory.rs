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
    /// What a run reads for rewrites at most: earlier runs of a layout are merged only as far as this lets them be.
    pub(crate) max_bytes: Option<u64>,
    /// The predicates that suggest an order.
    pub(crate) workload: Vec<String>,
    /// What every live row of a fragment has to match, or the fragment stays as it is.
    pub(crate) predicate: Option<String>,
    /// Whether the caller has named the tables.
    pub(crate) names_tables: bool,
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
            max_bytes: options.max_bytes,
            workload: options.workload.clone(),
            predicate: options.predicate.clone(),
            names_tables: !options.selected().is_empty(),
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

/// A layout that a root of its kind cannot have.
#[derive(Debug, Error)]
pub(crate) enum LayoutRefused {
    #[error("no layout is chosen by itself for the tables of a graph")]
    NotChosen,
    #[error(
        "the layout graph is for the edge tables of a graph: it puts edges together whose sources and whose \
         destinations lie close to each other"
    )]
    NoGraph,
    #[error("no table of those that were asked for can have the layout {0}")]
    FitsNone(Layout),
}

impl EndsRoot for LayoutRefused {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Refused
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotChosen => {
                Some("name it: graph for edges, or sort:a,-b, zorder:a,b or hilbert:a,b")
            }
            Self::NoGraph => Some("name the columns: sort:ts,-id, zorder:a,b or hilbert:a,b"),
            Self::FitsNone(_) => Some("the row of each table says why not"),
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
        Some(Layout::Graph) if kind != RootKind::Graph => Err(LayoutRefused::NoGraph),
        Some(Layout::Auto) if kind == RootKind::Graph => Err(LayoutRefused::NotChosen),
        _ => Ok(()),
    }
}

/// Refuses a layout that no table of a graph could have, once all of them were looked at: these are their rows.
/// Where some could, the others are skipped.
pub(super) fn check_fits_one(
    options: &OptimizeOptions,
    rows: &[TableOptimizeStats],
) -> Result<(), LayoutRefused> {
    let Some(layout) = &options.layout else { return Ok(()) };
    // What a branch reads from where it was cut says nothing about it.
    let mut own = rows.iter().filter(|row| row.skipped != Some(SkipReason::Inherited)).peekable();
    let is_some = own.peek().is_some();
    match is_some && own.all(|row| row.skipped == Some(SkipReason::LayoutUnfit)) {
        true => Err(LayoutRefused::FitsNone(layout.clone())),
        false => Ok(()),
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
