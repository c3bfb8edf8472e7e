//! The part that nobody has to start by hand: jobs, policies, SQL and the watcher.
//!
//! Not here: what a verb does (`keeper`), decisions (`planner`), the grammar of statements (`sql`).

pub mod jobs;
pub mod policies;
mod policy_file;
mod watch;

pub use policies::{Policies, PoliciesError, PolicyList};
pub use policy_file::{PolicyLoadError, load_policies};
pub use watch::{
    RootSummary, WatchEvent, WatchEventKind, WatchHandle, WatchListener, WatchOptions,
    WatchSummary, watch,
};
