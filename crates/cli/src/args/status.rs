//! Arguments of `status`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use lancekeeper_model::StatusOptions;
use lancekeeper_settings::Settings;

use super::{Roots, selection};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Only this branch of a graph or of tables (repeatable); main unless given.
    #[arg(long = "branch", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    branches: Vec<String>,

    /// Every live branch of a graph, or of every table, main included.
    #[arg(long, conflicts_with = "branches")]
    all_branches: bool,

    /// Ends with the exit code that a run which writes would end with before it does anything:
    /// 12 if something must be recovered first, 13 if it would be refused or a table has drifted.
    #[arg(long)]
    pub(crate) check: bool,

    /// Leaves out what a cleanup would free: for that every version is read.
    #[arg(long)]
    quick: bool,

    /// Says how well fragments are told apart by these columns: lat,lon. Reads the columns.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    depth: Vec<String>,

    /// Shows the statistics of values that optimize --recompute-statistics has kept.
    #[arg(long)]
    statistics: bool,

    /// Draws the fragments over the first two columns of --depth, one picture (SVG) a table. With several tables
    /// the name of each goes before the ending; a file of that name is replaced.
    #[arg(long, value_name = "FILE", requires = "depth", value_parser = file)]
    pub(crate) svg: Option<PathBuf>,
}

impl StatusArgs {
    /// The options that these arguments mean, with the settings that an optimize would go by.
    pub(crate) fn options(&self, settings: &Settings) -> StatusOptions {
        StatusOptions {
            branches: selection(self.all_branches, &self.branches),
            quick: self.quick,
            depth: self.depth.clone(),
            draw: self.svg.is_some(),
            statistics: self.statistics,
            optimize: settings.optimize_options(),
            ..StatusOptions::default()
        }
    }
}

/// The name of a file to write.
fn file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.file_name() {
        Some(_) if !text.ends_with('/') => Ok(path),
        _ => Err("no name of a file".to_owned()),
    }
}
