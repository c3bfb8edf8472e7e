//! The statements that are ours.

use std::time::Duration;

use lancekeeper_model::{CURVE_COLUMNS_MAX, Direction, NullPlacement, SortColumn, nearest};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use crate::error::SqlError;
use crate::names::Name;
use crate::query::{first_names_of, holds_query};
use crate::span::Span;
use crate::statement::{
    AlterReset, AlterSet, CancelJob, Compact, Filter, Optimize, OptionValue, OrderColumns,
    Statement, Vacuum,
};

/// Units of time, with the seconds of one.
const UNITS: [(&str, u64); 17] = [
    ("DAYS", 86_400),
    ("DAY", 86_400),
    ("D", 86_400),
    ("HOURS", 3_600),
    ("HOUR", 3_600),
    ("H", 3_600),
    ("MINUTES", 60),
    ("MINUTE", 60),
    ("MIN", 60),
    ("M", 60),
    ("SECONDS", 1),
    ("SECOND", 1),
    ("SEC", 1),
    ("S", 1),
    ("WEEKS", 604_800),
    ("WEEK", 604_800),
    ("W", 604_800),
];

/// The longest time that versions may be kept for: 1,000 years. More would leave the range of dates.
const RETAIN_MAX: u64 = 1_000 * 366 * 86_400;

/// `VERB TABLE name`.
fn verb_and_table(cursor: &mut Cursor<'_>) -> Result<Name, SqlError> {
    cursor.advance();
    cursor.expect_word(&["TABLE"])?;
    cursor.expect_name("a table")
}

pub(super) fn compact(cursor: &mut Cursor<'_>) -> Result<Compact, SqlError> {
    let mut compact = Compact { table: verb_and_table(cursor)?, order: None, filter: None };
    loop {
        let clause = cursor.word().unwrap_or_default();
        match clause.as_str() {
            "WHERE" if compact.filter.is_none() => compact.filter = Some(filter(cursor)?),
            "ORDER" | "Z_ORDER" | "ZORDER" | "HILBERT" if compact.order.is_none() => {
                compact.order = Some(order(cursor, &clause)?);
            }
            "WHERE" => return Err(cursor.error("there is a WHERE already")),
            "ORDER" | "Z_ORDER" | "ZORDER" | "HILBERT" => {
                return Err(
                    cursor.error("the rows of a table lie in one order, and there is one already")
                );
            }
            _ => return Ok(compact),
        }
    }
}

fn filter(cursor: &mut Cursor<'_>) -> Result<Filter, SqlError> {
    cursor.advance();
    let start = cursor.span();
    let parsed = cursor.parser.parse_expr();
    let expression = parsed.map_err(|error| cursor.translated(error))?;
    let span = start.to(cursor.last_span());
    if holds_query(&expression) {
        return Err(SqlError::new(
            "this predicate holds a query, and each row is asked by itself",
            span,
        ));
    }
    let columns = first_names_of(&expression, span);
    Ok(Filter { text: cursor.in_backticks(span)?, span, columns })
}

fn order(cursor: &mut Cursor<'_>, clause: &str) -> Result<OrderColumns, SqlError> {
    cursor.advance();
    cursor.expect_word(&["BY"])?;
    if clause == "ORDER" {
        let columns = listed(cursor, sort_column)?;
        once_each(columns.iter().map(|(name, _)| name), "column")?;
        return Ok(OrderColumns::Sort(columns));
    }
    let names = listed(cursor, curve_column)?;
    once_each(&names, "column")?;
    if let Some(beyond) = names.get(CURVE_COLUMNS_MAX) {
        let message =
            format!("a curve takes at most {CURVE_COLUMNS_MAX} columns, not {}", names.len());
        return Err(SqlError::new(message, beyond.span));
    }
    Ok(if clause == "HILBERT" { OrderColumns::Hilbert(names) } else { OrderColumns::ZOrder(names) })
}

fn sort_column(cursor: &mut Cursor<'_>) -> Result<(Name, SortColumn), SqlError> {
    let name = cursor.expect_column()?;
    let direction = match cursor.word().as_deref() {
        Some("DESC") => Direction::Descending,
        _ => Direction::Ascending,
    };
    if matches!(cursor.word().as_deref(), Some("ASC" | "DESC")) {
        cursor.advance();
    }
    let mut column = SortColumn::new(&name.text, direction);
    if cursor.takes_word("NULLS") {
        column.nulls = match cursor.expect_word(&["FIRST", "LAST"])? {
            "FIRST" => NullPlacement::First,
            _ => NullPlacement::Last,
        };
    }
    Ok((name, column))
}

fn curve_column(cursor: &mut Cursor<'_>) -> Result<Name, SqlError> {
    let name = cursor.expect_column()?;
    match cursor.word().as_deref() {
        Some("ASC" | "DESC" | "NULLS") => {
            Err(cursor.error("a curve has no direction and no place for nulls"))
        }
        _ => Ok(name),
    }
}

pub(super) fn vacuum(cursor: &mut Cursor<'_>) -> Result<Vacuum, SqlError> {
    let table = verb_and_table(cursor)?;
    let retain = if cursor.takes_word("RETAIN") { Some(duration(cursor)?) } else { None };
    Ok(Vacuum { table, retain })
}

/// `7 DAYS`, `12h` or `'7 days'`.
fn duration(cursor: &mut Cursor<'_>) -> Result<Duration, SqlError> {
    let start = cursor.span();
    let token = cursor.parser.peek_token().token;
    let (number, unit) = match token {
        Token::Number(number, _) => {
            cursor.advance();
            let Some(unit) = cursor.word() else {
                return Err(cursor.expected("a unit of time such as DAYS"));
            };
            (number, unit)
        }
        Token::SingleQuotedString(text) => {
            let text = text.trim();
            let digits = text.chars().take_while(char::is_ascii_digit).count();
            (text[..digits].to_owned(), text[digits..].trim().to_uppercase())
        }
        _ => return Err(cursor.expected("a time such as 7 DAYS")),
    };
    let units = UNITS.iter().map(|(name, _)| *name);
    let Some((_, seconds)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let error = cursor.error(format!("{} is no unit of time", cursor.shown()));
        return Err(error
            .suggesting(nearest(&unit, units))
            .with_hint("units are SECONDS, MINUTES, HOURS, DAYS and WEEKS"));
    };
    cursor.advance();
    let span = start.to(cursor.last_span());
    let number: u64 = number
        .parse()
        .map_err(|_| SqlError::new("a time is a whole number and a unit, such as 7 DAYS", span))?;
    match number.checked_mul(*seconds) {
        Some(seconds) if seconds <= RETAIN_MAX => Ok(Duration::from_secs(seconds)),
        _ => Err(SqlError::new("versions are kept for at most 1,000 years", span)),
    }
}

pub(super) fn optimize(cursor: &mut Cursor<'_>) -> Result<Optimize, SqlError> {
    let table = verb_and_table(cursor)?;
    let recompute_statistics = cursor.takes_word("RECOMPUTE");
    if recompute_statistics {
        cursor.expect_word(&["STATISTICS"])?;
    }
    Ok(Optimize { table, recompute_statistics })
}

pub(super) fn alter(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let table = verb_and_table(cursor)?;
    if cursor.expect_word(&["SET", "RESET"])? == "RESET" {
        let options = listed(cursor, |cursor| cursor.expect_name("an option"))?;
        once_each(&options, "option")?;
        return Ok(Statement::AlterReset(AlterReset { table, options }));
    }
    let options = listed(cursor, option)?;
    once_each(options.iter().map(|(name, _)| name), "option")?;
    Ok(Statement::AlterSet(AlterSet { table, options }))
}

fn option(cursor: &mut Cursor<'_>) -> Result<(Name, OptionValue), SqlError> {
    let name = cursor.expect_name("an option")?;
    cursor.expect(&Token::Eq, "=")?;
    let start = cursor.span();
    if let Token::SingleQuotedString(text) = cursor.parser.peek_token().token {
        cursor.advance();
        return Ok((name, OptionValue { text, quoted: true, span: start }));
    }
    // What a value may be is the settings' to say: sizes and times are several tokens.
    let mut span = None;
    while !(cursor.is_comma() || cursor.is_close_parenthesis() || cursor.ends_statement()) {
        if cursor.is_open_parenthesis() || cursor.parser.peek_token().token == Token::Eq {
            return Err(cursor.expected("a comma or )"));
        }
        span = Some(start.to(cursor.span()));
        cursor.advance();
    }
    let Some(span) = span else {
        return Err(cursor.expected(&format!("a value for {}", name.text)));
    };
    Ok((name, OptionValue { text: cursor.written(span).to_owned(), quoted: false, span }))
}

/// `( item, item … )`, at least one.
fn listed<T>(
    cursor: &mut Cursor<'_>,
    mut item: impl FnMut(&mut Cursor<'_>) -> Result<T, SqlError>,
) -> Result<Vec<T>, SqlError> {
    cursor.expect(&Token::LParen, "(")?;
    let mut items = vec![item(cursor)?];
    while cursor.is_comma() {
        cursor.advance();
        items.push(item(cursor)?);
    }
    cursor.expect(&Token::RParen, "a comma or )")?;
    Ok(items)
}

fn once_each<'n>(names: impl IntoIterator<Item = &'n Name>, what: &str) -> Result<(), SqlError> {
    let mut seen: Vec<&Name> = Vec::new();
    for name in names {
        if seen.iter().any(|other| other.text == name.text) {
            return Err(SqlError::new(
                format!("{what} {} stands there twice", name.text),
                name.span,
            ));
        }
        seen.push(name);
    }
    Ok(())
}

pub(super) fn show_jobs(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    cursor.advance();
    cursor.expect_word(&["JOBS"])?;
    Ok(Statement::ShowJobs)
}

pub(super) fn cancel_job(cursor: &mut Cursor<'_>) -> Result<CancelJob, SqlError> {
    cursor.advance();
    cursor.expect_word(&["JOB"])?;
    let start = cursor.span();
    if let Token::SingleQuotedString(text) = cursor.parser.peek_token().token {
        cursor.advance();
        return Ok(CancelJob { id: Name { text, quoted: true, span: start } });
    }
    // An id begins with a digit, so it is several tokens without a space between them.
    let mut span: Option<Span> = None;
    while !cursor.ends_statement() {
        let next = cursor.span();
        if span
            .is_some_and(|so_far| (so_far.end_line, so_far.end_column) != (next.line, next.column))
        {
            break;
        }
        span = Some(span.map_or(next, |so_far| so_far.to(next)));
        cursor.advance();
    }
    let Some(span) = span else { return Err(cursor.expected("the id of a job")) };
    Ok(CancelJob { id: Name { text: cursor.written(span).to_owned(), quoted: false, span } })
}
