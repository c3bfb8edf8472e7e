//! Arguments of `optimize` that say which fragments are rewritten, besides their sizes, and what is done besides.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use lancekeeper_model::PageTarget;
use lancekeeper_settings::values;

/// Which fragments are rewritten.
#[derive(Debug, Args)]
pub(super) struct RewriteArgs {
    /// Rewrite only fragments of which every row matches this SQL expression: "day < date '2024-01-01'". The
    /// columns in it are read; null does not match. Fragments that match in part stay as they are.
    #[arg(long = "where", value_name = "PREDICATE", value_parser = NonEmptyStringValueParser::new())]
    pub(super) predicate: Option<String>,

    /// Give pages this many rows in every column; fragments with over four times too many pages, or too few, are
    /// rewritten even alone. A page takes at most 64 MiB in all columns together.
    #[arg(long, value_name = "N", value_parser = values::rows, conflicts_with = "page_bytes")]
    page_rows: Option<u64>,

    /// Give pages of the widest column about this size as it is stored: 1MiB; the other columns get pages of as many rows.
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    page_bytes: Option<u64>,

    /// Compute statistics of each table's values afterwards and keep them beside the root, where status
    /// --statistics shows them. Reads all of each table.
    #[arg(long = "recompute-statistics")]
    pub(super) statistics: bool,
}

impl RewriteArgs {
    /// How large pages are to be.
    pub(super) fn pages(&self) -> Option<PageTarget> {
        self.page_rows.map(PageTarget::Rows).or(self.page_bytes.map(PageTarget::Bytes))
    }
}
