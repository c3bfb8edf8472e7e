//! What was asked of `recover`, and why that cannot be done.

use chrono::{DateTime, Utc};
use lancekeeper_manifest::{
    FoundSidecar, GraphError, LineageError, RECOVERY_DIR, SchemaFilesError, SidecarError,
};
use lancekeeper_model::{
    AssumedDead, ErrorKind, LeftBehind, RecoverAction, RecoverOptions, RecoverRow,
    RootRecoverReport,
};
use lancekeeper_planner::recover::{Decision, Unread, plan_recover};
use lancekeeper_planner::sweep::{SidecarDecision, SweepStep};
use lancekeeper_queue::QueueError;
use lancekeeper_reconciler::RecoverError;
use lancekeeper_store::{Root, Tables};
use thiserror::Error;

use super::{LOCK, inventory, report};
use crate::root::{OpenRootError, ReadGraph, look};
use crate::run::ended::EndsRoot;
use crate::run::stop::Interrupted;

/// A root could not be recovered.
#[derive(Debug, Error)]
pub(crate) enum RecoverRootError {
    /// It could not be opened.
    #[error(transparent)]
    Open(#[from] OpenRootError),
    /// Facts could not be gathered.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The graph could not be read.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Its commit history could not be read or added to.
    #[error(transparent)]
    Lineage(#[from] LineageError),
    /// Its schema files could not be read or renamed.
    #[error(transparent)]
    SchemaFiles(#[from] SchemaFilesError),
    /// A sidecar could not be moved.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// The keys of tables could not be had.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// There is no such file.
    #[error("there is no {RECOVERY_DIR}/{file} in {uri}")]
    NoSuchFile {
        /// The file.
        file: String,
        /// The root.
        uri: String,
    },
    /// The file can be dealt with as it should be.
    #[error("{file} is a sidecar that can be recovered: {why}")]
    Healthy {
        /// The file.
        file: String,
        /// What would become of it.
        why: String,
    },
    /// What the file points to may be readable another time, and then something can be decided about it.
    #[error("{file} is not moved aside: {why}")]
    Unread {
        /// The file.
        file: String,
        /// Why it cannot be looked at.
        why: String,
    },
    /// The run was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A failpoint.
    #[error(transparent)]
    Injected(#[from] lancekeeper_store::failpoint::Injected),
}

impl EndsRoot for RecoverRootError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Open(error) => error.kind(),
            Self::Recover(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Lineage(error) => error.kind(),
            Self::SchemaFiles(error) => error.kind(),
            Self::Sidecar(error) => error.kind(),
            Self::Queue(error) => error.kind(),
            Self::NoSuchFile { .. } => ErrorKind::Invalid,
            Self::Healthy { .. } => ErrorKind::Refused,
            Self::Unread { .. } => ErrorKind::Unavailable,
            Self::Interrupted(_) => ErrorKind::Interrupted,
            Self::Injected(_) => ErrorKind::Internal,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Open(error) => error.hint(),
            Self::NoSuchFile { .. } => Some("name a file that `lancekeeper recover ROOT` shows"),
            Self::Healthy { .. } => Some(
                "leave --quarantine out: recovery deals with it; moved aside, its tables would be adrift",
            ),
            Self::Recover(error) if error.kind() == ErrorKind::Corrupt => Some(
                "a sidecar names a table that cannot be read; if its client cannot read it either, restore the whole graph from one backup",
            ),
            _ => None,
        }
    }
}

/// Recognises a root. One that is not made yet gets a row that says what is missing.
pub(super) async fn root(
    uri: &str,
    report: &mut RootRecoverReport,
) -> Result<Option<Root>, RecoverRootError> {
    match look(uri).await {
        Ok(root) => {
            report.kind = Some(root.kind);
            Ok(Some(root))
        }
        Err(error @ OpenRootError::HalfMade { .. }) => {
            let mut row = RecoverRow::of(LeftBehind::HalfMade, uri);
            row.action = RecoverAction::Refuse;
            row.why = error.to_string();
            row.hint = error.hint().map(ToOwned::to_owned);
            report.left.push(row);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whatever is asked of a root that is no graph: it has no sidecars.
pub(super) fn check_graph_options(
    uri: &str,
    options: &RecoverOptions,
) -> Result<(), RecoverRootError> {
    match &options.quarantine {
        None => Ok(()),
        Some(file) => Err(RecoverRootError::NoSuchFile { file: file.clone(), uri: uri.to_owned() }),
    }
}

/// The file that is to be moved aside. One about which recovery can decide is none.
pub(super) async fn to_quarantine(
    graph: &ReadGraph,
    tables: &Tables,
    file: &str,
    options: &RecoverOptions,
    now: DateTime<Utc>,
) -> Result<FoundSidecar, RecoverRootError> {
    let name = file.rsplit_once('/').map_or(file, |(_, name)| name);
    let Some(found) = graph.found.iter().find(|found| found.file == name) else {
        let uri = graph.graph.root().given.clone();
        return Err(RecoverRootError::NoSuchFile { file: name.to_owned(), uri });
    };
    let healthy = |why: String| Err(RecoverRootError::Healthy { file: found.path(), why });
    if found.our_operation().is_some() {
        let steps = inventory::own_steps(graph, tables, std::slice::from_ref(found)).await?;
        return match steps.into_iter().next() {
            Some((_, Some(Unread { why, may_pass: true }))) => {
                Err(RecoverRootError::Unread { file: found.path(), why })
            }
            Some((
                SweepStep { decision: SidecarDecision::Refuse | SidecarDecision::Stop, .. },
                _,
            )) => Ok(found.clone()),
            Some((step, _)) => healthy(format!("it is of a run of lancekeeper: {}", step.why)),
            None => healthy("it is of a run of lancekeeper".to_owned()),
        };
    }
    let facts = inventory::foreign(graph, tables, std::slice::from_ref(found)).await?;
    let plan = plan_recover(&facts, options, now);
    match plan.steps.first() {
        Some(step) if !matches!(step.decision, Decision::Refuse | Decision::Stop) => {
            healthy(step.why.clone())
        }
        _ => match facts.first().and_then(report::unread) {
            Some(Unread { why, may_pass: true }) => {
                Err(RecoverRootError::Unread { file: found.path(), why: why.clone() })
            }
            _ => Ok(found.clone()),
        },
    }
}

/// A warning for each operation that is assumed dead and that is not there: mostly a slip of the pen.
pub(super) async fn unknown_names(
    graph: &ReadGraph,
    options: &RecoverOptions,
) -> Result<Vec<String>, RecoverRootError> {
    let AssumedDead::These(names) = &options.assumed_dead else { return Ok(Vec::new()) };
    let is_sidecar = |name: &&String| {
        graph.found.iter().any(|found| found.file.strip_suffix(".json") == Some(name.as_str()))
    };
    let unknown: Vec<&String> =
        names.iter().filter(|name| !is_sidecar(name) && *name != LOCK).collect();
    if unknown.is_empty() {
        return Ok(Vec::new());
    }
    let remains = graph.graph.branch_remains().await?;
    let is_branch = |name: &str| remains.iter().any(|remains| remains.branch.label() == name);
    let warning = |name: &String| format!("--assume-dead {name}: there is nothing of that name");
    Ok(unknown.into_iter().filter(|name| !is_branch(name)).map(warning).collect())
}
