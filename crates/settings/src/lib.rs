//! Settings: which there are, what their values may be, and which of several places decides.
//!
//! A setting comes from a file, from a variable of the environment or from the command line, in
//! this order of rising precedence, or it has its default. [`SETTINGS`] is the one table of all of
//! them; reading, help, `lancekeeper config` and docs/settings.md follow it.
//!
//! Nothing here does I/O: texts and variables come from the caller, and so does the knowledge of
//! where a root lies. What decides which versions and files a cleanup deletes is no setting, on
//! purpose: a file that lies beside data must not be able to weaken it. Policies (`policy`) are the one exception: a
//! cleanup by policy is on only where two rules say so, and never goes below the floors.

mod environment;
mod error;
mod file;
mod kind;
mod policy;
mod schema;
mod settings;
mod source;
pub mod values;

pub use environment::{Environment, UnknownVariable, read_environment};
pub use error::SettingError;
pub use file::{FILE_NAME, read_file};
pub use kind::{Kind, Refused, Value};
pub use policy::{
    Literal, OptionError, OptionInfo, POLICY_OPTIONS, PolicyFile, PolicyFileError, PolicyKind,
    check_together, find_option, notices, option_info, read_option, read_policy_file,
};
pub use schema::{Key, SETTINGS, Section, Setting, Unset};
pub use settings::{Given, Resolved, RunSettings, Said, Settings, Work, read_assignment};
pub use source::Source;
