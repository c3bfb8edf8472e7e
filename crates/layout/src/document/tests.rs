//! What is written can be read, stays small, and is refused when it is damaged.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int64Array, StringArray};

use super::*;
use crate::boxes::RankBox;
use crate::simulation::Numbers as Random;
use crate::space::{BOUNDARIES, Sample};

fn state() -> (LayoutState, Vec<ArrayRef>) {
    let mut random = Random::new(1);
    let rows = 0..20_000;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter(rows.clone().map(|n| (n % 7 > 0).then_some(n - 500)))),
        Arc::new(Float64Array::from_iter_values(rows.clone().map(|_| random.normal()))),
        Arc::new(StringArray::from_iter_values(
            rows.map(|n| format!("a/long/common/beginning/{:05}/{}", n % 9973, "x".repeat(500))),
        )),
    ];
    let named = ["n", "x", "path"].into_iter().zip(&columns);
    let samples: Vec<_> = named
        .map(|(name, values)| Sample { column: name.to_owned(), values: vec![values.clone()] })
        .collect();
    let space = Space::from_sample(&samples, BOUNDARIES).unwrap();
    let side = |n| (n, RankBox::new(vec![(0, 9); 3]));
    let runs = Runs::default().after_rewrite(&[], &[side(4), side(5), side(9)], 0).after_rewrite(
        &[],
        &[side(12)],
        3,
    );
    let layout = "hilbert:n,x,path".parse().unwrap();
    let member = |id: u64| {
        let ranks = RankBox::new(vec![(0, 9), (id as u32, u32::MAX), (7, 7)]);
        (id, Member { witness: u64::MAX - id, rows: id * 1_000, ranks })
    };
    let members = [4, 5, 9, 12].map(member).into();
    (LayoutState { layout, space, runs, members, sampled_rows: 20_000, new_rows: 70 }, columns)
}

#[test]
fn a_state_reads_back_as_it_was_and_gives_the_same_ranks() {
    let (state, columns) = state();
    let read = LayoutState::from_json(&state.to_json()).unwrap();
    assert_eq!(read, state);
    assert_eq!(read.space.ranks(&columns), state.space.ranks(&columns));
    assert_eq!(read.to_json(), state.to_json());
}

#[test]
fn a_column_takes_some_kilobytes_however_long_its_values_are() {
    let (state, _) = state();
    let bytes = state.to_json().len();
    println!("three columns of {BOUNDARIES} boundaries: {bytes} bytes");
    assert!(bytes < 90_000, "{bytes}");
}

#[test]
fn a_layout_is_remembered_as_it_was_written() {
    let layout = "sort:a,-b:nullsfirst".parse().unwrap();
    let text = layout_to_json(&layout);
    assert_eq!(text, r#"{"version":1,"layout":"sort:a,-b:nullsfirst"}"#);
    assert_eq!(layout_from_json(&text).unwrap(), layout);
}

fn told(text: &str) -> String {
    let error = LayoutState::from_json(text).unwrap_err();
    format!("{:?}: {error}", error.kind())
}

#[test]
fn later_versions_and_damage_are_refused() {
    assert_eq!(
        told(r#"{"version":2,"other":[]}"#),
        "Invalid: the document of the layout has the version 2, and this program knows 1: upgrade lancekeeper first"
    );
    assert_eq!(told("{"), "Corrupt: the document of the layout cannot be read");
    assert_eq!(told("{}"), "Corrupt: the document of the layout cannot be read");
    let column = |rows: &str, boundaries: &str| {
        format!(
            r#"{{"version":1,"layout":"sort:a","generation":0,"runs":[],
            "members":[],"sampled_rows":3,"columns":[{{"name":"a",
            "meaning":"integer","sampled":3,"nulls":0,"rows":{rows},"repeats":[0,0],
            "boundaries":{boundaries}}}]}}"#
        )
    };
    let whole = r#"{"whole":[5,1]}"#;
    assert!(LayoutState::from_json(&column("[0,1]", whole)).is_ok());
    let rows = "Corrupt: the document of the layout is damaged: the rows of column a";
    for damaged in ["[0]", "[0,0]", "[0,3]", "[5,18446744073709551615]"] {
        assert_eq!(told(&column(damaged, whole)), rows, "{damaged}");
    }
    let boundaries = "Corrupt: the document of the layout is damaged: the boundaries of column a";
    for damaged in [
        r#"{"whole":[5]}"#,
        r#"{"whole":[5,0]}"#,
        r#"{"float":[5,18446744073709551615]}"#,
        r#"{"bytes":{"common":"","rests":[[0,"61"],[2,"62"]]}}"#,
        r#"{"bytes":{"common":"","rests":[[0,"62"],[0,"61"]]}}"#,
        r#"{"bytes":{"common":"6","rests":[[0,"61"],[0,"62"]]}}"#,
        r#"{"bytes":{"common":"é","rests":[[0,"61"],[0,"62"]]}}"#,
    ] {
        assert_eq!(told(&column("[0,1]", damaged)), boundaries, "{damaged}");
    }
    let run = |fragments: &str| {
        format!(
            r#"{{"version":1,"layout":"sort:a","generation":0,"columns":[],
            "members":[],"sampled_rows":3,"runs":[{{"fragments":{fragments},"worst_depth":1.5,"generation":0}}]}}"#
        )
    };
    assert!(LayoutState::from_json(&run("[[1,2],[4,4]]")).is_ok());
    for damaged in ["[[2,1]]", "[[1,2],[2,3]]"] {
        assert!(told(&run(damaged)).contains("the fragments of a run are"), "{damaged}");
    }
    let layout = r#"{"version":1,"layout":"sort","generation":0,"columns":[],"runs":[],
        "members":[],"sampled_rows":0}"#;
    assert!(told(layout).contains("sort needs at least one column"), "{}", told(layout));
}

#[test]
fn fragments_with_other_files_than_they_were_written_with_are_of_no_run() {
    let (mut state, _) = state();
    let now = |id: u64| match id {
        4 | 12 => Some(u64::MAX - id),
        5 => Some(77),
        _ => None,
    };
    state.keep(now);
    assert_eq!(Vec::from_iter(state.members.keys().copied()), [4, 12]);
    assert_eq!(state.runs.len(), 2);
    assert_eq!((state.runs.of(4), state.runs.of(5), state.runs.of(9)), (Some(0), None, None));
}

#[test]
fn what_is_said_of_a_fragment_is_whole_or_refused() {
    let (state, _) = state();
    let text = state.to_json();
    let first =
        r#"{"id":4,"witness":"fffffffffffffffb","rows":4000,"sides":[[0,9],[4,4294967295],[7,7]]}"#;
    assert!(text.contains(first), "{text}");
    for damaged in [
        first.replace("fffffffffffffffb", "x"),
        first.replace("[0,9],", ""),
        first.replace("[0,9]", "[9,0]"),
    ] {
        let refused = told(&text.replace(first, &damaged));
        assert_eq!(
            refused,
            "Corrupt: the document of the layout is damaged: what it says of fragment 4"
        );
    }
}

#[test]
fn a_rewrite_is_in_the_state_before_it_is_in_the_table() {
    let (state, _) = state();
    let member = Member { witness: 1, rows: 5, ranks: RankBox::new(vec![(0, 1); 3]) };
    let mut next = state.with_run([(20, member.clone()), (21, member.clone())].into());
    assert_eq!((next.runs.of(4), next.runs.of(20), next.runs.of(21)), (Some(0), Some(2), Some(2)));
    let witness_of =
        |id: u64| if id < 20 { state.members.get(&id).map(|m| m.witness) } else { None };
    next.keep(witness_of);
    assert_eq!(next, state);
    let next = state.with_copies(&[(5, 30, member)]);
    assert_eq!((next.runs.of(5), next.runs.of(30)), (Some(0), Some(0)));
}

#[test]
fn rows_that_come_and_go_call_for_a_look_at_the_space_as_rows_that_only_come_do() {
    let (mut state, _) = state();
    (state.sampled_rows, state.new_rows) = (1_000, 0);
    assert!(!state.may_have_drifted(1_000, 250));
    assert!(state.may_have_drifted(1_000, 251), "they are of no run yet");
    state.new_rows = 200;
    assert!(!state.may_have_drifted(1_000, 50) && state.may_have_drifted(1_000, 51));
    state.new_rows = 0;
    assert!(!state.may_have_drifted(1_300, 0) && state.may_have_drifted(1_400, 0));
    assert!(!state.may_have_drifted(0, 0));
}

#[test]
fn a_document_of_before_new_rows_were_counted_is_read() {
    let (state, _) = state();
    let text = state.to_json().replace(",\"new_rows\":70", "");
    assert!(!text.contains("new_rows"));
    assert_eq!(LayoutState::from_json(&text).unwrap(), LayoutState { new_rows: 0, ..state });
}
