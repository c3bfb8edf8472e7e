//! Options of policies: which there are, what their values may be, and reading them from SQL and from a file.
//!
//! Not here: the policies themselves (`model`), when something is due (`planner::schedule`), and where files and
//! documents lie.

mod error;
mod file;
mod kind;
mod options;

pub use error::{OptionError, PolicyFileError};
pub use file::{PolicyFile, read_policy_file};
pub use kind::{Literal, PolicyKind};
pub use options::{
    OptionInfo, POLICY_OPTIONS, check_together, find_option, notices, option_info, read_option,
};
