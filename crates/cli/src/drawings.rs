//! Writes the drawings of a `status` to the files that a person named. What is drawn is in the report already.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use lancekeeper_model::{ErrorKind, RootFailure, StatusReport, TableStatus, file_name_of};

/// Writes each drawing of the report, and notes where. A file that cannot be written is an error of the
/// table's root.
pub(crate) fn write(report: &mut StatusReport, file: &Path) {
    let tables = report.roots.iter().flat_map(|root| &root.tables);
    let is_alone = tables.filter(|table| table.clustering.is_some()).count() == 1;
    let mut taken = BTreeSet::new();
    for root in &mut report.roots {
        let mut failure = None;
        for table in &mut root.tables {
            let Some(drawing) = drawing_of(table) else { continue };
            let path = if is_alone { file.to_owned() } else { named(file, table, &mut taken) };
            match replace(&path, drawing.as_bytes()) {
                Ok(()) => note(table, &path),
                Err(error) => failure = Some((path, error)),
            }
        }
        if let Some((path, error)) = failure {
            root.fail(RootFailure {
                message: format!("cannot write the drawing {}: {error}", path.display()),
                hint: None,
                kind: ErrorKind::Unavailable,
                cause: None,
            });
        }
    }
}

fn drawing_of(table: &mut TableStatus) -> Option<String> {
    table.clustering.as_mut()?.drawing.take()
}

fn note(table: &mut TableStatus, path: &Path) {
    if let Some(clustering) = &mut table.clustering {
        clustering.drawn_to = Some(path.display().to_string());
    }
}

/// The file of one of several tables: its name before the ending. Tables of one name, of several roots, are
/// numbered, so that no drawing of a run takes the place of another one.
fn named(file: &Path, table: &TableStatus, taken: &mut BTreeSet<PathBuf>) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let ending = file.extension().map(|ending| format!(".{}", ending.to_string_lossy()));
    let ending = ending.unwrap_or_default();
    let mut name = file_name_of(table.table_key.as_str());
    if let Some(branch) = table.branch.name() {
        name = format!("{name}@{}", file_name_of(branch));
    }
    let mut path = file.with_file_name(format!("{stem}-{name}{ending}"));
    let mut number = 1_u64;
    while !taken.insert(path.clone()) {
        number += 1;
        path = file.with_file_name(format!("{stem}-{name}-{number}{ending}"));
    }
    path
}

/// Puts a whole file in the place of what was there, or leaves that as it was.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).open(&beside);
    let written = written.and_then(|file| fill(file, content)).and_then(|()| {
        // A directory stays what it is: renaming onto one fails.
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // Of a file that could not even be created there is nothing to remove.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn fill(mut file: File, content: &[u8]) -> io::Result<()> {
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::{Branch, Clustering, RootReport, StatusBody, TableKey, TableRef};

    use super::*;

    fn drawn(key: &str, branch: Branch) -> TableStatus {
        let mut table = TableStatus::of(&TableRef { key: TableKey::new(key), branch });
        let mut clustering = Clustering::of(&["a".to_owned()]);
        clustering.drawing = Some(format!("<svg>{key}</svg>"));
        table.clustering = Some(clustering);
        table
    }

    fn report(roots: Vec<Vec<TableStatus>>) -> StatusReport {
        let root = |tables| {
            let mut root = RootReport::<StatusBody>::of("/data");
            root.tables = tables;
            root
        };
        StatusReport::new(false, roots.into_iter().map(root).collect(), 1)
    }

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn one_table_is_drawn_to_the_file_and_what_was_there_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("map.svg");
        fs::write(&file, "something longer that was there before").unwrap();
        let mut report = report(vec![vec![drawn("docs", Branch::main())]]);
        write(&mut report, &file);
        assert_eq!(fs::read_to_string(&file).unwrap(), "<svg>docs</svg>");
        assert_eq!(names(dir.path()), ["map.svg"]);
        let clustering = report.roots[0].tables[0].clustering.as_ref().unwrap();
        assert_eq!(clustering.drawn_to, Some(file.display().to_string()));
        assert_eq!(report.exit_code().number(), 0);
    }

    #[test]
    fn several_tables_have_a_file_each_whatever_they_are_called() {
        let dir = tempfile::tempdir().unwrap();
        let first = vec![
            drawn("edge:Knows", Branch::main()),
            drawn("edge:Knows", Branch::named("a/b")),
            drawn("../up", Branch::main()),
        ];
        let mut report = report(vec![first, vec![drawn("edge:Knows", Branch::main())]]);
        write(&mut report, &dir.path().join("map.svg"));
        let expected = [
            "map-..%2Fup.svg",
            "map-edge%3AKnows-2.svg",
            "map-edge%3AKnows.svg",
            "map-edge%3AKnows@a%2Fb.svg",
        ];
        assert_eq!(names(dir.path()), expected);
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("map.svg");
        fs::create_dir(&file).unwrap();
        let mut report = report(vec![vec![drawn("docs", Branch::main())]]);
        write(&mut report, &file);
        assert_eq!(report.exit_code().number(), 1);
        let error = report.roots[0].error.clone().unwrap();
        assert!(
            error.starts_with("cannot write the drawing ") && error.contains("map.svg"),
            "{error}"
        );
        assert_eq!(names(dir.path()), ["map.svg"]);
    }
}
