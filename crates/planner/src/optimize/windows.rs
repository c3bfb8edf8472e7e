//! Cutting the tables of a run into publish windows.

use lancekeeper_model::TableRef;

/// Tables of one window. Their queue keys are held together, so this bounds how long a
/// writer waits: a few small commits per table, about a second for all of them.
pub const WINDOW_TABLES_MAX: usize = 16;

/// The windows of a run, in the order they are entered: every table once, sorted (the order
/// in which queue keys are taken), at most `tables_max` in each. 0 counts as 1.
#[must_use]
pub fn windows(mut tables: Vec<TableRef>, tables_max: usize) -> Vec<Vec<TableRef>> {
    tables.sort_unstable();
    tables.dedup();
    tables.chunks(tables_max.max(1)).map(<[TableRef]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::{Branch, TableKey};

    use super::*;

    #[test]
    fn windows_hold_each_table_once_and_in_order() {
        let table = |key: &str, branch: &str| TableRef {
            key: TableKey::new(key),
            branch: Branch::named(branch),
        };
        let tables = vec![
            table("c", "main"),
            table("a", "x"),
            table("b", "main"),
            table("a", "main"),
            table("a", "x"),
        ];
        let shown = |max| {
            let cut = windows(tables.clone(), max);
            cut.iter()
                .map(|window| window.iter().map(TableRef::to_string).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join(" | ")
        };
        insta::assert_snapshot!(shown(WINDOW_TABLES_MAX), @"a a@x b c");
        insta::assert_snapshot!(shown(3), @"a a@x b | c");
        insta::assert_snapshot!(shown(0), @"a | a@x | b | c");
        assert!(windows(Vec::new(), 16).is_empty());
    }
}
