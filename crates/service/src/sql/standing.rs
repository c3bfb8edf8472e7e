//! Statements about what stands beside the tables: policies and jobs.

use lancekeeper_model::{PolicyOption, TableKey};
use lancekeeper_settings::{Literal, OptionError, find_option, notices, read_option};
use lancekeeper_sql::{
    AlterReset, AlterSet, CancelJob, Name, OptionValue, Query, Span, SqlError, Statement,
};

use super::answer::{Answer, Cell};
use super::error::SqlRunError;
use super::names::{table, table_names};
use super::{SqlSession, query};
use crate::jobs::{self, JobsError};
use crate::policies::{Policies, PoliciesError};

/// What `SHOW JOBS` is short for.
const SHOW_JOBS: &str = "SELECT id, table, branch, kind, trigger, compaction_status, priority, queued_at, started_at, \
                         ended_at, reason, outcome FROM system.compaction_jobs ORDER BY id DESC";

/// All jobs, the newest first.
pub(super) async fn show_jobs(session: &SqlSession) -> Result<Answer, SqlRunError> {
    let answer = query::run(session, &jobs_query()?).await?;
    Ok(Answer { statement: "SHOW JOBS", ..answer })
}

fn jobs_query() -> Result<Query, SqlError> {
    match lancekeeper_sql::parse_one(SHOW_JOBS)?.statement {
        Statement::Query(query) => Ok(query),
        other => Err(SqlError::new(format!("{} is no query", other.verb()), Span::at(1, 1))),
    }
}

/// Asks for the end of a job.
///
/// # Cancel safety
///
/// The request stands or does not.
pub(super) async fn cancel_job(
    session: &SqlSession,
    cancel: &CancelJob,
) -> Result<Answer, SqlRunError> {
    let job = match jobs::cancel_job(&session.root, &cancel.id.text, session.now()).await {
        Ok(job) => job,
        Err(JobsError::Unknown { .. }) => {
            let list = jobs::jobs_of(&session.root, session.now()).await?;
            let known: Vec<String> = list.jobs.into_iter().map(|job| job.id).collect();
            return Err(cancel
                .id
                .unknown("job", &known)
                .with_hint("SHOW JOBS shows every job")
                .into());
        }
        Err(error) => return Err(error.into()),
    };
    let row = vec![
        Cell::text(&job.id),
        Cell::text(&job.table),
        Cell::text(job.compaction_status.as_str()),
        Cell::text(&job.outcome),
    ];
    let mut answer =
        Answer::of("CANCEL JOB", &["id", "table", "compaction_status", "outcome"], vec![row]);
    if !job.compaction_status.is_over() {
        answer.notes.push("it ends once it has finished the step that it is at".to_owned());
    }
    Ok(answer)
}

/// Sets options of the policy of a table. All of them, or none if one is wrong.
///
/// # Cancel safety
///
/// The policy is the new one as a whole, or what it was.
pub(super) async fn set_options(
    session: &SqlSession,
    set: &AlterSet,
) -> Result<Answer, SqlRunError> {
    let mut values = Vec::new();
    for (name, value) in &set.options {
        let read = read_option(&name.text, literal(value));
        values.push(read.map_err(|error| option_error(&error, name, Some(value)))?);
    }
    let seen = session.see().await?;
    let key = table(&seen, &set.table)?.key();
    let policy = match Policies::of(&seen.files()).set(key, &values).await {
        Ok(policy) => policy,
        Err(PoliciesError::Option(error)) => {
            let wrong = error_option(&error);
            let at =
                values.iter().position(|(option, _)| Some(*option) == wrong).unwrap_or_default();
            let (name, value) = &set.options[at];
            return Err(option_error(&error, name, Some(value)).into());
        }
        Err(error) => return Err(error.into()),
    };
    let rows = values.iter().map(|(option, value)| {
        vec![Cell::text(key.as_str()), Cell::text(option.name()), Cell::text(value.to_string())]
    });
    let mut answer = Answer::of("ALTER TABLE", &["table", "option", "value"], rows.collect());
    answer.notes = notices(&policy);
    Ok(answer)
}

/// Forgets options of the policy of a table: what holds of them is then said elsewhere, or the default.
///
/// # Cancel safety
///
/// As [`set_options`].
pub(super) async fn reset_options(
    session: &SqlSession,
    reset: &AlterReset,
) -> Result<Answer, SqlRunError> {
    let mut options = Vec::new();
    for name in &reset.options {
        options.push(find_option(&name.text).map_err(|error| option_error(&error, name, None))?);
    }
    let seen = session.see().await?;
    let policies = Policies::of(&seen.files());
    // What was set of a table that is gone can be taken back, too: it would hold for the next one of that name.
    let mut known = table_names(&seen);
    known.extend(policies.list().await?.of_no_table(&known));
    let key = &TableKey::new(reset.table.find("table", &known)?);
    policies.reset(key, &options).await?;
    let rows = options
        .iter()
        .map(|option| vec![Cell::text(key.as_str()), Cell::text(option.name()), Cell::Null]);
    Ok(Answer::of("ALTER TABLE", &["table", "option", "value"], rows.collect()))
}

/// A value as the settings read it.
fn literal(value: &OptionValue) -> Literal<'_> {
    let text = value.text.as_str();
    match () {
        () if value.quoted => Literal::Text(text),
        () if text.eq_ignore_ascii_case("true") => Literal::Switch(true),
        () if text.eq_ignore_ascii_case("false") => Literal::Switch(false),
        () if text.parse::<f64>().is_ok_and(f64::is_finite) => Literal::Number(text),
        // Sizes and times need no quotes here.
        () => Literal::Text(text),
    }
}

fn error_option(error: &OptionError) -> Option<PolicyOption> {
    match error {
        OptionError::Value { option, .. } => Some(*option),
        _ => None,
    }
}

/// An error of the settings at the name or at the value that it is about.
fn option_error(error: &OptionError, name: &Name, value: Option<&OptionValue>) -> SqlError {
    if let OptionError::Unknown { .. } = error {
        let known = PolicyOption::ALL.map(|option| option.name().to_owned());
        return name
            .unknown("option", &known)
            .with_hint(format!("the options are {}", known.join(", ")));
    }
    let span = value.map_or(name.span, |value| value.span);
    let pointed = SqlError::new(error.to_string(), span);
    error.hint().into_iter().fold(pointed, SqlError::with_hint)
}
