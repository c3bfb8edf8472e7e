//! Queries, which sqlparser reads, and which of them are refused.

use sqlparser::ast::{Query as QueryAst, SetExpr, Statement as Ast};

use super::cursor::Cursor;
use crate::error::SqlError;
use crate::query::Query;

/// A query from here to its end.
pub(super) fn query(cursor: &mut Cursor<'_>) -> Result<Query, SqlError> {
    let start = cursor.span();
    let parsed = cursor.parser.parse_statement();
    let statement = parsed.map_err(|error| cursor.translated(error))?;
    if !only_reads(&statement) {
        return Err(SqlError::new("only queries that read are understood here", start)
            .with_hint("tables are written by their own clients"));
    }
    Ok(Query::new(statement, start.to(cursor.last_span())))
}

fn only_reads(statement: &Ast) -> bool {
    match statement {
        Ast::Query(query) => query_reads(query),
        Ast::Explain { statement, .. } => only_reads(statement),
        _ => false,
    }
}

fn query_reads(query: &QueryAst) -> bool {
    let tables = query.with.iter().flat_map(|with| &with.cte_tables);
    query.locks.is_empty()
        && body_reads(&query.body)
        && tables.into_iter().all(|table| query_reads(&table.query))
}

fn body_reads(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Query(query) => query_reads(query),
        SetExpr::SetOperation { left, right, .. } => body_reads(left) && body_reads(right),
        SetExpr::Values(_) => true,
        SetExpr::Table(_)
        | SetExpr::Insert(_)
        | SetExpr::Update(_)
        | SetExpr::Delete(_)
        | SetExpr::Merge(_) => false,
    }
}
