//! Commits: what Lance stores with one, what a reservation is, and what any commit does to
//! fragments besides.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use lance::Dataset;
use lance::dataset::CommitBuilder;
use lance::dataset::transaction::{Operation, Transaction, TransactionBuilder};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lance_io::object_store::ObjectStore;
use lance_io::utils::CachedFileSize;
use lance_table::format::{
    DeletionFile, DeletionFileType, Fragment, IndexMetadata, Manifest,
    Transaction as StoredTransaction,
};
use lance_table::io::commit::{
    CommitError, CommitHandler, ManifestLocation, ManifestNamingScheme, ManifestWriter,
    commit_handler_from_url,
};
use lancekeeper_testkit::tables;
use object_store::path::Path;

use crate::table::{Table, commit, fragment_ids, reserve, rewrite, row_ids, stage};

fn reservation(num_fragments: u32) -> Operation {
    Operation::ReserveFragments { num_fragments }
}

#[tokio::test]
async fn properties_are_stored_when_set_on_the_transaction_and_lost_when_set_on_the_builder() {
    let table = Table::of(1, true).await;
    let properties = |who: &str| HashMap::from([("who".to_owned(), who.to_owned())]);
    let transaction = TransactionBuilder::new(1, reservation(1))
        .uuid("0000-ours".to_owned())
        .transaction_properties(Some(Arc::new(properties("transaction"))))
        .build();
    CommitBuilder::new(Arc::new(table.head().await)).execute(transaction).await.unwrap();
    let head = table.head().await;
    let stored = head.read_version_transaction(2).await.unwrap().transaction.unwrap();
    assert_eq!((stored.uuid.as_str(), stored.read_version), ("0000-ours", 1));
    assert_eq!(stored.transaction_properties.unwrap()["who"], "transaction");

    let transaction = Transaction::new(2, reservation(1), None);
    CommitBuilder::new(Arc::new(head))
        .with_transaction_properties(properties("builder"))
        .execute(transaction)
        .await
        .unwrap();
    let stored = table.head().await.read_transaction().await.unwrap().unwrap();
    let properties = stored.transaction_properties.unwrap_or_default();
    assert!(!properties.contains_key("who"), "it works now: {properties:?}");
}

#[tokio::test]
async fn a_reservation_moves_head_by_one_and_the_highest_id_by_its_number_and_nothing_else() {
    for stable in [false, true] {
        let table = Table::of(2, stable).await;
        let before = table.head().await;
        let files = table.files_under("data");
        let reserved = commit(&before, reservation(5)).await.unwrap();
        assert_eq!(reserved.manifest().version, before.manifest().version + 1);
        assert_eq!(before.manifest().max_fragment_id, Some(1));
        assert_eq!(reserved.manifest().max_fragment_id, Some(6));
        assert_eq!(reserved.fragments(), before.fragments());
        assert_eq!(reserved.manifest().next_row_id, before.manifest().next_row_id);
        assert_eq!(table.files_under("data"), files);
        // Whoever comes next gets ids above the reserved ones.
        let appended = tables::append(&table.uri(), 20, 10).await.unwrap();
        assert_eq!(fragment_ids(&appended), [0, 1, 7]);
    }
}

/// Commits a reservation whose manifest is changed just before it is written: how a table
/// comes to look as an old writer left it.
async fn plant(head: &Dataset, change: fn(&mut Vec<Fragment>)) -> Dataset {
    let inner = commit_handler_from_url(head.uri(), &None).await.unwrap();
    CommitBuilder::new(Arc::new(head.clone()))
        .with_commit_handler(Arc::new(Planting { inner, change }))
        .execute(Transaction::new(head.manifest().version, reservation(1), None))
        .await
        .unwrap()
}

#[derive(Debug)]
struct Planting {
    inner: Arc<dyn CommitHandler>,
    change: fn(&mut Vec<Fragment>),
}

#[async_trait]
impl CommitHandler for Planting {
    async fn commit(
        &self,
        manifest: &mut Manifest,
        indices: Option<Vec<IndexMetadata>>,
        base_path: &Path,
        object_store: &ObjectStore,
        manifest_writer: ManifestWriter,
        naming_scheme: ManifestNamingScheme,
        transaction: Option<StoredTransaction>,
    ) -> Result<ManifestLocation, CommitError> {
        let mut fragments = manifest.fragments.as_ref().clone();
        (self.change)(&mut fragments);
        manifest.fragments = Arc::new(fragments);
        let inner = &self.inner;
        inner
            .commit(
                manifest,
                indices,
                base_path,
                object_store,
                manifest_writer,
                naming_scheme,
                transaction,
            )
            .await
    }
}

#[tokio::test]
async fn any_commit_fills_in_sizes_and_counts_that_old_writers_left_out() {
    let table = Table::of(2, false).await;
    let written = table.head().await.fragments().clone();
    plant(&table.head().await, |fragments| {
        for fragment in fragments {
            fragment.physical_rows = None;
            fragment.files[0].file_size_bytes = CachedFileSize::unknown();
        }
    })
    .await;
    let planted = table.head().await;
    assert_ne!(*planted.fragments(), written);
    assert_eq!(planted.fragments()[0].files[0].file_size_bytes.get(), None);
    let repaired = commit(&planted, reservation(1)).await.unwrap();
    assert_eq!(*repaired.fragments(), written);
    assert_eq!(*table.head().await.fragments(), written);
}

#[tokio::test]
async fn any_commit_drops_fragments_without_live_rows_once_it_puts_fragments_in_order() {
    let table = Table::of(3, true).await;
    plant(&table.head().await, |fragments| {
        fragments[1].deletion_file = Some(DeletionFile {
            read_version: 3,
            id: 1,
            file_type: DeletionFileType::Array,
            num_deleted_rows: Some(10),
            base_id: None,
        });
    })
    .await;
    let planted = table.head().await;
    assert_eq!(fragment_ids(&planted), [0, 1, 2]);
    let repaired = commit(&planted, reservation(1)).await.unwrap();
    assert_eq!(fragment_ids(&repaired), [0, 2]);
}

#[tokio::test]
async fn a_delete_of_all_rows_of_a_fragment_drops_it_at_once() {
    let table = Table::of(3, true).await;
    let mut head = table.head().await;
    head.delete("id >= 10 AND id < 20").await.unwrap();
    assert_eq!(fragment_ids(&table.head().await), [0, 2]);
}

/// A mistake of ours that Lance would stop: two fragments of one id.
#[tokio::test]
async fn a_commit_that_would_use_a_fragment_id_twice_is_refused() {
    let table = Table::of(3, false).await;
    let mut staged = stage(&table.head().await, &[0, 1]).await;
    reserve(&table.head().await, &mut staged).await;
    staged.new_fragments[0].id = 2;
    let head = table.head().await;
    let error = commit(&head, rewrite(&staged)).await.unwrap_err();
    assert!(error.to_string().contains("two fragments with id 2"), "{error}");
    assert_eq!(table.head().await.manifest().version, head.manifest().version);
}

/// What a Rewrite replaces is looked up by id alone: a source that is not there any more is a
/// conflict.
#[tokio::test]
async fn a_rewrite_of_a_fragment_that_is_gone_is_refused() {
    let table = Table::of(3, true).await;
    let mut staged = stage(&table.head().await, &[0, 1]).await;
    table.head().await.delete("id < 10").await.unwrap();
    let reserved = reserve(&table.head().await, &mut staged).await;
    let rows = row_ids(&reserved).await;
    let error = commit(&reserved, rewrite(&staged)).await.unwrap_err();
    assert!(matches!(error.find_root(), lance::Error::CommitConflict { .. }), "{error:?}");
    assert_eq!(row_ids(&table.head().await).await, rows);
}

/// Lance gives row ids that stay in one commit, which conflicts with every write, but not beside indexes.
#[tokio::test]
async fn row_ids_that_stay_are_given_in_one_commit_and_not_to_tables_with_indexes() {
    let table = Table::of(3, false).await;
    table.head().await.delete("id = 15").await.unwrap();
    let mut head = table.head().await;
    let params = ScalarIndexParams::default();
    head.create_index(&["id"], IndexType::BTree, None, &params, false).await.unwrap();
    let said = head.migrate_to_stable_row_ids().await.unwrap_err().to_string();
    assert!(
        said.contains("id_idx") && !table.head().await.manifest().uses_stable_row_ids(),
        "{said}"
    );

    head.drop_index("id_idx").await.unwrap();
    let before = table.head().await;
    let mut late = table.head().await;
    head.migrate_to_stable_row_ids().await.unwrap();
    let now = table.head().await;
    assert!(now.manifest().uses_stable_row_ids());
    assert_eq!(now.manifest().version, before.manifest().version + 1);
    assert_eq!(now.manifest().next_row_id, 30, "a deleted row keeps its id to itself");
    assert_eq!(now.count_rows(None).await.unwrap(), 29);
    assert!(
        late.migrate_to_stable_row_ids().await.is_err(),
        "it is not made on top of another commit"
    );
}
