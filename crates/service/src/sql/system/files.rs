//! `system.files`: the files that the version which readers see refers to.

use futures::FutureExt;
use futures::future::BoxFuture;
use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::IndexMetadata;
use lance_table::io::deletion::relative_deletion_file_path;
use lancekeeper::SeenTable;

use super::column::{count, text};
use super::per_table::{Answers, each, place};
use super::{Asked, Rows, SystemTable};
use crate::sql::SqlSession;
use crate::sql::answer::Cell;
use crate::sql::error::SqlRunError;

pub(super) const TABLE: SystemTable = SystemTable {
    name: "files",
    about: "A file that a table refers to at the version that readers see. Files that only older versions refer to are not \
            here, nor are blobs.",
    columns: &[
        text("table", "the table"),
        text("branch", "the branch"),
        count("version", "the version that readers see"),
        text("kind", "`data`, `deletion` or `index`"),
        text("path", "the path below the directory of the table, or of `base`"),
        text("base", "the place it lies in, if that is another one than the table's own"),
        count("fragment", "the fragment it belongs to; null of indexes"),
        text("index", "the index it belongs to; null of fragments"),
        count("bytes", "its size; null where the table does not say"),
    ],
    fill,
};

fn fill<'a>(session: &'a SqlSession, asked: &'a Asked) -> BoxFuture<'a, Result<Rows, SqlRunError>> {
    each(session, asked, ask).boxed()
}

/// A file of a table.
struct File {
    kind: &'static str,
    path: String,
    base: Option<u32>,
    fragment: Option<u64>,
    index: Option<String>,
    bytes: Option<u64>,
}

fn ask<'a>(table: &'a SeenTable, dataset: &'a Dataset) -> Answers<'a> {
    async move {
        let mut files = of_fragments(dataset);
        files.extend(dataset.load_indices().await?.iter().flat_map(of_index));
        let bases = &dataset.manifest().base_paths;
        let row = |file: File| {
            let mut row = place(table, dataset);
            let base = file.base.and_then(|base| bases.get(&base));
            row.extend([
                Cell::text(file.kind),
                Cell::text(file.path),
                Cell::maybe(base, |base| Cell::text(&base.path)),
                Cell::maybe(file.fragment, Cell::count),
                Cell::maybe(file.index, Cell::text),
                Cell::maybe(file.bytes, Cell::count),
            ]);
            row
        };
        Ok(files.into_iter().map(row).collect())
    }
    .boxed()
}

fn of_fragments(dataset: &Dataset) -> Vec<File> {
    let mut files = Vec::new();
    for fragment in dataset.fragments().iter() {
        files.extend(fragment.referenced_lance_files().map(|file| File {
            kind: "data",
            path: format!("data/{}", file.path),
            base: file.base_id,
            fragment: Some(fragment.id),
            index: None,
            bytes: file.file_size_bytes.get().map(u64::from),
        }));
        files.extend(fragment.deletion_file.iter().map(|file| File {
            kind: "deletion",
            path: relative_deletion_file_path(fragment.id, file),
            base: file.base_id,
            fragment: Some(fragment.id),
            index: None,
            bytes: None,
        }));
    }
    files
}

fn of_index(index: &IndexMetadata) -> Vec<File> {
    let directory = format!("_indices/{}", index.uuid);
    let file = |path: String, bytes: Option<u64>| File {
        kind: "index",
        path,
        base: index.base_id,
        fragment: None,
        index: Some(index.name.clone()),
        bytes,
    };
    match &index.files {
        None => vec![file(directory, None)],
        Some(files) => files
            .iter()
            .map(|it| file(format!("{directory}/{}", it.path), Some(it.size_bytes)))
            .collect(),
    }
}
