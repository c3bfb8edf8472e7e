//! Statements over a root: each by the verb that the command line has for it, and queries by DataFusion.
//!
//! A statement is looked up before anything is done: a table, column or option that is not there is an error at its place in
//! the text. `COMPACT`, `VACUUM` and `OPTIMIZE` are [`Keeper::optimize`] with other options, so previews, budgets, locks and refusals
//! are the same; `VACUUM … RETAIN` is [`Keeper::cleanup`].
//!
//! Not here: the grammar (`lancekeeper_sql`), and how answers are shown (`cli`).

mod answer;
mod cells;
mod error;
mod maintain;
mod names;
mod plan_error;
mod query;
mod standing;
mod system;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper::{CleanupOptions, Keeper, OptimizeOptions, Progress};
use lancekeeper_model::{JobCause, JobTrigger, MEMORY_BYTES};
use lancekeeper_sql::{Parsed, Statement};

pub use answer::{Answer, Cell};
pub use error::SqlRunError;
pub use system::{SystemColumn, SystemTable};

/// What statements may do, and by which options.
#[derive(Debug, Clone)]
pub struct SqlOptions {
    /// What `COMPACT`, `VACUUM` and `OPTIMIZE` go by beyond what they say themselves.
    pub optimize: OptimizeOptions,
    /// What `VACUUM … RETAIN` goes by beyond what it says itself.
    pub cleanup: CleanupOptions,
    /// Whether what deletes versions deletes them. Else it is a preview.
    pub confirm: bool,
    /// Bytes that a query may hold at once; sorts and joins beyond that go to disk or fail.
    pub memory_bytes: usize,
}

impl Default for SqlOptions {
    fn default() -> Self {
        Self {
            optimize: OptimizeOptions::default(),
            cleanup: CleanupOptions::default(),
            confirm: false,
            memory_bytes: usize::try_from(MEMORY_BYTES).unwrap_or(usize::MAX),
        }
    }
}

/// Statements over one root.
#[derive(Clone)]
pub struct SqlSession {
    keeper: Keeper,
    root: String,
    options: SqlOptions,
    progress: Arc<dyn Progress>,
}

impl SqlSession {
    /// Over this root. Nothing is opened by that.
    pub fn new(
        keeper: Keeper,
        root: &str,
        options: SqlOptions,
        progress: Arc<dyn Progress>,
    ) -> Self {
        Self { keeper, root: root.to_owned(), options, progress }
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }

    /// The keeper, whose jobs say that this statement is their reason.
    fn keeper_for(&self, text: &str) -> Keeper {
        let cause =
            JobCause { trigger: JobTrigger::Sql, reason: text.to_owned(), ..JobCause::default() };
        self.keeper.clone().caused_by(cause)
    }

    /// Carries out one statement.
    ///
    /// # Errors
    ///
    /// [`SqlRunError::Statement`] at the place of what is not there or makes no sense; else why the root could not be read
    /// or written. A table that failed is no error of the statement: it stands in the answer, and in its exit code.
    ///
    /// # Cancel safety
    ///
    /// As [`Keeper::optimize`] and [`Keeper::cleanup`]; a query leaves nothing behind.
    pub fn run<'a>(&'a self, parsed: &'a Parsed) -> BoxFuture<'a, Result<Answer, SqlRunError>> {
        async move {
            let text = &parsed.text;
            match &parsed.statement {
                Statement::Explain(statement) => maintain::explain(self, statement, text).await,
                Statement::Query(query) => query::run(self, query).await,
                Statement::ShowJobs => standing::show_jobs(self).await,
                Statement::CancelJob(cancel) => standing::cancel_job(self, cancel).await,
                Statement::AlterSet(set) => standing::set_options(self, set).await,
                Statement::AlterReset(reset) => standing::reset_options(self, reset).await,
                statement => maintain::run(self, statement, text).await,
            }
        }
        .boxed()
    }
}

/// Whether a statement may write to its root. Whoever interrupts one that does not may drop it.
#[must_use]
pub fn writes(statement: &Statement) -> bool {
    !matches!(statement, Statement::Explain(_) | Statement::Query(_) | Statement::ShowJobs)
}

/// Whether a statement deletes what cannot be made again.
#[must_use]
pub fn deletes_versions(statement: &Statement) -> bool {
    matches!(statement, Statement::Vacuum(vacuum) if vacuum.retain.is_some())
}

/// The tables of the schema `system`, for documents.
#[must_use]
pub fn system_tables() -> &'static [SystemTable] {
    system::TABLES
}
