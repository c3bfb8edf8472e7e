//! What is kept of a layout is lost, damaged or of another table; what it names is gone. Rows are never worse for it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatchIterator};
use arrow_schema::DataType;
use lance::dataset::{
    ColumnAlteration, MergeInsertBuilder, MergeInsertWriteMode, NewColumnTransform, WhenMatched,
    WhenNotMatched,
};
use lance::index::DatasetIndexExt;
use lancekeeper::SkipReason;
use lancekeeper_layout::LayoutState;

use super::table::{KEY, Table, batch, batch_of, write};

const LAYOUT: &str = "sort:a,id";

async fn laid_out(stable: bool) -> Table {
    let table = Table::new(stable).await;
    table.optimize(Some(LAYOUT), false).await;
    table
}

#[tokio::test]
async fn a_table_whose_layout_names_a_dropped_or_renamed_column_is_left_alone() {
    let table = laid_out(false).await;
    table.open().await.drop_columns(&["a"]).await.unwrap();
    // Appended rows have what the table has.
    let rows = batch(310..320);
    let rows = rows.project(&[0, 2, 3]).unwrap();
    write(&table.uri, rows, false, false).await;
    let version = table.open().await.manifest().version;
    let row = table.optimize(None, false).await;
    assert_eq!(row.skipped, Some(SkipReason::LayoutImpossible), "{row:#?}");
    assert!(row.reason.contains("there is no column a"), "{row:#?}");
    assert_eq!(table.open().await.manifest().version, version);

    let table = laid_out(true).await;
    let renamed = ColumnAlteration::new("a".to_owned()).rename("z".to_owned());
    table.open().await.alter_columns(&[renamed]).await.unwrap();
    let back = ColumnAlteration::new("z".to_owned()).rename("a".to_owned());
    let row = table.optimize(None, false).await;
    assert_eq!(row.skipped, Some(SkipReason::LayoutImpossible), "{row:#?}");
    // Under its old name it is what it was, and so is the order.
    table.open().await.alter_columns(&[back]).await.unwrap();
    table.is_idle(None, false).await;
    assert_eq!(table.lies_as(LAYOUT).await, 1);
}

#[tokio::test]
async fn a_layout_by_a_column_that_is_gone_gives_way_to_another_one() {
    let table = laid_out(false).await;
    // By another name, the old one is not there, and appended rows are not in the way.
    let config = [(KEY.to_owned(), Some(r#"{"version":1,"layout":"sort:gone"}"#.to_owned()))];
    table.open().await.update_config(config).await.unwrap();
    let version = table.open().await.manifest().version;
    let report = table.run(Some("sort:gone"), false).await;
    assert_ne!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(table.open().await.manifest().version, version);
    is_impossible_by(&table).await;
}

async fn is_impossible_by(table: &Table) {
    let rows = table.rows().await;
    let row = table.optimize(None, true).await;
    assert_eq!(row.skipped, Some(SkipReason::LayoutImpossible), "{row:#?}");
    assert_eq!(serde_json::to_value(&row).unwrap()["skipped"], "layout_impossible");
    assert!(row.error.is_none() && row.reason.contains("no column gone"), "{row:#?}");
    table.optimize(Some("hilbert:b,c"), false).await;
    assert_eq!((table.rows().await, table.lies_as("hilbert:b,c").await), (rows, 1));
}

#[tokio::test]
async fn a_column_of_another_type_is_laid_out_in_a_new_space() {
    let table = laid_out(false).await;
    let mut head = table.open().await;
    head.drop_columns(&["a"]).await.unwrap();
    let texts = NewColumnTransform::SqlExpressions(vec![(
        "a".to_owned(),
        "concat('t', id % 17)".to_owned(),
    )]);
    head.add_columns(texts, None, None).await.unwrap();
    let (rows, before) = (table.rows().await, table.state().space.generation());
    let row = table.optimize(None, false).await;
    assert!(row.committed, "{row:#?}");
    assert_eq!(table.rows().await, rows);
    assert_eq!(table.lies_as(LAYOUT).await, 1);
    assert!(table.state().space.generation() > before);
    table.is_idle(None, false).await;

    let table = laid_out(false).await;
    let narrower = ColumnAlteration::new("a".to_owned()).cast_to(DataType::Int32);
    // Lance casts no column under an index, and we made one.
    table.open().await.drop_index("a_zonemap").await.unwrap();
    table.open().await.alter_columns(&[narrower]).await.unwrap();
    let rows = table.rows().await;
    table.optimize(None, false).await;
    assert_eq!((table.rows().await, table.lies_as(LAYOUT).await), (rows, 1));
    table.is_idle(None, false).await;
}

#[tokio::test]
async fn a_column_that_is_written_anew_in_place_is_laid_out_again() {
    for stable in [false, true] {
        let table = laid_out(stable).await;
        // New values of `a` alone: Lance writes that column of the fragments anew.
        let ids: Vec<i64> = (0..300).filter(|id| id % 3 == 0).collect();
        let values = Int64Array::from_iter_values(ids.iter().map(|id| (id * 31) % 500 - 250));
        let ids: ArrayRef = Arc::new(Int64Array::from(ids));
        let source = batch_of(vec![("id", ids), ("a", Arc::new(values))]);
        let mut merge =
            MergeInsertBuilder::try_new(Arc::new(table.open().await), vec!["id".to_owned()])
                .unwrap();
        merge.when_matched(WhenMatched::UpdateAll).when_not_matched(WhenNotMatched::DoNothing);
        merge.write_mode(MergeInsertWriteMode::RewriteColumns);
        let reader = RecordBatchIterator::new([Ok(source.clone())], source.schema());
        let ids = table.open().await.fragments().iter().map(|f| f.id).collect::<Vec<_>>();
        merge.try_build().unwrap().execute_reader(reader).await.unwrap();
        let head = table.open().await;
        let in_place = head.fragments().iter().filter(|f| ids.contains(&f.id) && f.files.len() > 1);
        assert!(in_place.count() > 0, "no column was written in place: {:?}", head.fragments());
        let rows = table.rows().await;
        let row = table.optimize(None, false).await;
        assert!(row.committed, "{row:#?}");
        assert_eq!(table.rows().await, rows, "stable row ids: {stable}");
        assert_eq!(table.lies_as(LAYOUT).await, 1, "stable row ids: {stable}");
        table.is_idle(None, false).await;
    }
}

#[tokio::test]
async fn a_state_that_is_lost_or_damaged_costs_a_rewrite_and_no_row() {
    let whole = laid_out(false).await;
    let rows = whole.rows().await;
    let text = fs::read_to_string(whole.document()).unwrap();
    let damaged = [
        None,
        Some(String::new()),
        Some("{".to_owned()),
        Some("null".to_owned()),
        Some(text[..text.len() / 2].to_owned()),
        Some(text.replace("\"runs\":[", "\"runs\":[[],")),
        Some(text.replace("sort:a,id", "sort:b")),
        Some("\u{0}\u{1}".to_owned()),
    ];
    for damage in damaged {
        let table = whole.copy();
        match &damage {
            None => fs::remove_file(table.document()).unwrap(),
            Some(text) => fs::write(table.document(), text).unwrap(),
        }
        let row = table.optimize(None, false).await;
        assert!(row.committed, "{damage:?}: {row:#?}");
        assert_eq!(
            (table.rows().await, table.lies_as(LAYOUT).await),
            (rows.clone(), 1),
            "{damage:?}"
        );
        table.is_idle(None, false).await;
    }
}

#[tokio::test]
async fn a_state_of_a_later_program_is_left_alone_until_a_layout_is_asked_for() {
    let table = laid_out(false).await;
    table.append(300..310).await;
    let rows = table.rows().await;
    let text = r#"{"version":2,"what":"is not known"}"#;
    fs::write(table.document(), text).unwrap();
    let version = table.open().await.manifest().version;
    let report = table.run(None, false).await;
    assert_ne!(report.exit_code().number(), 0, "{report:#?}");
    let error = report.roots[0].tables[0].error.as_ref().unwrap();
    assert!(error.contains("version 2") && error.contains(".json"), "{error}");
    assert_eq!(fs::read_to_string(table.document()).unwrap(), text);
    assert_eq!(table.open().await.manifest().version, version);
    // Without a layout nobody asks for it.
    let packed = table.copy();
    packed.optimize(Some("none"), false).await;
    assert_eq!(packed.rows().await, rows);
    table.optimize(Some(LAYOUT), false).await;
    assert_eq!((table.rows().await, table.lies_as(LAYOUT).await), (rows, 1));
}

#[tokio::test]
async fn a_setting_that_cannot_be_read_is_an_error_and_nothing_is_written() {
    let table = Table::new(false).await;
    for (text, said) in [("zebra", KEY), (r#"{"version":9,"layout":"sort:a"}"#, "version 9")] {
        table.open().await.update_config([(KEY, text)]).await.unwrap();
        let version = table.open().await.manifest().version;
        let report = table.run(None, false).await;
        assert_ne!(report.exit_code().number(), 0, "{text}: {report:#?}");
        let error = report.roots[0].tables[0].error.as_ref().unwrap();
        assert!(error.contains(said), "{error}");
        assert_eq!(table.open().await.manifest().version, version);
    }
}

#[tokio::test]
async fn a_table_made_anew_under_the_same_name_does_not_inherit_an_order() {
    let table = laid_out(false).await;
    let kept = fs::read_to_string(table.document()).unwrap();
    let document = table.document();
    // As LanceDB drops a table of a database: its directory goes, what lies beside it stays.
    fs::remove_dir_all(&table.uri).unwrap();
    // Fragments of the same ids, most rows in those that were laid out.
    let known = LayoutState::from_json(&kept).unwrap().members;
    let last = *known.keys().next_back().unwrap();
    for id in 0..=last as i64 {
        let rows = if known.contains_key(&(id as u64)) { 50 } else { 5 };
        write(&table.uri, batch(id * 50..id * 50 + rows), id == 0, false).await;
    }
    fs::create_dir_all(Path::new(&document).parent().unwrap()).unwrap();
    fs::write(&document, &kept).unwrap();
    let before = table.rows().await;
    let packed = table.copy();
    let row = packed.optimize(None, false).await;
    assert!(row.layout.is_none() && packed.setting().await.is_none(), "{row:#?}");
    assert_eq!(packed.rows().await, before);
    // Fragments of the same ids are no members of the old runs.
    table.optimize(Some(LAYOUT), false).await;
    assert_eq!((table.rows().await, table.lies_as(LAYOUT).await), (before, 1));
}

#[tokio::test]
async fn a_version_from_before_the_layout_comes_back_without_it() {
    let table = Table::new(true).await;
    let (rows, lineage, version) =
        (table.rows().await, table.lineage().await, table.open().await.manifest().version);
    table.optimize(Some(LAYOUT), false).await;
    let mut old = table.open().await.checkout_version(version).await.unwrap();
    assert_eq!(lancekeeper_testkit::table_rows(&old).await.unwrap(), rows);
    old.restore().await.unwrap();
    let row = table.optimize(None, false).await;
    assert!(row.layout.is_none(), "{row:#?}");
    assert_eq!(table.rows().await, rows);
    table.optimize(Some(LAYOUT), false).await;
    assert_eq!((table.rows().await, table.lies_as(LAYOUT).await), (rows, 1));
    let now = table.lineage().await;
    assert!(lineage.iter().all(|(id, row)| now[id][0] == row[0]), "row ids are kept");
}
