//! Arguments of `optimize` that say what is done about indexes, and about which.

use clap::builder::NonEmptyStringValueParser;
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use lancekeeper_model::IndexMode;

use super::roots::Refusal;

/// What to do about indexes.
#[derive(Debug, Args)]
pub(super) struct IndexArgs {
    /// What to do about indexes: keep, refresh (fold in the rows they do not cover, build what
    /// the schema declares) or rebuild (train them anew).
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value_t = IndexArg::Refresh,
        hide_possible_values = true,
    )]
    index: IndexArg,

    /// Work on indexes only: no fragment is rewritten.
    #[arg(
        long = "index-only",
        conflicts_with_all = ["target_rows", "target_bytes", "deletion_threshold", "purge_deletes", "verify", "predicate", "page_rows", "page_bytes"],
    )]
    pub(super) only: bool,

    /// Refresh or rebuild only this index; may be repeated. The others keep covering what they cover.
    #[arg(long = "index-name", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) names: Vec<String>,
}

impl IndexArgs {
    pub(super) fn mode(&self) -> IndexMode {
        match self.index {
            IndexArg::Keep => IndexMode::Keep,
            IndexArg::Refresh => IndexMode::Refresh,
            IndexArg::Rebuild => IndexMode::Rebuild,
        }
    }

    /// Refuses what clap cannot: two values that leave nothing to be done.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        if self.index == IndexArg::Keep && (self.only || !self.names.is_empty()) {
            return Err((
                ErrorKind::ArgumentConflict,
                "--index keep leaves every index alone: --index-only and --index-name need refresh or rebuild",
            ));
        }
        Ok(())
    }
}

/// What `optimize` does about indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum IndexArg {
    /// Keep them covering what they cover.
    Keep,
    /// Fold in what they do not cover.
    Refresh,
    /// Train them anew.
    Rebuild,
}
