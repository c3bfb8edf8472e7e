//! The tests of ours that `docs/compatibility.md` puts beside the established ones are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = "docs/compatibility.md";
/// Where such tests are.
const SOURCES: [&str; 2] = ["tests", "crates"];
/// Above the tables in which they are named.
const HEADER: &str = "| theirs | ours |";

/// Names of tests in the last column of the tables: what stands in backticks, and is longer than the name of a file or verb.
fn named(page: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut in_table = false;
    for line in page.lines() {
        in_table = line == HEADER || in_table && line.starts_with('|');
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let Some(ours) = cells.last().filter(|_| in_table) else { continue };
        names.extend(ours.split('`').skip(1).step_by(2).filter(|name| is_a_test(name)));
    }
    names
}

fn is_a_test(name: &str) -> bool {
    name.matches('_').count() >= 3
        && name
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
}

/// Words that are a test's name in a source: of a function, or what a macro makes one of.
fn defined(directory: &Path, into: &mut BTreeSet<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            defined(&path, into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in fs::read_to_string(&path)?.lines().map(str::trim_start) {
                let line = line.strip_prefix("async ").unwrap_or(line);
                let name = match line.strip_prefix("fn ") {
                    Some(rest) => rest.split_once('(').map(|(name, _)| name),
                    None => line.split_once(':').map(|(name, _)| name),
                };
                into.extend(name.filter(|name| is_a_test(name)).map(str::to_owned));
            }
        }
    }
    Ok(())
}

#[test]
fn every_test_that_is_put_beside_an_established_one_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join(PAGE)).unwrap();
    let mut tests = BTreeSet::new();
    for sources in SOURCES {
        defined(&root.join(sources), &mut tests).unwrap();
    }
    let named = named(&page);
    assert!(named.len() > 80, "only {} names: {named:?}", named.len());
    let missing: Vec<_> = named.into_iter().filter(|name| !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "there are no such tests: {missing:#?}");
}

#[test]
fn names_are_taken_from_the_last_column_of_these_tables_only() {
    let page = "`a_b_c_d`\n| theirs | ours |\n|---|---|\n| x_y_z_w | it/a.rs `one_of_our_tests`, `short` |\n\n\
                | what | is |\n|---|---|\n| a | `no_test_of_any_kind` |\n";
    assert_eq!(named(page), BTreeSet::from(["one_of_our_tests"]));
}
