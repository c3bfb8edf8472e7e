//! Answers of `sql`: as aligned tables, as comma-separated values, or as one document.

mod grid;

use std::io;

use lancekeeper_model::{ErrorKind, ExitCode};
use lancekeeper_service::sql::{Answer, Cell, SqlRunError};
use lancekeeper_sql::SqlError;
use serde::Serialize;
use serde_json::Value;

use super::{Format, Terminal};

/// Grows when a field is removed or changes its meaning, not when one is added.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    command: &'a str,
    statements: Vec<StatementDocument<'a>>,
    error: Option<ErrorDocument<'a>>,
}

#[derive(Serialize)]
struct StatementDocument<'a> {
    statement: &'a str,
    dry_run: bool,
    columns: &'a [String],
    rows: Vec<Vec<Value>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct ErrorDocument<'a> {
    message: &'a str,
    hint: Option<&'a str>,
    kind: String,
    line: Option<usize>,
    column: Option<usize>,
    suggestion: Option<&'a str>,
}

/// What statements answered.
#[derive(Debug)]
pub(crate) struct SqlAnswer {
    csv: bool,
    /// One for each statement that was carried out.
    pub(crate) results: Vec<Answer>,
    /// Why there are no more, if one failed.
    pub(crate) failure: Option<SqlFailure>,
}

/// Why a statement failed.
#[derive(Debug)]
pub(crate) struct SqlFailure {
    message: String,
    hint: Option<String>,
    kind: ErrorKind,
    /// Where in the text, with the lines that show it.
    place: Option<(SqlError, String)>,
}

impl SqlFailure {
    /// The statements cannot be read.
    pub(crate) fn unreadable(why: &str) -> Self {
        Self { message: why.to_owned(), hint: None, kind: ErrorKind::Invalid, place: None }
    }

    /// A statement that makes no sense, of this text.
    pub(crate) fn senseless(error: &SqlError, text: &str) -> Self {
        let place = Some((error.clone(), error.render(text)));
        let hint = error.hint().map(ToOwned::to_owned);
        Self { message: error.to_string(), hint, kind: error.kind(), place }
    }

    /// A statement of this text that failed.
    pub(crate) fn of(error: &SqlRunError, text: &str) -> Self {
        match error {
            SqlRunError::Statement(error) => Self::senseless(error, text),
            other => Self {
                message: other.to_string(),
                hint: other.hint(),
                kind: other.kind(),
                place: None,
            },
        }
    }

    fn document(&self) -> ErrorDocument<'_> {
        let place = self.place.as_ref().map(|(error, _)| error);
        ErrorDocument {
            message: place.map_or(self.message.as_str(), SqlError::message),
            hint: self.hint.as_deref(),
            kind: self.kind.to_string(),
            line: place.map(SqlError::line),
            column: place.map(SqlError::column),
            suggestion: place.and_then(SqlError::suggestion),
        }
    }

    fn say(&self, terminal: &Terminal) {
        let messages = terminal.messages();
        match &self.place {
            Some((_, rendered)) => messages.error(rendered),
            None => {
                messages.error(&self.message);
                self.hint.iter().for_each(|hint| messages.hint(hint));
            }
        }
    }
}

impl SqlAnswer {
    /// Nothing yet.
    pub(crate) fn new(csv: bool) -> Self {
        Self { csv, results: Vec::new(), failure: None }
    }

    fn document(&self, command: &str) -> serde_json::Result<String> {
        let document = Document {
            schema: SCHEMA,
            command,
            statements: self.results.iter().map(statement).collect(),
            error: self.failure.as_ref().map(SqlFailure::document),
        };
        serde_json::to_string(&document).map(|text| text + "\n")
    }

    /// The exit code: that of what failed, else of the first answer that has one.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if let Some(failure) = &self.failure {
            return failure.kind.exit_code();
        }
        let codes = self.results.iter().map(|result| result.exit_code);
        codes.into_iter().find(|code| *code != ExitCode::Done).unwrap_or(ExitCode::Done)
    }

    /// Writes it, of the command that people typed.
    pub(crate) fn show(
        &self,
        command: &str,
        format: Format,
        terminal: &mut Terminal,
    ) -> io::Result<()> {
        if format == Format::Json {
            terminal.print(&self.document(command)?)?;
        } else {
            for (at, result) in self.results.iter().enumerate() {
                let text = match self.csv {
                    true => csv(result),
                    false => grid::lines(result, terminal.screen()),
                };
                let gap = if at > 0 { "\n" } else { "" };
                terminal.print(&format!("{gap}{text}"))?;
                let messages = terminal.messages();
                result.notes.iter().for_each(|note| messages.warning(note));
            }
        }
        if let Some(failure) = &self.failure {
            failure.say(terminal);
        }
        Ok(())
    }
}

fn statement(result: &Answer) -> StatementDocument<'_> {
    StatementDocument {
        statement: result.statement,
        dry_run: result.dry_run,
        columns: &result.columns,
        rows: result.rows.iter().map(|row| row.iter().map(value).collect()).collect(),
        notes: &result.notes,
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Flag(flag) => Value::from(*flag),
        Cell::Integer(number) => match (i64::try_from(*number), u64::try_from(*number)) {
            (Ok(number), _) => Value::from(number),
            (_, Ok(number)) => Value::from(number),
            _ => Value::from(number.to_string()),
        },
        Cell::Real(number) => Value::from(*number),
        Cell::Text(text) => Value::from(text.as_str()),
        Cell::Time(time) => Value::from(time.to_rfc3339()),
    }
}

/// A cell as text; nothing for null.
fn plain(cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
        Cell::Time(time) => time.to_rfc3339(),
    }
}

/// RFC 4180, but with plain line ends.
fn csv(result: &Answer) -> String {
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let head = line(result.columns.iter().map(|name| quoted(name)).collect());
    let rows =
        result.rows.iter().map(|row| line(row.iter().map(|cell| quoted(&plain(cell))).collect()));
    std::iter::once(head).chain(rows).collect()
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::terminal::Screen;

    fn result() -> Answer {
        Answer {
            statement: "SELECT",
            dry_run: false,
            columns: vec!["table".into(), "rows".into(), "layout".into()],
            rows: vec![
                vec![Cell::Text("表格".into()), Cell::Integer(7), Cell::Null],
                vec![
                    Cell::Text("a, \"b\"\nc".into()),
                    Cell::Integer(1234),
                    Cell::Text("sort:x".into()),
                ],
            ],
            notes: vec!["x cannot be read".into()],
            exit_code: ExitCode::Done,
        }
    }

    #[test]
    fn rows_are_aligned_for_people_and_quoted_for_programs() {
        insta::assert_snapshot!(grid::lines(&result(), Screen::plain(None)), @r#"
        table     rows  layout
        表格         7
        a, "b" c  1234  sort:x
        "#);
        insta::assert_snapshot!(csv(&result()), @r#"
        table,rows,layout
        表格,7,
        "a, ""b""
        c",1234,sort:x
        "#);
    }

    #[test]
    fn the_document_holds_every_statement_and_where_the_last_one_failed() {
        let text = "SELECT 1;\nCOMPAKT TABLE t";
        let error = lancekeeper_sql::parse(text).unwrap_err();
        let mut answer = SqlAnswer::new(false);
        answer.results.push(result());
        answer.failure = Some(SqlFailure::senseless(&error, text));
        assert_eq!(answer.exit_code(), ExitCode::Usage);
        insta::assert_snapshot!(answer.document("sql").unwrap(), @r#"
        {"schema":1,"command":"sql","statements":[{"statement":"SELECT","dry_run":false,"columns":["table","rows","layout"],"rows":[["表格",7,null],["a, \"b\"\nc",1234,"sort:x"]],"notes":["x cannot be read"]}],"error":{"message":"no statement begins with COMPAKT","hint":"understood are COMPACT TABLE, VACUUM TABLE, OPTIMIZE TABLE, ALTER TABLE … SET and RESET, SHOW JOBS, CANCEL JOB, EXPLAIN and SELECT","kind":"invalid","line":2,"column":1,"suggestion":"COMPACT"}}
        "#);
    }

    #[test]
    fn a_bad_statement_is_shown_with_a_caret() {
        let text = "COMPAKT TABLE t";
        let error = lancekeeper_sql::parse(text).unwrap_err();
        let mut answer = SqlAnswer::new(false);
        answer.failure = Some(SqlFailure::senseless(&error, text));
        let (mut terminal, captured) = Terminal::captured(Screen::plain(None));
        answer.show("sql", Format::Human, &mut terminal).unwrap();
        assert_eq!(captured.out(), "");
        let err = captured.err();
        assert!(err.contains("1 | COMPAKT TABLE t\n  | ^^^^^^^\n"), "{err}");
    }
}
