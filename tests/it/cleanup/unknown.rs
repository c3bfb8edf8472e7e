//! What is not known to this version stops what it may be about, and says so.

use std::path::Path;
use std::sync::Arc;

use lance::dataset::CommitBuilder;
use lance::dataset::transaction::{Operation, Transaction};
use lance_table::format::pb;
use lance_table::io::manifest::read_manifest_indexes;
use prost::Message;

use super::*;

/// Changes the newest manifest of a table in its place.
fn change_manifest(table: &Path, change: impl FnOnce(&mut pb::Manifest)) {
    let names = std::fs::read_dir(table.join("_versions")).unwrap();
    let paths = names.map(|entry| entry.unwrap().path());
    // Counted down, so that the newest is the first.
    let newest = paths.filter(|path| path.extension().is_some_and(|e| e == "manifest")).min();
    let newest = newest.unwrap();
    let content = std::fs::read(&newest).unwrap();
    let (rest, footer) = content.split_at(content.len() - 16);
    let position = usize::try_from(u64::from_le_bytes(footer[..8].try_into().unwrap())).unwrap();
    let mut manifest = pb::Manifest::decode(&rest[position + 4..]).unwrap();
    change(&mut manifest);
    let manifest = manifest.encode_to_vec();
    let mut changed = rest[..position].to_vec();
    changed.extend(u32::try_from(manifest.len()).unwrap().to_le_bytes());
    changed.extend(manifest);
    changed.extend(footer);
    std::fs::write(newest, changed).unwrap();
}

#[tokio::test]
async fn an_unknown_feature_bit_stops_every_deletion_in_its_table_and_in_no_other() {
    for (reader, writer, said) in
        [(0, 1 << 17, "writer feature 17"), (1 << 40, 1 << 40, "feature 40")]
    {
        let database = tempfile::tempdir().unwrap();
        let root = database.path().to_string_lossy().into_owned();
        for name in ["known", "unknown"] {
            tables::create(&format!("{root}/{name}.lance"), 5, 10, false).await.unwrap();
        }
        change_manifest(&database.path().join("unknown.lance"), |manifest| {
            manifest.reader_feature_flags |= reader;
            manifest.writer_feature_flags |= writer;
        });
        let of = |name: &str| {
            let all = files(&root).into_iter();
            all.filter(|(path, _)| path.contains(&format!("/{name}.lance/"))).collect::<Vec<_>>()
        };
        let before = of("unknown");
        let report = cleanup(&root, &keep(1)).await;
        assert_eq!(report.exit_code().number(), 3, "{report:#?}");
        let error = row_of(&report, "unknown").error.as_ref().unwrap();
        assert!(error.contains(said) || reader != 0, "{error}");
        assert_eq!(of("unknown"), before);
        assert!(row_of(&report, "known").old_versions_removed > 0, "{report:#?}");
    }
}

#[tokio::test]
async fn an_index_of_an_unknown_kind_keeps_every_index_file_and_versions_go_all_the_same() {
    let table = Table::new().await;
    let head = table.open().await;
    let store = head.object_store(None).await.unwrap();
    let known = read_manifest_indexes(&store, head.manifest_location(), head.manifest());
    let mut index = known.await.unwrap().remove(0);
    let old = index.clone();
    let mut details = index.index_details.as_ref().unwrap().as_ref().clone();
    details.type_url = "/lance.index.pb.MysteryIndexDetails".into();
    index.index_details = Some(Arc::new(details));
    index.name = "mystery".into();
    let operation = Operation::CreateIndex { new_indices: vec![index], removed_indices: vec![old] };
    let transaction = Transaction::new(head.manifest().version, operation, None);
    CommitBuilder::new(Arc::new(head)).execute(transaction).await.unwrap();
    let stray = table.path().join("_indices/0a1b2c3d-0000-4000-8000-0123456789ab/x.idx");
    std::fs::create_dir_all(stray.parent().unwrap()).unwrap();
    std::fs::write(&stray, b"content").unwrap();
    let options = CleanupOptions { min_age: TimeDelta::zero(), ..keep(1) };
    let report = clean(&table.uri(), &options).await;
    let row = row_of(&report, "events");
    assert!(row.old_versions_removed > 0 && stray.exists(), "{row:#?}");
    let said = |text: &str| row.warnings.iter().any(|warning| warning.contains(text));
    assert!(said("index mystery of the unknown kind MysteryIndexDetails"), "{row:#?}");
}

#[tokio::test]
async fn files_of_kinds_that_nobody_asks_about_are_left_alone_and_counted() {
    let table = Table::new().await;
    for name in ["_fri/map/0.lance", "_mem_wal/shard/1.lance", "data/_parts/x.lance/1.part"] {
        let path = table.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"content").unwrap();
    }
    let options = CleanupOptions { min_age: TimeDelta::zero(), ..keep(1) };
    let report = clean(&table.uri(), &options).await;
    let warnings = &row_of(&report, "events").warnings;
    for directory in ["_fri", "_mem_wal", "data"] {
        let said =
            format!("in {directory} lie files of kinds that are never deleted here: 1 (7 bytes)");
        assert!(warnings.iter().any(|warning| warning.starts_with(&said)), "{warnings:?}");
    }
}
