//! What becomes of a rewrite once it is written: judged by its rows, and noted for later runs.

use lancekeeper_model::TableKey;
use lancekeeper_planner::optimize::GroupReason;

use super::*;

#[test]
fn a_rewrite_with_other_rows_than_planned_is_an_error_that_names_its_files() {
    let group = Group {
        fragments: vec![0, 1],
        outputs: vec![10, 5],
        bytes: 0,
        recipe: Recipe::Reencode { batch_rows: 1 },
        why: GroupReason::Merge,
    };
    let table = TableRef::on_main(TableKey::new("docs"));
    let judge = |rows: &[usize]| {
        let fragments = rows.iter().map(|rows| {
            let mut fragment = Fragment::new(0).with_physical_rows(*rows);
            fragment.add_file_legacy(
                &format!("{rows}.lance"),
                &lance_core::datatypes::Schema::default(),
            );
            fragment
        });
        let rewritten =
            Rewritten { fragments: fragments.collect(), kept_addrs: None, permuted: None };
        judged(&table, Version(1), &group, Vec::new(), rewritten)
    };
    assert!(judge(&[10, 5]).is_ok());
    for wrong in [&[10, 4][..], &[15], &[5, 10], &[]] {
        let Err(StageError::Rows { files, .. }) = judge(wrong) else {
            panic!("{wrong:?} was taken");
        };
        assert_eq!(files.len(), wrong.len());
    }
    let error = judge(&[10, 4]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(
        error.to_string(),
        "docs: rewriting fragments [0, 1] gave new ones of [10, 4] rows instead of [10, 5]"
    );
}

#[test]
fn a_group_with_another_order_of_rows_is_left_to_no_later_run() {
    let group = Group {
        fragments: vec![3, 4],
        outputs: vec![5],
        bytes: 0,
        recipe: Recipe::Reencode { batch_rows: 1 },
        why: GroupReason::Merge,
    };
    let mut staged = StagedGroup {
        source: Vec::new(),
        read: Vec::new(),
        deleted_since: Vec::new(),
        new_fragments: vec![Fragment::new(0).with_physical_rows(5)],
        kept_addrs: None,
        permuted: None,
        version: Version(1),
        files: Vec::new(),
    };
    let order = RowOrder::AsListed { capture_addresses: false };
    let note = staged.to_note(&group, order).unwrap();
    assert_eq!((note.fragments, note.order), (vec![3, 4], order));
    staged.permuted = Some(Arc::new(Permuted::default()));
    assert_eq!(staged.to_note(&group, order), None);
}
