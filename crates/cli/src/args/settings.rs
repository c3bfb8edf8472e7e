//! Where settings are said on the command line; the same for every verb. What they mean is in
//! [`crate::settings`].

use std::path::PathBuf;

use clap::{Args, ValueHint};

/// Where settings are said.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct SettingArgs {
    /// Settings from this file instead of the lancekeeper.toml beside each root.
    #[arg(long = "config", global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config_file: Option<PathBuf>,

    /// One setting for this run, such as database.index_cache_mb=512; may be repeated.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    pub(crate) assignments: Vec<String>,
}
