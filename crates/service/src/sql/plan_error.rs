//! What DataFusion says of a query that it cannot plan, as an error at its place in the text.

use arrow_schema::ArrowError;
use datafusion::common::{Column, SchemaError, Span as EngineSpan};
use datafusion::error::DataFusionError;
use lancekeeper_sql::{Name, Query, Span, SqlError};

/// What DataFusion puts before its messages. The place says more.
const PREFIXES: [&str; 6] = [
    "Error during planning: ",
    "Schema error: ",
    "Invalid or Unsupported Configuration: ",
    "This feature is not implemented: ",
    "SQL error: ",
    "Execution error: ",
];

/// Whether the values are wrong and not the statement: what is made of constants alone is computed while it is planned.
pub(super) fn is_of_values(error: &DataFusionError) -> bool {
    let DataFusionError::ArrowError(error, _) = error.find_root() else { return false };
    matches!(
        error.as_ref(),
        ArrowError::DivideByZero | ArrowError::ArithmeticOverflow(_) | ArrowError::ComputeError(_)
    )
}

/// The error at its place. Where DataFusion does not say which, that is the whole query.
pub(super) fn pointed(error: DataFusionError, query: &Query) -> SqlError {
    let at = error.diagnostic().and_then(|diagnostic| diagnostic.span).and_then(span);
    match error.find_root() {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, valid_fields } => {
                let known: Vec<String> =
                    valid_fields.iter().map(|column| column.name.clone()).collect();
                name_of(field, query, at).unknown("column", &known)
            }
            SchemaError::AmbiguousReference { field } => {
                let name = name_of(field, query, at);
                let message = format!("column {} is in more than one of these tables", name.text);
                SqlError::new(message, name.span)
                    .with_hint("write the table before it: TABLE.COLUMN")
            }
            other => SqlError::new(cleaned(&other.to_string()), at.unwrap_or(query.span)),
        },
        DataFusionError::Plan(message) => match unknown_function(message) {
            Some((text, near)) => {
                let span = at.unwrap_or(query.span);
                Name { text, quoted: true, span }.unknown("function", &near)
            }
            None => SqlError::new(cleaned(&error.strip_backtrace()), at.unwrap_or(query.span)),
        },
        _ => SqlError::new(cleaned(&error.strip_backtrace()), at.unwrap_or(query.span)),
    }
}

/// The function that there is not, and the one that DataFusion suggests, however far from it.
fn unknown_function(message: &str) -> Option<(String, Vec<String>)> {
    let (name, rest) = message.strip_prefix("Invalid function '")?.split_once('\'')?;
    let near = rest.split_once("Did you mean '").and_then(|(_, near)| near.split_once('\''));
    Some((name.to_owned(), near.map(|(near, _)| near.to_owned()).into_iter().collect()))
}

/// A column as it was written.
fn name_of(column: &Column, query: &Query, at: Option<Span>) -> Name {
    let written =
        query.columns().into_iter().find(|name| name.text.eq_ignore_ascii_case(&column.name));
    let of_column = column.spans.first().and_then(span);
    let span = written.as_ref().map(|name| name.span).or(of_column).or(at).unwrap_or(query.span);
    let text = written.map_or_else(|| column.name.clone(), |name| name.text);
    Name { text, quoted: true, span }
}

fn span(span: EngineSpan) -> Option<Span> {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    (span.start.line > 0).then(|| Span {
        line: count(span.start.line),
        column: count(span.start.column),
        end_line: count(span.end.line),
        end_column: count(span.end.column),
    })
}

/// The message in one line, without what only says where in DataFusion it comes from.
fn cleaned(message: &str) -> String {
    let lines = message.lines().map(|line| line.trim().trim_end_matches('.'));
    let lines = lines.filter(|line| !line.is_empty() && *line != "caused by");
    let mut text = lines.collect::<Vec<_>>().join(": ");
    for prefix in PREFIXES {
        text = text.replace(prefix, "");
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_functions_are_told_apart() {
        let said = "Invalid function 'summ'.\nDid you mean 'sum'?";
        assert_eq!(unknown_function(said), Some(("summ".into(), vec!["sum".into()])));
        assert_eq!(unknown_function("Invalid function 'x'."), Some(("x".into(), Vec::new())));
        assert_eq!(unknown_function("No function matches"), None);
    }

    #[test]
    fn messages_lose_what_says_nothing_to_people() {
        assert_eq!(cleaned("Error during planning: Invalid function 'x'."), "invalid function 'x'");
        assert_eq!(
            cleaned("type_coercion\ncaused by\nError during planning: No"),
            "type_coercion: No"
        );
    }
}
