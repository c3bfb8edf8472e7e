//! Arguments of `count-rows`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use lancekeeper_model::CountOptions;

use super::{Roots, selection};

/// Arguments of `count-rows`.
#[derive(Debug, Args)]
pub(crate) struct CountArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Only this table; may be repeated.
    #[arg(long = "table", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) tables: Vec<String>,

    /// As readers of this branch of a graph or of tables see it (repeatable); main unless given.
    #[arg(long = "branch", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    branches: Vec<String>,

    /// As seen on every live branch of a graph, or of every table, main included.
    #[arg(long, conflicts_with = "branches")]
    all_branches: bool,
}

impl CountArgs {
    /// The options these arguments mean.
    pub(crate) fn options(&self) -> CountOptions {
        CountOptions {
            tables: self.tables.clone(),
            branches: selection(self.all_branches, &self.branches),
        }
    }
}
