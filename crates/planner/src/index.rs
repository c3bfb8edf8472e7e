//! Index upkeep: which indexes of a table to create, refresh or rebuild, and which declared
//! ones have to wait and why. Pure.
//!
//! An index is worked on as a whole: afterwards it is one segment over every fragment of the
//! version it was staged at. That is what lets compaction merge fragments that were covered
//! differently before.

use lancekeeper_model::{DeclaredIndex, IndexFacts, IndexKind, IndexMode, PendingIndex};

/// What is known about the indexes of one table.
#[derive(Debug, Clone, Default)]
pub struct IndexInventory {
    /// Live rows of the table.
    pub rows: u64,
    /// What exists.
    pub existing: Vec<IndexFacts>,
    /// What the schema declares.
    pub declared: Vec<DeclaredIndex>,
    /// Columns of declared vector indexes that hold no vector yet.
    pub without_vectors: Vec<String>,
}

/// What to do with one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexAction {
    /// It is declared and does not exist.
    Create,
    /// Fold in what it does not cover, into one segment.
    Refresh,
    /// Train it anew from all rows.
    Rebuild,
}

/// One index to work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexWork {
    /// Its name.
    pub name: String,
    /// The column.
    pub column: String,
    /// Its kind.
    pub kind: IndexKind,
    /// What to do.
    pub action: IndexAction,
    /// The segments that the result replaces.
    pub replaces: Vec<String>,
}

/// The work on a table's indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexPlan {
    /// What to do, by index name.
    pub work: Vec<IndexWork>,
    /// Declared indexes that do not exist and cannot be built yet.
    pub pending: Vec<PendingIndex>,
    /// The most rows that one index of `work` takes in.
    pub rows_to_read: u64,
}

impl IndexPlan {
    /// Bytes to read at most for a table of this many rows and bytes: each index reads its own
    /// column, so together they read no more of a row than the row.
    #[must_use]
    pub fn bytes_to_read(&self, rows: u64, bytes: u64) -> u64 {
        let read = u128::from(self.rows_to_read.min(rows)) * u128::from(bytes);
        u64::try_from(read.div_ceil(u128::from(rows.max(1)))).unwrap_or(u64::MAX)
    }

    /// Says what is to be done, as part of a table's reason; empty when nothing is.
    #[must_use]
    pub fn reason(&self) -> String {
        let count = |action| self.work.iter().filter(|work| work.action == action).count();
        let mut parts = Vec::new();
        for (action, verb) in [
            (IndexAction::Create, "build"),
            (IndexAction::Refresh, "refresh"),
            (IndexAction::Rebuild, "rebuild"),
        ] {
            match count(action) {
                0 => {}
                1 => parts.push(format!("{verb} 1 index")),
                n => parts.push(format!("{verb} {n} indexes")),
            }
        }
        parts.join(", ")
    }
}

/// Decides about the indexes of one table.
#[must_use]
pub fn plan_indexes(inventory: &IndexInventory, mode: IndexMode) -> IndexPlan {
    let mut plan = IndexPlan::default();
    for index in &inventory.existing {
        let action = match mode {
            IndexMode::Keep => continue,
            IndexMode::Rebuild if inventory.rows > 0 => IndexAction::Rebuild,
            // Several segments cover fragments differently, so they count as work even when
            // together they cover everything.
            _ if index.uncovered_rows > 0 || index.segments.len() > 1 => IndexAction::Refresh,
            _ => continue,
        };
        plan.rows_to_read = plan.rows_to_read.max(match action {
            IndexAction::Refresh => index.uncovered_rows,
            IndexAction::Create | IndexAction::Rebuild => inventory.rows,
        });
        plan.work.push(IndexWork {
            name: index.name.clone(),
            column: index.column.clone(),
            kind: index.kind,
            action,
            replaces: index.segments.clone(),
        });
    }
    for declared in &inventory.declared {
        let exists =
            |index: &IndexFacts| index.column == declared.column && index.kind == declared.kind;
        if inventory.existing.iter().any(exists) {
            continue;
        }
        let waits = if inventory.rows == 0 {
            Some("the table is empty")
        } else if inventory.without_vectors.contains(&declared.column) {
            Some("the column holds no vector yet")
        } else if mode == IndexMode::Keep {
            Some("indexes are kept as they are (--index keep)")
        } else {
            None
        };
        match waits {
            Some(reason) => plan
                .pending
                .push(PendingIndex { column: declared.column.clone(), reason: reason.to_owned() }),
            None => {
                plan.rows_to_read = inventory.rows;
                plan.work.push(IndexWork {
                    // The clients' own naming: they recognise an index by its column.
                    name: format!("{}_idx", declared.column),
                    column: declared.column.clone(),
                    kind: declared.kind,
                    action: IndexAction::Create,
                    replaces: Vec::new(),
                });
            }
        }
    }
    plan.work.sort_by(|a, b| a.name.cmp(&b.name));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(column: &str, kind: IndexKind, uncovered_rows: u64, segments: usize) -> IndexFacts {
        IndexFacts {
            name: format!("{column}_idx"),
            column: column.to_owned(),
            kind,
            segments: (0..segments).map(|n| format!("{column}-{n}")).collect(),
            uncovered_rows,
        }
    }

    fn inventory() -> IndexInventory {
        IndexInventory {
            rows: 100,
            existing: vec![
                index("id", IndexKind::BTree, 0, 1),
                index("name", IndexKind::FullText, 7, 1),
                index("age", IndexKind::BTree, 0, 2),
            ],
            declared: vec![
                DeclaredIndex { column: "id".to_owned(), kind: IndexKind::BTree },
                DeclaredIndex { column: "city".to_owned(), kind: IndexKind::FullText },
                DeclaredIndex { column: "emb".to_owned(), kind: IndexKind::Vector },
            ],
            without_vectors: vec!["emb".to_owned()],
        }
    }

    fn said(plan: &IndexPlan) -> Vec<(String, IndexAction)> {
        plan.work.iter().map(|work| (work.name.clone(), work.action)).collect()
    }

    #[test]
    fn refresh_folds_in_what_is_uncovered_or_split_and_builds_what_is_declared() {
        let plan = plan_indexes(&inventory(), IndexMode::Refresh);
        assert_eq!(
            said(&plan),
            [
                ("age_idx".to_owned(), IndexAction::Refresh),
                ("city_idx".to_owned(), IndexAction::Create),
                ("name_idx".to_owned(), IndexAction::Refresh),
            ]
        );
        assert_eq!(plan.work[0].replaces, ["age-0", "age-1"]);
        assert_eq!(plan.pending.len(), 1);
        assert_eq!(plan.pending[0].column, "emb");
        assert_eq!(plan.reason(), "build 1 index, refresh 2 indexes");
    }

    #[test]
    fn keep_touches_nothing_and_still_says_what_is_missing() {
        let plan = plan_indexes(&inventory(), IndexMode::Keep);
        assert!(plan.work.is_empty());
        let columns: Vec<_> = plan.pending.iter().map(|p| p.column.as_str()).collect();
        assert_eq!(columns, ["city", "emb"]);
        assert!(plan.reason().is_empty());
    }

    #[test]
    fn rebuild_trains_everything_that_exists() {
        let plan = plan_indexes(&inventory(), IndexMode::Rebuild);
        let rebuilt = plan.work.iter().filter(|w| w.action == IndexAction::Rebuild).count();
        assert_eq!(rebuilt, 3);
    }

    #[test]
    fn refreshes_read_the_rows_that_are_not_covered_and_builds_read_all() {
        let refresh = IndexInventory { declared: Vec::new(), ..inventory() };
        let bytes = |inventory: &IndexInventory, mode| {
            plan_indexes(inventory, mode).bytes_to_read(inventory.rows, 1000)
        };
        assert_eq!(bytes(&refresh, IndexMode::Refresh), 70);
        assert_eq!(bytes(&refresh, IndexMode::Rebuild), 1000);
        assert_eq!(bytes(&refresh, IndexMode::Keep), 0);
        assert_eq!(bytes(&inventory(), IndexMode::Refresh), 1000, "one is built");
        assert_eq!(bytes(&IndexInventory::default(), IndexMode::Rebuild), 0);
        let plan = IndexPlan { rows_to_read: u64::MAX, ..IndexPlan::default() };
        assert_eq!(plan.bytes_to_read(3, u64::MAX), u64::MAX);
    }

    #[test]
    fn an_empty_table_is_never_work() {
        let empty = IndexInventory {
            rows: 0,
            existing: vec![index("id", IndexKind::BTree, 0, 1)],
            ..inventory()
        };
        for mode in [IndexMode::Keep, IndexMode::Refresh, IndexMode::Rebuild] {
            let plan = plan_indexes(&empty, mode);
            assert!(plan.work.is_empty(), "{mode:?}: {plan:?}");
            assert_eq!(plan.pending.len(), 2, "{mode:?}");
        }
    }

    #[test]
    fn a_table_whose_indexes_are_whole_has_no_work() {
        let whole = IndexInventory {
            existing: vec![index("id", IndexKind::BTree, 0, 1)],
            declared: vec![DeclaredIndex { column: "id".to_owned(), kind: IndexKind::BTree }],
            ..inventory()
        };
        assert_eq!(plan_indexes(&whole, IndexMode::Refresh), IndexPlan::default());
    }
}
