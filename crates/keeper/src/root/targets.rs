//! Which tables of a root are worked on or looked at: those that were asked for by name, on the
//! branches that were asked for. Not here: what is known of each.

use std::collections::BTreeSet;

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lancekeeper_manifest::GraphError;
use lancekeeper_model::{
    Branch, BranchSelection, ErrorKind, OptimizeOptions, RootKind, SkipReason, TableRef, Version,
};
use lancekeeper_store::members::{Member, MemberState, has_table};
use lancekeeper_store::{LanceFailure, OpenError};
use thiserror::Error;

use super::opened::{ReadGraph, ReadRoot};
use crate::run::ended::EndsRoot;

/// A table to look at.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) table: TableRef,
    /// Relative to the root.
    pub(crate) location: String,
    /// In a graph: the pinned version.
    pub(crate) pin: Option<Version>,
    /// Why nothing is done to it, where that is known without opening it.
    pub(crate) left_alone: Option<LeftAlone>,
}

/// Why nothing is done to a table: the token, and the same in words.
pub(crate) type LeftAlone = (SkipReason, &'static str);

/// The tables asked for could not be found out.
#[derive(Debug, Error)]
pub(crate) enum TargetError {
    /// The branches of a table cannot be listed.
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    /// A branch cannot be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A branch was asked for that is not there.
    #[error("there is no branch {name:?}; there are main, {known}")]
    NoBranch {
        /// What was asked for.
        name: String,
        /// What there is besides main.
        known: String,
    },
    /// An index was asked for that no table has.
    #[error("there is no index {name:?}; there are {known}")]
    NoIndex {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A table was asked for that is not there.
    #[error("there is no table {name:?}; there are {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
}

impl EndsRoot for TargetError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Lance(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Unknown { .. } | Self::NoBranch { .. } | Self::NoIndex { .. } => {
                ErrorKind::Invalid
            }
        }
    }
}

/// The graph as each branch that was asked for sees it. Internal and run branches are no
/// branches here.
///
/// # Errors
///
/// When a branch was asked for that is not there, or cannot be read.
pub(crate) async fn branch_views(
    graph: &ReadGraph,
    selection: &BranchSelection,
) -> Result<Vec<ReadGraph>, TargetError> {
    let wanted: Vec<Branch> = match selection {
        BranchSelection::Main => vec![Branch::main()],
        BranchSelection::Named(names) => names.iter().map(Branch::named).collect(),
        BranchSelection::All => {
            std::iter::once(Branch::main()).chain(graph.branches.iter().cloned()).collect()
        }
    };
    let mut views = Vec::new();
    for branch in wanted {
        if branch.is_main() {
            views.push(graph.clone());
        } else if graph.branches.contains(&branch) {
            let snapshot = graph.graph.snapshot(&branch).await?;
            views.push(ReadGraph { snapshot, ..graph.clone() });
        } else {
            let known: Vec<&str> = graph.branches.iter().map(Branch::label).collect();
            let name = branch.label().to_owned();
            return Err(TargetError::NoBranch { name, known: known.join(", ") });
        }
    }
    Ok(views)
}

/// The tables of a root, or those of them that were asked for by name; of a graph, as a
/// branch sees them. A name must be that of a table even if all are asked for besides.
pub(crate) async fn targets(
    read: &ReadRoot,
    graph: Option<&ReadGraph>,
    options: &OptimizeOptions,
) -> Result<Vec<Target>, TargetError> {
    let all: Vec<Target> = match graph {
        Some(graph) => graph
            .snapshot
            .pins
            .iter()
            .map(|pin| Target {
                table: TableRef { key: pin.key.clone(), branch: pin.table_branch.clone() },
                location: pin.location.clone(),
                pin: Some(pin.version),
                left_alone: None,
            })
            .collect(),
        None => plain_targets(read),
    };
    let known: BTreeSet<&str> = all.iter().map(|target| target.table.key.as_str()).collect();
    if let Some(name) = options.tables.iter().find(|name| !known.contains(name.as_str())) {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(TargetError::Unknown { name: name.clone(), known });
    }
    let names = options.selected();
    let wanted = |target: &Target| {
        names.is_empty() || names.iter().any(|name| name == target.table.key.as_str())
    };
    let selected: Vec<Target> = all.into_iter().filter(wanted).collect();
    let selected = match (graph, &options.branches) {
        (Some(_), _) | (None, BranchSelection::Main) => selected,
        (None, selection) => on_branches(read, selected, selection).await?,
    };
    check_index_names(read, &selected, &options.index_names).await?;
    Ok(selected)
}

/// The tables as readers of the branches that were asked for see them, each with that branch. Of
/// a graph a branch may read a table from another one. No names are all tables.
pub(crate) async fn seen_targets(
    read: &ReadRoot,
    tables: &[String],
    branches: &BranchSelection,
) -> Result<Vec<(Branch, Target)>, TargetError> {
    let (tables, branches) = (tables.to_vec(), branches.clone());
    let options = &OptimizeOptions { tables, branches, ..OptimizeOptions::default() };
    let Some(graph) = &read.graph else {
        let own = |target: Target| (target.table.branch.clone(), target);
        return Ok(targets(read, None, options).await?.into_iter().map(own).collect());
    };
    let mut seen = Vec::new();
    for view in branch_views(graph, &options.branches).await? {
        let targets = targets(read, Some(&view), options).await?;
        seen.extend(targets.into_iter().map(|target| (view.snapshot.branch.clone(), target)));
    }
    Ok(seen)
}

impl Target {
    /// Opens the table at the version that readers see: in a graph the pinned one, else HEAD.
    pub(crate) async fn visible(&self, read: &ReadRoot) -> Result<Dataset, OpenError> {
        let uri = read.root.address_of(&self.location);
        match self.pin {
            Some(pin) => read.tables.open_at(&uri, &self.table.branch, pin).await,
            None => read.tables.open(&uri, &self.table.branch).await,
        }
    }
}

/// Whether a table of a database is no longer one: somebody dropped it since it was named.
pub(crate) async fn is_dropped(read: &ReadRoot, target: &Target) -> bool {
    read.root.kind == RootKind::Database
        && has_table(&read.root, &target.location).await.is_ok_and(|has_table| !has_table)
}

/// Refuses a name that no index of these tables has, and none that a schema declares.
async fn check_index_names(
    read: &ReadRoot,
    targets: &[Target],
    names: &[String],
) -> Result<(), TargetError> {
    if names.is_empty() {
        return Ok(());
    }
    let mut known = BTreeSet::new();
    for target in targets.iter().filter(|target| target.left_alone.is_none()) {
        let declared = read.declared(&target.table.key).iter();
        known.extend(declared.map(|index| format!("{}_idx", index.column)));
        let uri = read.root.address_of(&target.location);
        // What cannot be opened gets a row that says why.
        let Ok(table) = read.tables.open(&uri, &target.table.branch).await else { continue };
        let indexes = table.load_indices().await.map_err(|source| {
            LanceFailure::new(format!("failed to list the indexes of {}", target.table), source)
        })?;
        known.extend(indexes.iter().map(|index| index.name.clone()));
    }
    match names.iter().find(|name| !known.contains(*name)) {
        None => Ok(()),
        Some(name) => {
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            Err(TargetError::NoIndex { name: name.clone(), known })
        }
    }
}

/// The tables of a database, or the one table, on main.
fn plain_targets(read: &ReadRoot) -> Vec<Target> {
    let target = |member: &Member| {
        let left_alone = match member.state {
            MemberState::Table => None,
            MemberState::Declared => Some((SkipReason::Declared, "declared, without a version")),
            MemberState::Deregistered => {
                Some((SkipReason::Deregistered, "taken off the list of tables"))
            }
            MemberState::Empty => Some((SkipReason::NotATable, "a directory without a table")),
            MemberState::Young => {
                Some((SkipReason::NotATable, "no version yet: it may be just being made"))
            }
            MemberState::Aside => return None,
        };
        let (table, location) = (TableRef::on_main(member.key.clone()), member.location.clone());
        Some(Target { table, location, pin: None, left_alone })
    };
    read.members.all.iter().filter_map(target).collect()
}

/// The same tables on the Lance branches that were asked for. A table that has no branch of a
/// name is said and left; a name that no table has is a mistake.
async fn on_branches(
    read: &ReadRoot,
    tables: Vec<Target>,
    selection: &BranchSelection,
) -> Result<Vec<Target>, TargetError> {
    let mut found = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for target in tables {
        if target.left_alone.is_some() {
            found.push(target);
            continue;
        }
        let uri = read.root.address_of(&target.location);
        // What cannot be opened gets a row that says why.
        let Ok(main) = read.tables.open(&uri, &Branch::main()).await else {
            found.push(target);
            continue;
        };
        let listed = main.list_branches().await.map_err(|source| {
            LanceFailure::new(format!("failed to list the branches of {}", target.table), source)
        })?;
        let branches: BTreeSet<String> = listed.into_keys().collect();
        let wanted: Vec<Branch> = match selection {
            BranchSelection::Main => vec![Branch::main()],
            BranchSelection::Named(names) => names.iter().map(Branch::named).collect(),
            BranchSelection::All => {
                std::iter::once(Branch::main()).chain(branches.iter().map(Branch::named)).collect()
            }
        };
        for branch in wanted {
            let is_there = branch.is_main() || branches.contains(branch.label());
            let left_alone = (!is_there)
                .then_some((SkipReason::NoSuchBranch, "the table has no branch of that name"));
            let table = TableRef { branch, ..target.table.clone() };
            found.push(Target { table, left_alone, ..target.clone() });
        }
        known.extend(branches);
    }
    if let BranchSelection::Named(names) = selection
        && let Some(name) = names.iter().find(|name| *name != "main" && !known.contains(*name))
    {
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        return Err(TargetError::NoBranch { name: name.clone(), known });
    }
    Ok(found)
}
