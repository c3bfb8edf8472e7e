//! Arguments of `optimize` that say which fragments are rewritten, besides their sizes, and what is done besides.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

/// Which fragments are rewritten.
#[derive(Debug, Args)]
pub(super) struct RewriteArgs {
    /// Rewrite only fragments of which every row matches this SQL expression: "day < date '2024-01-01'". The
    /// columns in it are read; null does not match. Fragments that match in part stay as they are.
    #[arg(long = "where", value_name = "PREDICATE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) predicate: Option<String>,

    /// Compute statistics of each table's values afterwards and keep them beside the root, where status
    /// --statistics shows them. Reads all of each table.
    #[arg(long = "recompute-statistics")]
    pub(super) statistics: bool,
}
