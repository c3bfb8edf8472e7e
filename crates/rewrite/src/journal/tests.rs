//! Entries, over files in memory. That settling deletes only what no version refers to is
//! tested with real tables.

use lancekeeper_model::TableKey;
use lancekeeper_store::{Root, Tables};

use super::*;

fn staged(path: &str) -> StagedFile {
    StagedFile { path: path.to_owned(), bytes: Some(7) }
}

async fn note(journal: &Journal, number: u64, branch: Branch) -> String {
    let table = TableRef { key: TableKey::new("node:P"), branch };
    let (operation, at) = (OperationId::new("OP"), Version(4));
    let noted = ToNote { files: vec![staged("data/x.lance")], group: None };
    journal.note(&operation, &table, "nodes/1", at, number, noted).await.unwrap()
}

#[tokio::test]
async fn what_was_noted_is_read_until_it_is_forgotten() {
    let root = Files::in_memory();
    let journal = Journal::of(&root);
    assert_eq!(journal.entries().await.unwrap(), [""; 0]);
    let first = note(&journal, 1, Branch::main()).await;
    let second = note(&journal, 12, Branch::named("dev")).await;
    assert_eq!(journal.entries().await.unwrap(), ["OP-000001.json", "OP-000012.json"]);
    assert!(root.read(&format!("{JOURNAL_DIR}/{first}")).await.unwrap().is_some());
    let entry = journal.read(&second).await.unwrap().unwrap();
    assert_eq!((entry.branch.as_deref(), entry.staged_at), (Some("dev"), 4));
    assert_eq!(entry.files, [staged("data/x.lance")]);
    journal.forget(std::slice::from_ref(&first)).await.unwrap();
    journal.forget(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(journal.read(&first).await.unwrap(), None);
    assert_eq!(journal.entries().await.unwrap(), [second]);
}

#[tokio::test]
async fn an_entry_that_cannot_be_understood_is_kept_and_named_and_a_newer_one_refuses() {
    let root = Files::in_memory();
    let journal = Journal::of(&root);
    root.put(&format!("{JOURNAL_DIR}/torn.json"), "{\"schema\":1,").await.unwrap();
    let torn = journal.read("torn.json").await.unwrap_err();
    assert!(matches!(torn, JournalError::Unreadable { .. }), "{torn}");
    let settled = journal.settle_dead(&Tables::new(), &nowhere(), &[], false).await.unwrap();
    assert_eq!((settled.deleted, settled.kept.len()), (0, 1));
    assert!(settled.kept[0].contains("torn.json"), "{settled:?}");
    assert_eq!(journal.entries().await.unwrap(), ["torn.json"]);

    let name = note(&journal, 1, Branch::main()).await;
    let place = format!("{JOURNAL_DIR}/{name}");
    let text = root.read(&place).await.unwrap().unwrap();
    let newer = String::from_utf8_lossy(&text).replace("\"schema\":1", "\"schema\":2");
    root.put(&place, newer).await.unwrap();
    let refused = journal.settle_dead(&Tables::new(), &nowhere(), &[], false).await.unwrap_err();
    assert!(matches!(refused, JournalError::Newer { found: 2, .. }), "{refused}");
    assert_eq!(refused.kind(), ErrorKind::Refused);
}

/// A root without the tables that entries name.
fn nowhere() -> Root {
    Root {
        given: String::new(),
        kind: lancekeeper_model::RootKind::Graph,
        directory: "/nowhere/at/all".into(),
        address: "/nowhere/at/all".to_owned(),
        has_namespaces: false,
    }
}

#[tokio::test]
async fn entries_of_a_table_that_is_gone_go() {
    let journal = Journal::of(&Files::in_memory());
    note(&journal, 1, Branch::main()).await;
    let settled = journal.settle_dead(&Tables::new(), &nowhere(), &[], false).await.unwrap();
    assert_eq!(settled, Settled::default());
    assert_eq!(journal.entries().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn what_a_live_run_has_staged_is_its_own_to_settle() {
    let journal = Journal::of(&Files::in_memory());
    let name = note(&journal, 1, Branch::named("dev")).await;
    let (tables, live) = (Tables::new(), OperationId::new("OP"));
    let settled =
        journal.settle_dead(&tables, &nowhere(), std::slice::from_ref(&live), false).await;
    assert_eq!(settled.unwrap(), Settled::default());
    let other = OperationId::new("OTHER");
    journal.settle_run(&tables, &nowhere(), &other).await.unwrap();
    assert_eq!(journal.entries().await.unwrap(), [name]);
    let noted = journal.noted().await.unwrap();
    assert_eq!((noted[0].location.as_str(), noted[0].branch.label()), ("nodes/1", "dev"));
    assert_eq!(noted[0].files, [staged("data/x.lance")]);
    // It is dead, or gives up.
    journal.settle_run(&tables, &nowhere(), &live).await.unwrap();
    assert_eq!(journal.entries().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_finished_group_is_read_as_it_was_noted_and_in_other_words_it_is_none() {
    let root = Files::in_memory();
    let journal = Journal::of(&root);
    let mut fragment = Fragment::new(0).with_physical_rows(7);
    fragment.add_file_legacy("x.lance", &lance_core::datatypes::Schema::default());
    let order = RowOrder::AsListed { capture_addresses: true };
    let kept_addrs = Some(vec![1, 2, 3]);
    let group =
        GroupNote { fragments: vec![3, 5], order, new_fragments: vec![fragment], kept_addrs };
    let (table, operation) = (TableRef::on_main(TableKey::new("node:P")), OperationId::new("OP"));
    let noted = ToNote { files: vec![staged("data/x.lance")], group: Some(group.clone()) };
    let at = Version(4);
    let name = journal.note(&operation, &table, "nodes/1", at, 2, noted).await.unwrap();
    let finished = journal.read(&name).await.unwrap().unwrap().finished(&name).unwrap();
    assert_eq!((&finished.entry, &finished.group), (&name, &group));
    assert_eq!((finished.staged_at, finished.files), (at, vec![staged("data/x.lance")]));
    // What another version wrote is settled, not resumed.
    let place = format!("{JOURNAL_DIR}/{name}");
    let text = root.read(&place).await.unwrap().unwrap();
    let other = String::from_utf8_lossy(&text).replace("new_fragments", "fresh");
    root.put(&place, other).await.unwrap();
    let other = journal.read(&name).await.unwrap().unwrap();
    assert_eq!((other.files.len(), other.finished(&name)), (1, None));
    // Of a table that is gone there is nothing to resume.
    let settled = journal.settle_dead(&Tables::new(), &nowhere(), &[], true).await.unwrap();
    assert_eq!(settled, Settled::default());
    assert_eq!(journal.entries().await.unwrap(), [""; 0]);
}
