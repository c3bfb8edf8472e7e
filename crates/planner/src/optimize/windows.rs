//! Cutting the tables of a run into publish windows.

use lancekeeper_model::TableRef;

/// Tables of one window. Their queue keys are held together, so this bounds how long a
/// writer waits: a few small commits per table, about a second for all of them.
pub const WINDOW_TABLES_MAX: usize = 16;

/// The windows of a run, in the order they are entered: what is to be done with each table,
/// sorted by table (the order in which queue keys are taken), at most `tables_max` in each. 0
/// counts as 1.
#[must_use]
pub fn windows<Work>(
    mut work: Vec<Work>,
    table: impl Fn(&Work) -> &TableRef,
    tables_max: usize,
) -> Vec<Vec<Work>> {
    work.sort_by(|a, b| table(a).cmp(table(b)));
    let mut windows: Vec<Vec<Work>> = Vec::new();
    for work in work {
        match windows.last_mut().filter(|window| window.len() < tables_max.max(1)) {
            Some(window) => window.push(work),
            None => windows.push(vec![work]),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::{Branch, TableKey};

    use super::*;

    #[test]
    fn windows_are_filled_in_the_order_of_the_keys() {
        let table = |key: &str, branch: &str| TableRef {
            key: TableKey::new(key),
            branch: Branch::named(branch),
        };
        let tables =
            vec![table("c", "main"), table("a", "x"), table("b", "main"), table("a", "main")];
        let shown = |max| {
            let cut = windows(tables.clone(), |table| table, max);
            cut.iter()
                .map(|window| window.iter().map(TableRef::to_string).collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
                .join(" | ")
        };
        insta::assert_snapshot!(shown(WINDOW_TABLES_MAX), @"a a@x b c");
        insta::assert_snapshot!(shown(3), @"a a@x b | c");
        insta::assert_snapshot!(shown(0), @"a | a@x | b | c");
        assert!(windows(Vec::new(), |table| table, 16).is_empty());
    }
}
