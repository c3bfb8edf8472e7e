//! What is still to be done with a table in this run, and what carrying it out came to.

use lance::Dataset;
use lancekeeper_model::Version;
use lancekeeper_planner::index::{IndexWish, IndexWork};
use lancekeeper_planner::optimize::RewritePlan;
use lancekeeper_rewrite::index::IndexFailure;

use crate::optimize::arranged::{Arranged, Remember};

/// What is still to be done with a table in this run.
#[derive(Debug)]
pub(crate) enum Work {
    /// Nothing: the row says why not, or what was done.
    Nothing,
    /// Versions of ours lie between pin and HEAD. They are published as they are; what there is
    /// to do besides is planned again after that.
    Publish(Option<Planned>),
    /// A plan.
    Planned(Planned),
    /// To be looked at and planned again: writers changed what a plan replaces, or Lance would
    /// have left an index behind.
    Redo,
    /// To be looked at and planned again, for the indexes that follow a Rewrite.
    Follow(IndexWish),
}

/// The plan for one table.
#[derive(Debug)]
pub(crate) struct Planned {
    /// What to rewrite; without groups when only indexes are worked on.
    pub(crate) rewrite: RewritePlan,
    /// What to do with the indexes before the Rewrite.
    pub(crate) indexes: Vec<IndexWork>,
    /// Bytes to read for that, by estimate.
    pub(crate) index_bytes: u64,
    /// The same work in words.
    pub(crate) index_reason: String,
    /// What is wanted of the indexes once the plan was carried out, if another look is to follow.
    pub(crate) then: Option<IndexWish>,
    /// What the table has to remember of its layout from now on, if that changes.
    pub(crate) remember: Option<Remember>,
}

/// What became of a table's plan.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// What readers see now, if that changed.
    pub(crate) committed: Option<Committed>,
    /// Whether all of it was done, not only what leads up to the Rewrite.
    pub(crate) is_whole: bool,
    /// Why groups or segments were given up: what they replace was changed.
    pub(crate) dropped: Vec<String>,
    /// Indexes that Lance would have left behind at the Rewrite.
    pub(crate) lost: Vec<IndexFailure>,
    /// What is to follow, once all of it is carried out.
    pub(crate) then: Option<IndexWish>,
    /// The order of the table's rows, with what was learned of it.
    pub(crate) arranged: Option<Arranged>,
    /// Whether this run has to keep its hands off the table: recovery finds out what became of it.
    pub(crate) is_left_open: bool,
}

/// A version that readers see.
#[derive(Debug)]
pub(crate) struct Committed {
    /// The version that readers saw before.
    pub(crate) from: Version,
    pub(crate) head: Dataset,
    pub(crate) fragments_removed: u64,
    pub(crate) fragments_added: u64,
}

impl Planned {
    /// What is done to the table, fragments and indexes, in words.
    pub(crate) fn reason(&self) -> String {
        let of_fragments = self.rewrite.reason();
        let of_layout = match &self.remember {
            None => String::new(),
            Some(Remember::Layout(layout)) => format!("keep it in layout {layout}"),
            Some(Remember::Nothing) => "keep it in no layout any more".to_owned(),
        };
        let parts = [of_fragments, self.index_reason.clone(), of_layout];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
    }
}
