//! Text to statements: which statement begins here, and where it ends.
//!
//! Not here: what stands within the statements (`maintenance` for ours, `select` for queries).

mod cursor;
mod maintenance;
mod select;

use crate::error::SqlError;
use crate::span::Span;
use crate::statement::Statement;
use lancekeeper_model::nearest;

use cursor::Cursor;

/// Every word that a statement begins with.
const VERBS: [&str; 9] =
    ["COMPACT", "VACUUM", "OPTIMIZE", "ALTER", "SHOW", "CANCEL", "EXPLAIN", "SELECT", "WITH"];

/// Words that begin statements of other databases. They are no slips of the pen.
const OTHER_VERBS: [&str; 21] = [
    "ANALYZE", "BEGIN", "CALL", "COMMIT", "COPY", "CREATE", "DELETE", "DESC", "DESCRIBE", "DROP",
    "GRANT", "INSERT", "KILL", "MERGE", "REFRESH", "REPLACE", "ROLLBACK", "SET", "TRUNCATE",
    "UPDATE", "USE",
];

const UNDERSTOOD: &str = "understood are COMPACT TABLE, VACUUM TABLE, OPTIMIZE TABLE, ALTER TABLE … SET and RESET, \
                          SHOW JOBS, CANCEL JOB, EXPLAIN and SELECT";

/// A statement and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// The statement.
    pub statement: Statement,
    /// As it was written, from its first word to its last, without the `;`.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// The statements of a text, separated by `;`. Nothing between two of them is no statement.
///
/// # Errors
///
/// The first thing that is wrong. A text without a statement is wrong, too.
pub fn parse(text: &str) -> Result<Vec<Parsed>, SqlError> {
    let mut cursor = Cursor::over(text)?;
    let mut statements = Vec::new();
    loop {
        while cursor.takes_semicolon() {}
        if cursor.is_at_end() {
            break;
        }
        statements.push(whole_statement(&mut cursor)?);
    }
    if statements.is_empty() { Err(nothing()) } else { Ok(statements) }
}

/// The one statement of a text.
///
/// # Errors
///
/// What is wrong with it. No statement is wrong, and so are two.
pub fn parse_one(text: &str) -> Result<Parsed, SqlError> {
    let mut cursor = Cursor::over(text)?;
    while cursor.takes_semicolon() {}
    if cursor.is_at_end() {
        return Err(nothing());
    }
    let statement = whole_statement(&mut cursor)?;
    while cursor.takes_semicolon() {}
    if cursor.is_at_end() {
        return Ok(statement);
    }
    Err(SqlError::new("one statement is expected, and here begins a second one", cursor.span())
        .with_hint("several statements are read from a file (-f FILE) or from standard input"))
}

fn nothing() -> SqlError {
    SqlError::new("there is no statement", Span::at(1, 1)).with_hint(UNDERSTOOD)
}

/// One statement up to the `;` or the end behind it.
fn whole_statement(cursor: &mut Cursor<'_>) -> Result<Parsed, SqlError> {
    let start = cursor.span();
    let statement = statement(cursor)?;
    if cursor.ends_statement() {
        let span = start.to(cursor.last_span());
        return Ok(Parsed { statement, text: cursor.written(span).to_owned(), span });
    }
    let verb = statement.verb();
    let error = cursor.error(format!("{} is not expected behind this {verb}", cursor.shown()));
    let more = match (&statement, cursor.word()) {
        (Statement::Compact(_), Some(word)) => {
            nearest(&word, ["WHERE", "ORDER", "Z_ORDER", "HILBERT"])
        }
        (Statement::Vacuum(it), Some(word)) if it.retain.is_none() => nearest(&word, ["RETAIN"]),
        (Statement::Optimize(it), Some(word)) if !it.recompute_statistics => {
            nearest(&word, ["RECOMPUTE"])
        }
        _ => None,
    };
    Err(error.suggesting(more))
}

fn statement(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let Some(word) = cursor.word() else {
        if cursor.is_open_parenthesis() {
            return select::query(cursor).map(Statement::Query);
        }
        return Err(cursor
            .error(format!("no statement begins with {}", cursor.shown()))
            .with_hint(UNDERSTOOD));
    };
    match word.as_str() {
        "COMPACT" => maintenance::compact(cursor).map(Statement::Compact),
        "VACUUM" => maintenance::vacuum(cursor).map(Statement::Vacuum),
        "OPTIMIZE" => maintenance::optimize(cursor).map(Statement::Optimize),
        "ALTER" => maintenance::alter(cursor),
        "SHOW" => maintenance::show_jobs(cursor),
        "CANCEL" => maintenance::cancel_job(cursor).map(Statement::CancelJob),
        "EXPLAIN" => explain(cursor),
        "SELECT" | "WITH" | "VALUES" => select::query(cursor).map(Statement::Query),
        other => Err(unknown_verb(cursor, other)),
    }
}

fn unknown_verb(cursor: &Cursor<'_>, word: &str) -> SqlError {
    if OTHER_VERBS.contains(&word) {
        return cursor.error(format!("{word} is not understood here")).with_hint(UNDERSTOOD);
    }
    cursor
        .error(format!("no statement begins with {}", cursor.shown()))
        .suggesting(nearest(word, VERBS))
        .with_hint(UNDERSTOOD)
}

/// The plan of a statement. Of a query it is DataFusion's own statement.
fn explain(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let next = cursor.second_word().unwrap_or_default();
    if !matches!(next.as_str(), "COMPACT" | "VACUUM" | "OPTIMIZE") {
        let is_query =
            ["SELECT", "WITH", "VALUES", "ANALYZE", "VERBOSE", "FORMAT"].contains(&next.as_str());
        if is_query || next.is_empty() && cursor.second_opens() {
            return select::query(cursor).map(Statement::Query);
        }
        cursor.advance();
        let error = cursor.error("EXPLAIN shows the plan of COMPACT, VACUUM, OPTIMIZE or a query");
        return Err(error.suggesting(nearest(&next, ["COMPACT", "VACUUM", "OPTIMIZE", "SELECT"])));
    }
    cursor.advance();
    statement(cursor).map(|it| Statement::Explain(Box::new(it)))
}
