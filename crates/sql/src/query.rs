//! What has to be known of a query before DataFusion plans it: the tables that it reads, with their places, and which of
//! its columns are spelled otherwise than DataFusion would look them up.
//!
//! Not here: whether these tables and columns exist (`service`).

use std::collections::HashSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Ident, ObjectName, ObjectNamePart, Query as QueryAst, Statement as Ast, Visit, Visitor,
    visit_expressions, visit_expressions_mut, visit_relations_mut,
};

use crate::names::Name;
use crate::span::Span;

mod asked;

/// A `SELECT`, `WITH` or `VALUES`, or an `EXPLAIN` of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// As DataFusion takes it.
    pub statement: Box<Ast>,
    /// The tables that it reads, in their order, those it defines itself by `WITH` left out.
    pub relations: Vec<Relation>,
    /// The whole of it.
    pub span: Span,
}

/// A table that a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// What stands before the last dot, as in `system.tables`.
    pub schema: Option<Name>,
    /// The last part.
    pub name: Name,
}

impl Query {
    pub(crate) fn new(statement: Ast, span: Span) -> Self {
        let relations = relations(&statement, span);
        Self { statement: Box::new(statement), relations, span }
    }

    /// The columns that it names in expressions, in their order: of names in parts each part.
    #[must_use]
    pub fn columns(&self) -> Vec<Name> {
        columns_of(self.statement.as_ref(), self.span)
    }

    /// The tables that it asks about where it reads one relation alone: every row it can answer with has one of these in its
    /// column `table`. `None` where that is not plain from its `WHERE`.
    #[must_use]
    pub fn tables_asked_about(&self) -> Option<Vec<String>> {
        match (self.relations.as_slice(), self.statement.as_ref()) {
            ([_], Ast::Query(query)) => asked::tables(query),
            _ => None,
        }
    }

    /// Spells columns as the tables have them. DataFusion looks a name without quotes up in small letters, so it would not
    /// find `userId`; such names get their quotes here. `known` are the columns of all tables that the query reads.
    pub fn spell_columns(&mut self, known: &[String]) {
        let lower: HashSet<String> =
            known.iter().filter(|name| name.to_lowercase() == **name).cloned().collect();
        let spell = |ident: &mut Ident| {
            let small = ident.value.to_lowercase();
            if ident.quote_style.is_some() || lower.contains(&small) {
                return;
            }
            let mut alike = known.iter().filter(|name| name.to_lowercase() == small);
            if let (Some(one), None) = (alike.next(), alike.find(|other| **other != ident.value)) {
                one.clone_into(&mut ident.value);
                ident.quote_style = Some('"');
            }
        };
        let _: ControlFlow<()> = visit_expressions_mut(self.statement.as_mut(), |expression| {
            match expression {
                Expr::Identifier(ident) => spell(ident),
                Expr::CompoundIdentifier(parts) => {
                    parts.iter_mut().skip(1).for_each(spell);
                }
                _ => {}
            }
            ControlFlow::Continue(())
        });
    }

    /// Calls the table that stands at `written` by `name`, in quotes.
    pub fn spell_relation(&mut self, written: Span, name: &str) {
        let _: ControlFlow<()> = visit_relations_mut(self.statement.as_mut(), |relation| {
            if let Some(ObjectNamePart::Identifier(ident)) = relation.0.last_mut()
                && Span::of(ident.span) == Some(written)
            {
                name.clone_into(&mut ident.value);
                ident.quote_style = Some('"');
            }
            ControlFlow::Continue(())
        });
    }
}

/// The columns in a piece of a statement. `span` is the place of what has none of its own.
pub(crate) fn columns_of(tree: &impl Visit, span: Span) -> Vec<Name> {
    let mut columns = Vec::new();
    let _: ControlFlow<()> = visit_expressions(tree, |expression| {
        match expression {
            Expr::Identifier(ident) => columns.push(name_of(ident, span)),
            Expr::CompoundIdentifier(parts) => {
                columns.extend(parts.iter().map(|part| name_of(part, span)))
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    columns
}

/// The name that stands first in each name of a piece of a statement.
pub(crate) fn first_names_of(tree: &impl Visit, span: Span) -> Vec<Name> {
    let mut columns = Vec::new();
    let _: ControlFlow<()> = visit_expressions(tree, |expression| {
        let first = match expression {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.first(),
            _ => None,
        };
        columns.extend(first.map(|ident| name_of(ident, span)));
        ControlFlow::Continue(())
    });
    columns
}

/// Whether a piece of a statement holds a query.
pub(crate) fn holds_query(tree: &impl Visit) -> bool {
    struct Found;
    impl Visitor for Found {
        type Break = ();

        fn pre_visit_query(&mut self, _: &QueryAst) -> ControlFlow<()> {
            ControlFlow::Break(())
        }
    }
    tree.visit(&mut Found).is_break()
}

fn name_of(ident: &Ident, span: Span) -> Name {
    Name {
        text: ident.value.clone(),
        quoted: ident.quote_style.is_some(),
        span: Span::of(ident.span).unwrap_or(span),
    }
}

fn relations(statement: &Ast, span: Span) -> Vec<Relation> {
    let mut seen = Relations::default();
    let _ = statement.visit(&mut seen);
    let Relations { read, defined } = seen;
    let read = read.iter().filter_map(|name| relation(name, span));
    read.filter(|it| it.schema.is_some() || !defined.contains(&it.name.text.to_lowercase()))
        .collect()
}

fn relation(name: &ObjectName, span: Span) -> Option<Relation> {
    let idents: Vec<&Ident> = name.0.iter().filter_map(ObjectNamePart::as_ident).collect();
    let (last, before) = idents.split_last()?;
    let schema = before.split_first().map(|(first, rest)| {
        let first = name_of(first, span);
        rest.iter().fold(first, |schema, part| {
            let part = name_of(part, span);
            let text = format!("{}.{}", schema.text, part.text);
            Name { text, quoted: schema.quoted, span: schema.span.to(part.span) }
        })
    });
    Some(Relation { schema, name: name_of(last, span) })
}

#[derive(Default)]
struct Relations {
    read: Vec<ObjectName>,
    defined: HashSet<String>,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &QueryAst) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|with| &with.cte_tables);
        self.defined.extend(tables.map(|table| table.alias.name.value.to_lowercase()));
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.read.push(relation.clone());
        ControlFlow::Continue(())
    }
}
