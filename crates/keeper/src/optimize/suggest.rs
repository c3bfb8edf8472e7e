//! `--layout auto`: the layout that a table's queries suggest, else its indexes, else its key. Reads no
//! data.

use std::collections::BTreeMap;
use std::sync::Arc;

use lance::Dataset;
use lance_datafusion::planner::Planner;
use lancekeeper_layout::{check_orderable, suggest};
use lancekeeper_model::{IndexFacts, IndexKind, Layout};

/// The layout that a table's predicates suggest. Those of other tables' columns say nothing about it. Without
/// predicates: what its B-trees and zone maps suggest, and if it has none, its declared key.
///
/// # Errors
///
/// Why nothing suggests one.
pub(super) fn suggested(
    table: &Dataset,
    indexes: &[IndexFacts],
    workload: &[String],
) -> Result<Layout, String> {
    let asked = match workload {
        [] => by_indexes(table, indexes),
        predicates => by_predicates(table, predicates),
    };
    let asked: Vec<(String, u64)> =
        asked.into_iter().filter(|(name, _)| is_orderable(table, name)).collect();
    suggest(&asked).ok_or_else(|| match workload {
        [] => "it has neither an index nor a declared key that would suggest a column".to_owned(),
        predicates => {
            let count = predicates.len();
            format!("none of {count} predicates asks about a column of it that has an order")
        }
    })
}

fn by_predicates(table: &Dataset, predicates: &[String]) -> BTreeMap<String, u64> {
    let planner = Planner::new(Arc::new(table.schema().into()));
    let mut asked = BTreeMap::new();
    for predicate in predicates {
        let Ok(expression) = planner.parse_filter(predicate) else { continue };
        let mut names = Planner::column_names_in_expr(&expression);
        names.sort();
        names.dedup();
        for name in names {
            *asked.entry(name).or_default() += 1;
        }
    }
    asked
}

fn by_indexes(table: &Dataset, indexes: &[IndexFacts]) -> BTreeMap<String, u64> {
    let is_of_ranges =
        |index: &&IndexFacts| matches!(index.kind, IndexKind::BTree | IndexKind::ZoneMap);
    let indexed = indexes.iter().filter(is_of_ranges).map(|index| (index.column.clone(), 1));
    let indexed: BTreeMap<_, _> = indexed.collect();
    if !indexed.is_empty() {
        return indexed;
    }
    table.schema().unenforced_primary_key().into_iter().map(|key| (key.name.clone(), 1)).collect()
}

fn is_orderable(table: &Dataset, name: &str) -> bool {
    let field = table.schema().fields.iter().find(|field| field.name == name);
    field.is_some_and(|field| check_orderable(&field.data_type()).is_ok())
}
