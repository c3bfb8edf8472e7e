//! The part that nobody has to start by hand: jobs, policies, SQL and the watcher.
//!
//! Not here: what a verb does (`keeper`), decisions (`planner`), the grammar of statements (`sql`).

pub mod jobs;
pub mod policies;
pub mod sql;

pub use policies::{Policies, PoliciesError, PolicyList};
