//! `COMPACT`, `VACUUM` and `OPTIMIZE`: which options of which verb each of them is, and its report as rows.

use lancekeeper_model::{
    CleanupOptions, CleanupReport, ErrorKind, OptimizeOptions, OptimizeReport, RootReport,
    TableOptimizeStats,
};
use lancekeeper_sql::{Compact, Optimize, Span, SqlError, Statement, Vacuum};

use super::SqlSession;
use super::answer::{Answer, Cell};
use super::error::SqlRunError;
use super::names::{column_names, open, own_column, table};

const OPTIMIZE_COLUMNS: [&str; 12] = [
    "table",
    "branch",
    "outcome",
    "reason",
    "fragments_before",
    "fragments_after",
    "rows_before",
    "rows_after",
    "bytes_before",
    "bytes_after",
    "layout",
    "error",
];

const CLEANUP_COLUMNS: [&str; 8] = [
    "table",
    "outcome",
    "versions_removed",
    "versions_kept",
    "files_removed",
    "bytes_removed",
    "error",
    "kept_because",
];

/// What a statement comes to.
enum Call {
    /// An optimize, and where the statement says what may be wrong about it.
    Optimize(Box<OptimizeOptions>, Span),
    /// A cleanup.
    Cleanup(Box<CleanupOptions>),
}

/// Carries out one of the statements that change how a table lies on disk.
pub(super) async fn run(
    session: &SqlSession,
    statement: &Statement,
    text: &str,
) -> Result<Answer, SqlRunError> {
    let call = call(session, statement).await?;
    // Whatever deletes versions is a preview until somebody confirms it.
    let is_preview = matches!(call, Call::Cleanup(_)) && !session.options.confirm;
    let mut answer = carry_out(session, statement.verb(), text, call, is_preview).await?;
    if is_preview {
        answer.notes.push("a preview: nothing was deleted; --confirm deletes".to_owned());
    }
    Ok(answer)
}

/// The plan of one of these statements; nothing is written.
pub(super) async fn explain(
    session: &SqlSession,
    statement: &Statement,
    text: &str,
) -> Result<Answer, SqlRunError> {
    let call = call(session, statement).await?;
    carry_out(session, "EXPLAIN", text, call, true).await
}

async fn call(session: &SqlSession, statement: &Statement) -> Result<Call, SqlRunError> {
    match statement {
        Statement::Compact(compact) => compaction(session, compact).await,
        Statement::Vacuum(vacuum) => vacuuming(session, vacuum).await,
        Statement::Optimize(optimize) => optimizing(session, optimize).await,
        // The grammar lets nothing else come here.
        other => Err(SqlRunError::Root {
            message: format!("{} is not carried out by a rewrite", other.verb()),
            hint: None,
            kind: ErrorKind::Internal,
        }),
    }
}

async fn compaction(session: &SqlSession, compact: &Compact) -> Result<Call, SqlRunError> {
    let seen = session.see().await?;
    let target = table(&seen, &compact.table)?;
    let mut options = OptimizeOptions {
        tables: vec![target.key().as_str().to_owned()],
        ..session.options.optimize.clone()
    };
    let mut place = compact.table.span;
    if compact.order.is_none() && compact.filter.is_none() {
        return Ok(Call::Optimize(Box::new(options), place));
    }
    let dataset = open(&seen, target).await?;
    if let Some(order) = &compact.order {
        let spelled = order.names().into_iter().map(|name| own_column(&dataset, name));
        options.layout = Some(order.layout(&spelled.collect::<Result<Vec<String>, SqlError>>()?));
        place = order.names().first().map_or(place, |name| name.span);
    }
    if let Some(filter) = &compact.filter {
        let known = column_names(&dataset);
        for column in &filter.columns {
            // Lance takes names as they stand: a column that is only spelled alike is none.
            if !known.contains(&column.text) {
                return Err(column.unknown("column", &known).into());
            }
        }
        options.predicate = Some(filter.text.clone());
        place = filter.span;
    }
    Ok(Call::Optimize(Box::new(options), place))
}

async fn vacuuming(session: &SqlSession, vacuum: &Vacuum) -> Result<Call, SqlRunError> {
    let seen = session.see().await?;
    let tables = vec![table(&seen, &vacuum.table)?.key().as_str().to_owned()];
    let Some(retain) = vacuum.retain else {
        let base = session.options.optimize.clone();
        let options = OptimizeOptions { tables, deletion_threshold: 0.0, ..base };
        return Ok(Call::Optimize(Box::new(options), vacuum.table.span));
    };
    let mut options = CleanupOptions { tables, ..session.options.cleanup.clone() };
    options.policy.older_than = Some(retain);
    Ok(Call::Cleanup(Box::new(options)))
}

async fn optimizing(session: &SqlSession, optimize: &Optimize) -> Result<Call, SqlRunError> {
    let seen = session.see().await?;
    let options = OptimizeOptions {
        tables: vec![table(&seen, &optimize.table)?.key().as_str().to_owned()],
        statistics: optimize.recompute_statistics,
        ..session.options.optimize.clone()
    };
    Ok(Call::Optimize(Box::new(options), optimize.table.span))
}

async fn carry_out(
    session: &SqlSession,
    verb: &'static str,
    text: &str,
    call: Call,
    dry_run: bool,
) -> Result<Answer, SqlRunError> {
    let (keeper, roots) = (session.keeper_for(text), [&session.root]);
    match call {
        Call::Optimize(options, place) => {
            let report = match dry_run {
                true => keeper.plan_optimize(roots, &options).await,
                false => keeper.optimize(roots, &options, session.progress.clone()).await,
            };
            of_optimize(verb, &report, place)
        }
        Call::Cleanup(options) => {
            let keeper = keeper.observed_by(session.progress.clone());
            let report = match dry_run {
                true => keeper.plan_cleanup(roots, &options).await,
                false => keeper.cleanup(roots, &options).await,
            };
            of_cleanup(verb, &report)
        }
    }
}

/// Why a root failed; `None` if it did not.
fn failure<Body>(root: &RootReport<Body>) -> Option<SqlRunError> {
    let message = root.error.clone()?;
    let kind = root.error_kind.unwrap_or(ErrorKind::Internal);
    Some(SqlRunError::Root { message, hint: root.hint.clone(), kind })
}

/// An optimize as rows. What it refuses as senseless is an error at the place of the statement that says it.
fn of_optimize(
    verb: &'static str,
    report: &OptimizeReport,
    place: Span,
) -> Result<Answer, SqlRunError> {
    let mut answer = Answer::of(verb, &OPTIMIZE_COLUMNS, Vec::new());
    (answer.dry_run, answer.exit_code) = (report.dry_run, report.exit_code());
    for root in &report.roots {
        match failure(root) {
            Some(SqlRunError::Root { message, hint, kind: ErrorKind::Invalid }) => {
                let error = SqlError::new(message, place);
                return Err(hint.into_iter().fold(error, SqlError::with_hint).into());
            }
            Some(error) => return Err(error),
            None => {}
        }
        answer.notes.extend(root.recovery.sentences());
        answer.notes.extend(root.warnings.iter().cloned());
        for table in &root.tables {
            if let (Some(ErrorKind::Invalid), Some(error)) = (table.error_kind, &table.error) {
                return Err(SqlError::new(error.clone(), place).into());
            }
            answer.rows.push(optimize_row(table));
        }
    }
    Ok(answer)
}

fn optimize_row(table: &TableOptimizeStats) -> Vec<Cell> {
    let outcome = match table {
        TableOptimizeStats { error: Some(_), .. } => "failed",
        TableOptimizeStats { committed: true, .. } => "done",
        TableOptimizeStats { would_commit: true, .. } => "planned",
        TableOptimizeStats { skipped: Some(_), .. } => "skipped",
        TableOptimizeStats { statistics: Some(note), .. } if note.written => "done",
        _ => "no-op",
    };
    vec![
        Cell::text(table.table_key.as_str()),
        Cell::text(table.branch.label()),
        Cell::text(outcome),
        Cell::text(&table.reason),
        Cell::count(table.fragments_before),
        Cell::count(table.fragments_after),
        Cell::count(table.rows_before),
        Cell::count(table.rows_after),
        Cell::count(table.bytes_before),
        Cell::count(table.bytes_after),
        Cell::maybe(table.layout.as_ref(), |layout| Cell::text(&layout.layout)),
        Cell::maybe(table.error.as_ref(), Cell::text),
    ]
}

fn of_cleanup(verb: &'static str, report: &CleanupReport) -> Result<Answer, SqlRunError> {
    let mut answer = Answer::of(verb, &CLEANUP_COLUMNS, Vec::new());
    (answer.dry_run, answer.exit_code) = (report.dry_run, report.exit_code());
    for root in &report.roots {
        if let Some(error) = failure(root) {
            return Err(error);
        }
        answer.notes.extend(root.recovery.sentences());
        answer.notes.extend(root.warnings.iter().cloned());
        for table in &root.tables {
            let outcome = match (&table.error, table.skipped, report.dry_run) {
                (Some(_), ..) => "failed",
                (None, Some(_), _) => "skipped",
                (None, None, _) if table.files_removed == 0 => "no-op",
                (None, None, true) => "planned",
                (None, None, false) => "done",
            };
            answer.rows.push(vec![
                Cell::text(table.table_key.as_str()),
                Cell::text(outcome),
                Cell::count(table.old_versions_removed),
                Cell::count(table.versions_kept),
                Cell::count(table.files_removed),
                Cell::count(table.bytes_removed),
                Cell::maybe(table.error.as_ref(), Cell::text),
                Cell::text(table.kept_because()),
            ]);
            answer.notes.extend(table.warnings.iter().cloned());
        }
    }
    Ok(answer)
}
