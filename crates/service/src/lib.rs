//! The part that nobody has to start by hand: jobs, policies, SQL and the watcher.
//!
//! Not here: what a verb does (`keeper`), decisions (`planner`), the grammar of statements (`sql`).

mod history;
pub mod jobs;
pub mod policies;
mod policy_file;
mod policy_view;
pub mod sql;
mod text_file;
mod watch;

pub use policies::{Policies, PoliciesError, PolicyList};
pub use policy_file::{PolicyLoadError, load_policies};
pub use policy_view::{file_rows, read_pattern, show_policies, simulate_pattern, simulate_root};
pub use text_file::read_text;
pub use watch::{
    RootSummary, WatchEvent, WatchEventKind, WatchHandle, WatchListener, WatchOptions,
    WatchSummary, watch,
};
