//! Whether the rows of a table of a graph may get another order: what the graph's clients bear of it. What Lance
//! can do is not asked here.

use lancekeeper_model::{DeclaredIndex, IndexFacts, IndexKind, Layout, TableKey};

/// Why a table of a graph cannot have a layout; `None` if it can. `existing` are its indexes, `declared` those that its
/// schema wants, built or not.
///
/// The clients' own optimize panics while it merges a full-text index over rows whose ids do not ascend. Looked at, and
/// found to be as before, were B-trees and vector indexes; of other kinds it is not known.
#[must_use]
pub fn why_unfit(
    table: &TableKey,
    layout: &Layout,
    existing: &[IndexFacts],
    declared: &[DeclaredIndex],
) -> Option<String> {
    if matches!(layout, Layout::Graph) && !table.is_edge() {
        return Some("it is no edge table, and this is an order of edges".to_owned());
    }
    const TEXT: &str = "which the graph's clients cannot merge once rows lie in another order";
    if let Some(index) = existing.iter().find(|index| index.kind == IndexKind::FullText) {
        return Some(format!("it has the full-text index {}, {TEXT}", index.name));
    }
    if let Some(index) = declared.iter().find(|index| index.kind == IndexKind::FullText) {
        let column = &index.column;
        return Some(format!("its schema declares a full-text index on {column}, {TEXT}"));
    }
    let is_known = |index: &&IndexFacts| matches!(index.kind, IndexKind::BTree | IndexKind::Vector);
    existing.iter().find(|index| !is_known(index)).map(|index| {
        let name = &index.name;
        format!("what the graph's clients make of its index {name} over rows in another order is not known")
    })
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::CarryOver;

    use super::*;

    fn index(kind: IndexKind) -> IndexFacts {
        IndexFacts {
            name: "i".to_owned(),
            column: "c".to_owned(),
            kind,
            segments: Vec::new(),
            uncovered_rows: 0,
            carry_over: CarryOver::ByRowIds,
            can_append: false,
            must_be_rebuilt: false,
            unusable: None,
        }
    }

    fn why(table: &str, layout: &str, existing: &[IndexKind], declared: &[IndexKind]) -> String {
        let existing: Vec<_> = existing.iter().map(|kind| index(*kind)).collect();
        let declared =
            declared.iter().map(|kind| DeclaredIndex { column: "c".into(), kind: *kind });
        let declared: Vec<_> = declared.collect();
        let layout = layout.parse().unwrap();
        why_unfit(&TableKey::new(table), &layout, &existing, &declared).unwrap_or_default()
    }

    #[test]
    fn only_what_the_clients_are_known_to_bear_gets_another_order() {
        use IndexKind::{BTree, FullText, Other, Vector, ZoneMap};
        assert_eq!(why("edge:K", "graph", &[BTree, BTree], &[BTree]), "");
        assert_eq!(why("node:P", "hilbert:a,b", &[BTree, Vector], &[Vector]), "");
        assert_eq!(why("node:P", "sort:a", &[], &[]), "");
        assert!(why("node:P", "graph", &[], &[]).contains("no edge table"));
        for table in ["node:P", "edge:K"] {
            assert!(why(table, "sort:a", &[BTree, FullText], &[]).contains("full-text index i"));
            // Built by whoever is first to, over the rows as they lie then.
            assert!(why(table, "sort:a", &[BTree], &[FullText]).contains("declares"));
            for kind in [ZoneMap, Other] {
                assert!(why(table, "zorder:a", &[BTree, kind], &[]).contains("not known"));
            }
        }
    }
}
