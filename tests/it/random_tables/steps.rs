//! What may happen to a database: rolls that are read against what there is, so that every list of
//! them means something and the rest means the same when one is left out.

use std::fmt;

use lancekeeper::IndexMode;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::columns::OPTIONAL;

/// Numbers pick from lists, counted round.
pub(crate) type Roll = u8;

/// A table and what happens to it.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) shape: Shape,
    pub(super) steps: Vec<Step>,
}

/// What the table is like from the first.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) stable_row_ids: bool,
    /// As Lance spells it; its own default without.
    pub(super) storage_version: Option<&'static str>,
    /// Besides the id.
    pub(super) columns: Vec<&'static str>,
    pub(super) first_rows: Rows,
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = if self.stable_row_ids { "stable row ids" } else { "row addresses" };
        let files = self.storage_version.unwrap_or("default");
        write!(f, "{ids}, {files} files, {:?}, {:?}", self.columns, self.first_rows)
    }
}

/// Rows that are written at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) count: usize,
    /// Everything but the id is null.
    pub(crate) is_blank: bool,
    /// Makes other values of the same ids.
    pub(crate) salt: Roll,
}

/// One step.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Append {
        chain: Roll,
        rows: Rows,
    },
    Update {
        chain: Roll,
        which: Roll,
    },
    Upsert {
        chain: Roll,
        from: Roll,
        rows: Rows,
    },
    Delete {
        chain: Roll,
        which: Roll,
    },
    DeleteAll {
        chain: Roll,
    },
    AddColumn {
        chain: Roll,
    },
    DropColumn {
        chain: Roll,
        which: Roll,
    },
    Index {
        chain: Roll,
        kind: Roll,
    },
    /// Rows that an index does not cover become a segment of their own, by Lance.
    Segment {
        chain: Roll,
    },
    Restore {
        chain: Roll,
        version: Roll,
    },
    Tag {
        chain: Roll,
        version: Roll,
    },
    Branch {
        chain: Roll,
        version: Roll,
    },
    Clone {
        chain: Roll,
        version: Roll,
    },
    /// A file that nothing refers to, of a kind that Lance writes.
    Litter {
        chain: Roll,
    },
    Optimize {
        index: IndexMode,
        prunes: bool,
        order: Order,
    },
    Cleanup {
        keep: u8,
        is_strict: bool,
    },
}

/// In which order rows are to lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    /// Only asked for if every table has the columns.
    pub(super) layout: Option<&'static str>,
    pub(super) full: bool,
    /// Outputs of a few rows.
    pub(super) is_small: bool,
}

const LAYOUTS: [&str; 9] = [
    "sort:id",
    "sort:-count,id",
    "sort:label:nullslast,-count:nullsfirst",
    "zorder:count,label",
    "hilbert:id,count",
    "hilbert:words,count,id",
    "zorder:words",
    "binpack",
    "none",
];

fn order() -> impl Strategy<Value = Order> {
    let layout = prop::option::of(select(LAYOUTS.to_vec()));
    (layout, prop::bool::weighted(0.2), any::<bool>()).prop_map(|(layout, full, is_small)| Order {
        layout,
        full,
        is_small,
    })
}

fn rows() -> impl Strategy<Value = Rows> {
    let count = prop_oneof![6 => 1..8_usize, 3 => 8..40_usize, 1 => 256..320_usize];
    let blank = prop::bool::weighted(0.1);
    (count, blank, any::<Roll>()).prop_map(|(count, is_blank, salt)| Rows { count, is_blank, salt })
}

fn shape() -> impl Strategy<Value = Shape> {
    let columns = subsequence(OPTIONAL.to_vec(), 1..=OPTIONAL.len());
    let version = select(vec![None, None, Some("2.0"), Some("2.1"), Some("2.2")]);
    (any::<bool>(), version, columns, rows()).prop_map(
        |(stable_row_ids, storage_version, columns, first_rows)| Shape {
            stable_row_ids,
            storage_version,
            columns,
            first_rows,
        },
    )
}

fn pair(step: fn(Roll, Roll) -> Step) -> impl Strategy<Value = Step> {
    any::<(Roll, Roll)>().prop_map(move |(one, other)| step(one, other))
}

/// What a client does.
fn change() -> impl Strategy<Value = Step> {
    let append = (any::<Roll>(), rows()).prop_map(|(chain, rows)| Step::Append { chain, rows });
    let upsert = (any::<(Roll, Roll)>(), rows()).prop_map(|((chain, from), rows)| Step::Upsert {
        chain,
        from,
        rows,
    });
    prop_oneof![
        10 => append,
        3 => pair(|chain, which| Step::Update { chain, which }),
        3 => upsert,
        3 => pair(|chain, which| Step::Delete { chain, which }),
        1 => any::<Roll>().prop_map(|chain| Step::DeleteAll { chain }),
        1 => any::<Roll>().prop_map(|chain| Step::AddColumn { chain }),
        1 => pair(|chain, which| Step::DropColumn { chain, which }),
        9 => pair(|chain, kind| Step::Index { chain, kind }),
        2 => any::<Roll>().prop_map(|chain| Step::Segment { chain }),
        1 => pair(|chain, version| Step::Restore { chain, version }),
        1 => pair(|chain, version| Step::Tag { chain, version }),
        1 => pair(|chain, version| Step::Branch { chain, version }),
        1 => pair(|chain, version| Step::Clone { chain, version }),
        1 => any::<Roll>().prop_map(|chain| Step::Litter { chain }),
    ]
}

/// What we do.
fn verb() -> impl Strategy<Value = Step> {
    let index =
        select(vec![IndexMode::Refresh, IndexMode::Refresh, IndexMode::Keep, IndexMode::Rebuild]);
    prop_oneof![
        3 => (index, prop::bool::weighted(0.2), order())
            .prop_map(|(index, prunes, order)| Step::Optimize { index, prunes, order }),
        2 => (1..4_u8, any::<bool>())
            .prop_map(|(keep, is_strict)| Step::Cleanup { keep, is_strict }),
    ]
}

/// Parts of steps, each ended by a run of ours; the first part is longer, because what one can
/// maintain has to be there.
pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let part = |steps| (vec(change(), steps), verb());
    (shape(), part(5..12), vec(part(1..6), 1..4)).prop_map(|(shape, first, others)| {
        let parts = [first].into_iter().chain(others);
        let steps = parts.flat_map(|(steps, verb)| steps.into_iter().chain([verb])).collect();
        Plan { shape, steps }
    })
}
