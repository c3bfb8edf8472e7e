//! What is a layout and what is none, and that what is written can be read.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Layout {
    text.parse().unwrap()
}

fn refused(text: &str) -> String {
    text.parse::<Layout>().unwrap_err().to_string()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_kind_is_read() {
    assert_eq!(read("binpack"), Layout::BinPack);
    assert_eq!(read("none"), Layout::None);
    assert_eq!(read("auto"), Layout::Auto);
    assert_eq!(read("graph"), Layout::Graph);
    assert_eq!(read(" ZOrder: a , b "), Layout::ZOrder(names(&["a", "b"])));
    assert_eq!(read("hilbert:point.x,point.y").columns(), ["point.x", "point.y"]);
    let up = SortColumn::new("ts", Direction::Ascending);
    let down = SortColumn::new("id", Direction::Descending);
    assert_eq!(up.nulls, NullPlacement::First);
    assert_eq!(down.nulls, NullPlacement::Last);
    assert_eq!(read("sort:ts,-id"), Layout::Sort(vec![up.clone(), down.clone()]));
    let up = SortColumn { nulls: NullPlacement::Last, ..up };
    let down = SortColumn { nulls: NullPlacement::First, ..down };
    assert_eq!(read("sort:ts:nullslast,-id:nullsfirst"), Layout::Sort(vec![up, down]));
}

#[test]
fn a_usual_placement_is_not_written() {
    assert_eq!(read("sort:a:nullsfirst,-b:nullslast").to_string(), "sort:a,-b");
    assert_eq!(read("sort:a:nullslast").to_string(), "sort:a:nullslast");
}

#[test]
fn names_with_signs_stand_between_backticks() {
    let layout = read("sort:`a,b`,-`-c:d`:nullsfirst,`e``f`");
    assert_eq!(layout.columns(), ["a,b", "-c:d", "e`f"]);
    assert_eq!(layout.to_string(), "sort:`a,b`,-`-c:d`:nullsfirst,`e``f`");
}

#[test]
fn what_is_wrong_is_said() {
    let layouts = "the layouts are binpack, sort:COLUMNS, zorder:COLUMNS, hilbert:COLUMNS, graph, \
                   auto and none";
    let told = [
        ("hilbrt:a", format!("unknown layout \"hilbrt\", did you mean hilbert?; {layouts}")),
        ("z-order:a", format!("unknown layout \"z-order\", did you mean zorder?; {layouts}")),
        ("liquid", format!("unknown layout \"liquid\"; {layouts}")),
        ("", format!("unknown layout \"\"; {layouts}")),
        ("sort", "sort needs at least one column, as in sort:a,b".into()),
        ("zorder: ", "zorder needs at least one column, as in zorder:a,b".into()),
        ("binpack:a", "binpack takes no columns; sort, zorder and hilbert do".into()),
        ("sort:a,,b", "column 2 of sort has no name".into()),
        ("sort:-", "column 1 of sort has no name".into()),
        ("hilbert:a,b,a", "column a stands there twice".into()),
        ("sort:a,-a", "column a stands there twice".into()),
        ("zorder:a,b,c,d,e,f,g,h,i", "zorder takes at most 8 columns, not 9".into()),
        (
            "hilbert:-a",
            "hilbert has no direction and no place for nulls: write a without the -".into(),
        ),
        (
            "zorder:a:nullslast",
            "zorder has no direction and no place for nulls: write a without :nullslast".into(),
        ),
        ("sort:a:last", "\"last\" is no place for nulls: nullsfirst and nullslast are".into()),
        ("sort:`a", "a backtick is not closed in \"`a\"".into()),
        ("sort:`a`b", "\"b\" follows a name between backticks: only , and : may".into()),
    ];
    for (text, expected) in told {
        assert_eq!(refused(text), expected, "{text}");
    }
    assert!("sort:a,b,c,d,e,f,g,h,i".parse::<Layout>().is_ok(), "a sort has no such limit");
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{1,3}", "[-a,:` ö]{1,4}", any::<String>()]
        .prop_filter("no name", |name| !name.is_empty())
}

fn any_layout() -> impl Strategy<Value = Layout> {
    let curve = || {
        proptest::collection::btree_set(any_name(), 1..=CURVE_COLUMNS_MAX)
            .prop_map(|names| names.into_iter().collect::<Vec<_>>())
    };
    let sorted = || proptest::collection::btree_map(any_name(), any::<(bool, bool)>(), 1..12);
    let column = |(name, (down, last))| SortColumn {
        name,
        direction: if down { Direction::Descending } else { Direction::Ascending },
        nulls: if last { NullPlacement::Last } else { NullPlacement::First },
    };
    prop_oneof![
        Just(Layout::BinPack),
        Just(Layout::Graph),
        Just(Layout::Auto),
        Just(Layout::None),
        curve().prop_map(Layout::ZOrder),
        curve().prop_map(Layout::Hilbert),
        sorted().prop_map(move |columns| Layout::Sort(columns.into_iter().map(column).collect())),
    ]
}

proptest! {
    #[test]
    fn what_is_written_can_be_read(layout in any_layout()) {
        prop_assert_eq!(layout.to_string().parse(), Ok(layout));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "(sort|zorder|x)?:?[-a,:`é ]{0,12}") {
        let _ = text.parse::<Layout>();
    }
}
