//! `docs/lance.md` and the tests agree: every guard is named there, and everything named there
//! exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const DOC: &str = "../docs/lance.md";
/// Beside guards a row may name tests of the other binaries.
const BINARIES: [&str; 3] = ["lance_surface_guards", "it", "failpoints"];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One row of the tables in `docs/lance.md`.
#[derive(Debug)]
struct Row {
    line: usize,
    relied_on_in: Vec<String>,
    guards: Vec<String>,
}

/// The rows of every table with three columns, below its header.
fn rows() -> Vec<Row> {
    let text = fs::read_to_string(package().join(DOC)).unwrap();
    let mut rows = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let Some(inside) = line.strip_prefix("| ") else { continue };
        let cells: Vec<&str> = inside.trim_end_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "docs/lance.md:{}: not three columns", at + 1);
        if cells[2].trim() != "guard" {
            let (relied_on_in, guards) = (quoted(cells[1]), quoted(cells[2]));
            rows.push(Row { line: at + 1, relied_on_in, guards });
        }
    }
    rows
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

/// The tests in a file: functions below an attribute that makes them one.
fn tests_in(file: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let mut tests = BTreeSet::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((before, after)) = line.split_once("fn ") {
            if is_test && ["", "async "].contains(&before) {
                tests.insert(after.split('(').next().unwrap().to_owned());
            }
            is_test = false;
        }
    }
    tests
}

/// The source files of this binary, by module.
fn modules() -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(package().join(BINARIES[0])).unwrap();
    let module = |path: PathBuf| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path);
    entries.map(|entry| module(entry.unwrap().path())).collect()
}

/// `strict::publish::NAME` of a binary is in its file `strict/publish.rs`.
fn exists(guard: &str) -> bool {
    let (binary, path) = match guard.split_once("::") {
        Some((first, rest)) if BINARIES[1..].contains(&first) => (first, rest),
        _ => (BINARIES[0], guard),
    };
    let Some((module, name)) = path.rsplit_once("::") else { return false };
    let file = package().join(binary).join(module.replace("::", "/")).with_extension("rs");
    file.is_file() && tests_in(&file).contains(name)
}

#[test]
fn every_guard_is_named_in_the_list_of_facts() {
    let named: BTreeSet<String> = rows().into_iter().flat_map(|row| row.guards).collect();
    let mut missing = Vec::new();
    for (module, path) in modules() {
        if module == "listed" {
            continue;
        }
        let tests = tests_in(&path).into_iter().map(|name| format!("{module}::{name}"));
        missing.extend(tests.filter(|test| !named.contains(test)));
    }
    assert!(missing.is_empty(), "not in docs/lance.md: {missing:#?}");
}

#[test]
fn every_fact_has_a_guard_that_exists_and_a_place_that_relies_on_it() {
    let rows = rows();
    assert!(rows.len() > 40, "the list was not read: {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        if row.guards.is_empty() || row.relied_on_in.is_empty() {
            wrong.push(format!("line {}: no guard, or nothing relies on it", row.line));
        }
        let guards = row.guards.iter().filter(|guard| !exists(guard));
        wrong.extend(guards.map(|guard| format!("line {}: no test {guard}", row.line)));
        let places =
            row.relied_on_in.iter().filter(|place| !package().join("..").join(place).exists());
        wrong.extend(places.map(|place| format!("line {}: no file {place}", row.line)));
    }
    assert!(wrong.is_empty(), "docs/lance.md: {wrong:#?}");
}

/// A file that nobody declares as a module tests nothing.
#[test]
fn every_file_of_guards_is_a_module_of_the_binary() {
    let main = fs::read_to_string(package().join("lance_surface_guards.rs")).unwrap();
    for (module, _) in modules() {
        assert!(main.contains(&format!("mod {module};")), "{module} is no module");
    }
}
