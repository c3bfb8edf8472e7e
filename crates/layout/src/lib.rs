//! The order of a table's rows, as pure functions over Arrow arrays and plain facts.
//!
//! Nothing here does I/O, knows Lance or looks at a clock: the same arrays give the same keys, and the
//! same facts the same plan. Which layout is asked for is `lancekeeper_model::Layout`.
//!
//! # How the pieces fit
//!
//! Of a table with the layout `hilbert:a,b`:
//!
//! 1. [`check_orderable`] says of each column's type whether it has an order, before anything is read.
//! 2. [`Space::from_sample`] takes some values of each column (about [`BOUNDARIES`] × [`SAMPLE_PER_BOUNDARY`]
//!    rows from all over the table) and keeps their quantiles. A table that has a [`LayoutState`] of the same
//!    layout uses the space in there. [`Space::drift`] of a sample says when to take [`Space::renewed`].
//! 3. [`Space::ranks`] of the fragments' smallest and greatest values, one row per fragment, gives their boxes:
//!    [`RankBox::between`].
//! 4. [`plan_clustering`] takes the fragments and the [`Runs`] of the state, and says which fragments become one
//!    run and how many rows each new fragment gets.
//! 5. Those fragments are read; [`Space::ranks`] and [`curve_keys`] give each batch a key column, by which
//!    the rows are sorted. The layout `sort` is sorted by its columns themselves and needs no keys; its space serves
//!    the measures and the plan.
//!    A [`Cutter`] is shown the sorted keys and says where one output ends and the next begins.
//! 6. [`Space::box_around`] the rows of each new fragment is its box. [`LayoutState::with_run`] is the new state,
//!    which is written right before the commit: [`LayoutState::to_json`]. It has the sources as well as the new
//!    fragments; [`LayoutState::keep`] leaves those that the table turns out to have.
//! 7. [`depth`] and [`touched`], before and after, say what it was good for; of edges [`Steps`] does, for queries that
//!    follow them.
//!
//! A purge that keeps the order of rows passes through [`LayoutState::with_copies`], and what other tools have
//! rewritten is of no run by itself, because its fragments have new ids. A table with a layout must not be
//! bin-packed: that would make fragments of several runs into one.

mod boxes;
mod curve;
mod cut;
mod depth;
mod document;
mod drawing;
mod expansion;
mod order_keys;
mod orderable;
mod plan;
mod ranks;
mod runs;
#[cfg(test)]
mod simulation;
mod space;
mod suggest;
mod touched;

pub use boxes::RankBox;
pub use curve::{Curve, CurveKeys, TooManyColumns, byte_keys, curve_keys};
pub use cut::Cutter;
pub use depth::{Extent, depth, depth_at_most};
pub use document::{DocumentError, LayoutState, Member, layout_from_json, layout_to_json};
pub use drawing::{Axis, DRAWN_MAX, Drawing, DrawnFragment};
pub use expansion::{NEIGHBOURS_MAX, STARTS, Starts, Steps, Walk};
pub use orderable::{Unorderable, check_orderable};
pub use plan::{ClusterGroup, ClusterPlan, Fragment, Request, Scope, Targets, plan_clustering};
pub use ranks::{NULL_RANK, Ranks};
pub use runs::{Run, Runs};
pub use space::{
    BOUNDARIES, BOUNDARIES_MAX, DRIFT_MAX, Drift, SAMPLE_PER_BOUNDARY, Sample, Space, SpaceError,
};
pub use suggest::suggest;
pub use touched::{Touched, touched};
