//! Which tables a query over one relation asks about, as far as its `WHERE` says so plainly: `table = 'x'` or `table IN
//! ('x', 'y')`, alone or behind an `AND`.
//!
//! Whoever fills the relation need not look at any other table then. What is not plain is no restriction, so nothing is left out
//! that the query could answer with; the query itself is not changed.

use sqlparser::ast::{BinaryOperator, Expr, Ident, Query, Select, SetExpr, TableFactor, Value};

/// The column that says of which table a row is.
const COLUMN: &str = "table";

pub(super) fn tables(query: &Query) -> Option<Vec<String>> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if query.with.is_some() || !reads_one_table(select) {
        return None;
    }
    of_condition(select.selection.as_ref()?)
}

fn reads_one_table(select: &Select) -> bool {
    match select.from.as_slice() {
        [from] => {
            from.joins.is_empty() && matches!(from.relation, TableFactor::Table { args: None, .. })
        }
        _ => false,
    }
}

fn of_condition(condition: &Expr) -> Option<Vec<String>> {
    match condition {
        Expr::Nested(inner) => of_condition(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            match (of_condition(left), of_condition(right)) {
                (Some(one), Some(other)) => {
                    Some(one.into_iter().filter(|table| other.contains(table)).collect())
                }
                (one, other) => one.or(other),
            }
        }
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            match (left.as_ref(), right.as_ref()) {
                (column, value) | (value, column) if is_column(column) => Some(vec![text(value)?]),
                _ => None,
            }
        }
        Expr::InList { expr, list, negated: false } if is_column(expr) => {
            list.iter().map(text).collect()
        }
        _ => None,
    }
}

fn is_column(expression: &Expr) -> bool {
    let is_it = |ident: &Ident| match ident.quote_style {
        Some(_) => ident.value == COLUMN,
        None => ident.value.eq_ignore_ascii_case(COLUMN),
    };
    match expression {
        Expr::Identifier(ident) => is_it(ident),
        // What stands before it is the one relation, or DataFusion finds nothing of that name.
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(is_it),
        _ => false,
    }
}

fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}
