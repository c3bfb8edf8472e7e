//! Roots: opened for reading or for writing, what stands in the way of a verb, and the tables
//! of a root with what is known of each. Every verb begins here; no verb is known here.

mod error;
pub(crate) mod facts;
mod half_made;
mod hold;
mod locks;
mod migrating;
mod obstacles;
mod open;
mod opened;
mod outer;
mod recover;
mod recovering;
mod running;
mod targets;

pub use error::OpenRootError;
pub(crate) use migrating::{locked_out, notice, runs};
pub(crate) use obstacles::{
    PRESUMED_DEAD_AFTER, Way, at_work, check_histories, check_history_of, check_no_foreign_sidecar,
    check_no_schema_apply, check_quiet, check_settled, check_writable, look_ahead, recovery_needed,
};
pub(crate) use open::{look, read_root, write_root};
pub(crate) use opened::{Opening, Purpose, ReadGraph, ReadRoot, Tolerance, WriteRoot};
pub(crate) use recovering::{Recovering, beside, check_recoverable, lock_to_recover, unread_forks};
pub(crate) use running::{running, under_way};
pub(crate) use targets::{Target, TargetError, branch_views, is_dropped, seen_targets, targets};
