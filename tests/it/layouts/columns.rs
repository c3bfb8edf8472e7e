//! Columns that no rows can be laid out by, and columns of values and names that are unusual.

use std::sync::Arc;

use arrow_array::types::Int64Type;
use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Float64Array, Int64Array, LargeBinaryArray,
    ListArray, StringArray, StructArray,
};
use arrow_schema::{DataType, Field};
use lance::dataset::{WriteMode, WriteParams};
use lance::index::DatasetIndexExt;
use lance_index::IndexType;
use lance_index::scalar::ScalarIndexParams;
use lancekeeper::{IndexMode, Keeper, Layout, NoProgress, OptimizeOptions};

use super::table::{TARGET_ROWS, Table, batch, batch_of, layout, write};
use crate::binary::{lancekeeper, run};
use crate::fixtures::tree;

/// A run that refuses the layout: what it says, and nothing is written.
async fn is_refused(table: &Table, wanted: &str) -> String {
    let before = tree(&table.uri);
    let report = table.run(Some(wanted), false).await;
    assert_ne!(report.exit_code().number(), 0, "{wanted}: {report:#?}");
    // What says that a root was looked at may come, and no version and no data.
    let is_ours = |(path, _): &(String, u64)| path.contains("__maintenance");
    let rest =
        |tree: Vec<(String, u64)>| tree.into_iter().filter(|e| !is_ours(e)).collect::<Vec<_>>();
    assert_eq!(rest(tree(&table.uri)), rest(before), "{wanted}: {report:#?}");
    let row = &report.roots[0].tables[0];
    assert!(!row.committed, "{wanted}: {row:#?}");
    row.error.clone().unwrap()
}

#[tokio::test]
async fn columns_that_are_not_there_or_have_no_order_are_named_and_nothing_is_written() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>((0..20).map(|n| Some([Some(n)])));
    let part: ArrayRef = Arc::new(Int64Array::from_iter_values(0..20));
    let inner = Arc::new(Field::new("part", DataType::Int64, true));
    let rows = batch_of(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..20))),
        ("list", Arc::new(list)),
        ("whole", Arc::new(StructArray::from(vec![(inner, part)]))),
    ]);
    let table = Table::of(rows, false).await;
    for (wanted, said) in [
        ("sort:zebra", "layout sort:zebra: there is no column zebra"),
        ("hilbert:id,Id", "there is no column Id"),
        ("sort:id,zebra,list", "there is no column zebra"),
        ("zorder:id,list", "column list: List"),
        ("sort:whole", "column whole: Struct"),
        ("sort:whole.part", "there is no column whole.part"),
    ] {
        let error = is_refused(&table, wanted).await;
        assert!(error.contains(said), "{wanted}: {error}");
    }
    // A dry run says the same.
    let options = OptimizeOptions { layout: Some(layout("sort:zebra")), ..Default::default() };
    let before = tree(&table.uri);
    let report = Keeper::new().plan_optimize(std::slice::from_ref(&table.uri), &options).await;
    assert_ne!(report.exit_code().number(), 0, "{report:#?}");
    assert_eq!(tree(&table.uri), before);
}

#[tokio::test]
async fn a_dry_run_of_a_layout_says_what_would_be_done_and_does_nothing() {
    let table = Table::new(false).await;
    let options = OptimizeOptions {
        layout: Some(layout("sort:a")),
        target_rows: 64,
        ..OptimizeOptions::default()
    };
    let before = tree(&table.uri);
    let report = Keeper::new().plan_optimize(std::slice::from_ref(&table.uri), &options).await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(report.roots[0].tables[0].would_commit, "{report:#?}");
    assert_eq!(tree(&table.uri), before);
}

#[tokio::test]
async fn more_columns_than_a_curve_takes_and_words_that_are_no_layout_are_refused_before_anything()
{
    let table = Table::new(false).await;
    let before = tree(&table.uri);
    for wanted in ["hilbert:a,b,c,d,e,f,g,h,i", "zorder:", "sort:a,a", "cluster:a", "sort:"] {
        assert!(wanted.parse::<Layout>().is_err(), "{wanted}");
        let ran = run(lancekeeper(["optimize", &table.uri, "--layout", wanted]));
        assert_eq!(ran.code, Some(2), "{wanted}: {ran:#?}");
    }
    assert_eq!(tree(&table.uri), before);
}

/// Laid out by these columns, each alone and along a curve, the rows are the same and in order.
async fn can_be_laid_out(table: &Table, columns: &[&str]) {
    let rows = table.rows().await;
    let all = columns.join(",");
    let one = |column: &&str| [format!("sort:{column}"), format!("sort:-{column}:nullsfirst")];
    let curves = [format!("hilbert:{all}"), format!("zorder:{all}"), format!("sort:{all}")];
    for wanted in columns.iter().flat_map(one).chain(curves) {
        let row = table.optimize(Some(&wanted), false).await;
        assert_eq!(table.rows().await, rows, "{wanted}: {row:#?}");
        // There is nothing to be said by a zone map of no rows.
        assert_eq!(row.pending_indexes.is_empty(), !rows.is_empty(), "{wanted}: {row:#?}");
        if !rows.is_empty() {
            assert_eq!(table.lies_as(&wanted).await, 1, "{wanted}: {row:#?}");
        }
        table.is_idle(None, false).await;
    }
}

#[tokio::test]
async fn names_of_any_characters_can_be_laid_out_by() {
    let names = ["with space", "comma,ted", "Colon:ed", "-minus", "ünï", "SELECT", "'q\"q"];
    let column = |n: i64| {
        Arc::new(Int64Array::from_iter(
            (0..200).map(|id| ((id + n) % 11 != 0).then(|| (id * 7_919 + n) % 500)),
        )) as ArrayRef
    };
    let columns = names.iter().zip(1..).map(|(name, n)| (*name, column(n)));
    let rows = batch_of(columns.collect());
    let table = Table::of(rows.slice(0, 120), false).await;
    write(&table.uri, rows.slice(120, 80), false, false).await;
    let quoted: Vec<String> =
        names.iter().map(|name| format!("`{}`", name.replace('`', "``"))).collect();
    let before = table.rows().await;
    for name in &quoted {
        let wanted = format!("sort:{name}");
        let row = table.optimize(Some(&wanted), false).await;
        assert!(row.committed, "{wanted}: {row:#?}");
        assert_eq!(row.pending_indexes.len(), 0, "{wanted}: {row:#?}");
        assert_eq!(
            (table.rows().await, sorted_by(&table, name).await),
            (before.clone(), true),
            "{wanted}"
        );
        table.is_idle(None, false).await;
    }
    let all = quoted.join(",");
    let row = table.optimize(Some(&format!("hilbert:{all}")), false).await;
    assert!(row.committed, "{row:#?}");
    assert_eq!(table.rows().await, before);
    assert_eq!(table.lies_as(&format!("hilbert:{all}")).await, 1);
}

async fn sorted_by(table: &Table, name: &str) -> bool {
    table.lies_as(&format!("sort:{name}")).await == 1
}

#[tokio::test]
async fn values_of_every_sort_can_be_laid_out_by() {
    let numbers = 0..300_i64;
    let odd = [f64::NAN, -f64::NAN, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE];
    let odd = numbers.clone().map(|n| (n % 8 != 7).then(|| odd[(n % 8) as usize]));
    let rows = batch_of(vec![
        ("id", Arc::new(Int64Array::from_iter_values(numbers.clone()))),
        ("odd", Arc::new(Float64Array::from_iter(odd))),
        ("nulls", Arc::new(Int64Array::from_iter(numbers.clone().map(|_| None)))),
        ("same", Arc::new(Int64Array::from_iter_values(numbers.clone().map(|_| 7)))),
        (
            "edge",
            Arc::new(Int64Array::from_iter_values(
                numbers.clone().map(|n| [i64::MIN, i64::MAX, 0, -1][(n % 4) as usize]),
            )),
        ),
        (
            "text",
            Arc::new(StringArray::from_iter(
                numbers
                    .clone()
                    .map(|n| ["", "a", "\0", "ä", "a\0b"].get((n % 6) as usize).copied()),
            )),
        ),
    ]);
    let table = Table::of(rows.slice(0, 100), false).await;
    write(&table.uri, rows.slice(100, 200), false, false).await;
    can_be_laid_out(&table, &["odd", "nulls", "same", "edge", "text"]).await;
}

#[tokio::test]
async fn booleans_and_bytes_can_be_laid_out_by() {
    let flags = BooleanArray::from_iter((0..200).map(|n| (n % 5 != 0).then_some(n % 3 == 0)));
    let bytes =
        (0..200_u32).map(|n| (n % 7 != 0).then(|| (n * 7_919 % 997).to_be_bytes().to_vec()));
    let fixed = bytes.clone().map(|value| value.unwrap_or_else(|| vec![255; 4]));
    let rows = batch_of(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..200))),
        ("flag", Arc::new(flags)),
        ("bytes", Arc::new(LargeBinaryArray::from_iter(bytes))),
        ("fixed", Arc::new(FixedSizeBinaryArray::try_from_iter(fixed).unwrap())),
    ]);
    let table = Table::of(rows.slice(0, 100), false).await;
    write(&table.uri, rows.slice(100, 100), false, false).await;
    let before = table.rows().await;
    for wanted in ["sort:flag,-bytes", "sort:fixed", "hilbert:flag,bytes,fixed"] {
        let row = table.optimize(Some(wanted), false).await;
        assert!(row.committed, "{wanted}: {row:#?}");
        assert_eq!(table.rows().await, before, "{wanted}");
        table.is_idle(None, false).await;
    }
}

#[tokio::test]
async fn tables_without_rows_or_with_one_take_a_layout() {
    for (rows, deleted) in [(0, false), (1, false), (3, true), (2, false)] {
        let table = Table::of(batch(0..rows), false).await;
        if deleted {
            table.open().await.delete("true").await.unwrap();
        }
        can_be_laid_out(&table, &["a", "b"]).await;
        assert!(table.setting().await.unwrap().contains("sort:a,b"), "{rows}");
        let before = table.rows().await.len();
        table.append(100..220).await;
        table.optimize(None, false).await;
        assert_eq!(table.rows().await.len(), before + 120, "{rows}");
        assert_eq!(table.lies_as("sort:a,b").await, 1, "{rows}");
        table.is_idle(None, false).await;
    }
}

#[tokio::test]
async fn tables_with_blobs_and_files_of_the_first_format_keep_their_order_and_say_so() {
    let values: Vec<Option<&[u8]>> = vec![Some(b"one"), None, Some(b"three")];
    let rows = batch_of(vec![
        ("id", Arc::new(Int64Array::from_iter_values([3, 1, 2]))),
        ("blob", Arc::new(LargeBinaryArray::from_iter(values))),
    ]);
    let marked = [("lance-encoding:blob".to_owned(), "true".to_owned())].into();
    let fields =
        [rows.schema().field(0).clone(), rows.schema().field(1).clone().with_metadata(marked)];
    let schema = Arc::new(arrow_schema::Schema::new(fields.to_vec()));
    let rows = arrow_array::RecordBatch::try_new(schema, rows.columns().to_vec()).unwrap();
    let blobs = Table::of(rows, false).await;
    let error = is_refused(&blobs, "sort:id").await;
    assert!(error.contains("it has blob columns"), "{error}");
    let error = is_refused(&blobs, "sort:blob").await;
    assert!(error.contains("blob"), "{error}");

    let directory = tempfile::tempdir().unwrap();
    let uri = directory.path().join("t.lance").to_string_lossy().into_owned();
    let params = WriteParams {
        mode: WriteMode::Create,
        data_storage_version: Some("legacy".parse().unwrap()),
        ..WriteParams::default()
    };
    let rows = batch(0..20);
    let reader = arrow_array::RecordBatchIterator::new([Ok(rows.clone())], rows.schema());
    lance::Dataset::write(reader, &uri, Some(params)).await.unwrap();
    let error = is_refused(&Table { _directory: directory, uri }, "sort:id").await;
    assert!(error.contains("first format"), "{error}");
}

#[tokio::test]
async fn a_layout_without_work_on_fragments_is_remembered_and_carried_out_later() {
    let table = Table::new(false).await;
    let options = OptimizeOptions {
        layout: Some(layout("sort:a")),
        index: IndexMode::Keep,
        index_only: true,
        target_rows: 64,
        ..OptimizeOptions::default()
    };
    let before = table.in_order().await;
    let report = Keeper::new()
        .optimize(std::slice::from_ref(&table.uri), &options, Arc::new(NoProgress))
        .await;
    assert_eq!(report.exit_code().number(), 0, "{report:#?}");
    assert!(table.in_order().await == before, "fragments were to be left as they are");
    let rows = table.rows().await;
    table.optimize(None, false).await;
    assert_eq!((table.rows().await, table.lies_as("sort:a").await), (rows, 1));
}

/// What `--layout auto` with these predicates makes of a table, or why it makes nothing.
async fn chosen(table: &Table, workload: &[&str]) -> String {
    let workload = workload.iter().map(|predicate| (*predicate).to_owned()).collect();
    let options = OptimizeOptions {
        layout: Some(Layout::Auto),
        workload,
        target_rows: TARGET_ROWS,
        ..OptimizeOptions::default()
    };
    let report = Keeper::new().optimize([&table.uri], &options, Arc::new(NoProgress)).await;
    let row = &report.roots[0].tables[0];
    match &row.error {
        Some(error) => error.clone(),
        None => table.state().layout.to_string(),
    }
}

#[tokio::test]
async fn a_layout_that_nobody_names_comes_from_predicates_else_from_indexes_else_from_the_key() {
    let table = Table::new(false).await;
    let rows = table.rows().await;
    let nothing = chosen(&table, &[]).await;
    assert!(nothing.contains("neither an index nor a declared key"), "{nothing}");
    // `zone` is a column of some other table.
    let asked = ["a < 3", "b = 'pre/001' AND a > 1", "zone = 4", "a BETWEEN 1 AND 2"];
    assert_eq!(chosen(&table, &asked).await, "hilbert:a,b");
    let others = chosen(&table, &["zone = 4"]).await;
    assert!(others.contains("none of 1 predicates"), "{others}");
    let mut head = table.open().await;
    let btree = ScalarIndexParams::default();
    head.create_index(&["c"], IndexType::BTree, None, &btree, true).await.unwrap();
    // Those that it has of the layout of before suggest columns, too.
    assert_eq!(chosen(&table, &[]).await, "hilbert:a,b,c");
    assert_eq!(table.rows().await, rows);
    table.lies_as("hilbert:a,b,c").await;
}
