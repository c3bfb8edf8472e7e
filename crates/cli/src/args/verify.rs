//! Arguments of `verify`.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use lancekeeper_model::{BranchSelection, VerifyOptions};
use lancekeeper_settings::{Given, Key, Value, values};

use super::{Roots, by_flag};

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,

    /// Only this table; may be repeated.
    #[arg(long = "table", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) tables: Vec<String>,

    /// Only this branch of a graph or of tables (repeatable); all of them unless given.
    #[arg(long = "branch", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    branches: Vec<String>,

    /// Read manifests only, and see whether files are there: no row is read, no index asked.
    #[arg(long)]
    quick: bool,

    /// About how many values each index is asked about [default: 16].
    #[arg(long, value_name = "N", value_parser = values::rows, conflicts_with = "quick")]
    samples: Option<u64>,

    /// Tables checked at the same time [default: OMNIGRAPH_MAINTENANCE_CONCURRENCY, or 8].
    #[arg(long, value_name = "N", value_parser = values::concurrency)]
    concurrency: Option<usize>,

    /// Memory that all rows in hand may take together, by estimate [default: 1GiB].
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    memory_limit: Option<u64>,
}

impl VerifyArgs {
    /// The settings that these arguments say.
    pub(crate) fn given(&self) -> Vec<Given> {
        let number =
            |key, said: Option<u64>| said.map(|number| by_flag(key, Value::Number(number)));
        let given = [
            number(Key::BulkMemoryLimit, self.memory_limit),
            number(Key::BulkConcurrency, self.concurrency.map(|tables| tables as u64)),
        ];
        given.into_iter().flatten().collect()
    }

    /// The options these arguments mean.
    pub(crate) fn options(&self) -> VerifyOptions {
        let samples = self.samples.map(|samples| usize::try_from(samples).unwrap_or(usize::MAX));
        VerifyOptions {
            tables: self.tables.clone(),
            branches: match self.branches.as_slice() {
                [] => BranchSelection::All,
                named => BranchSelection::Named(named.to_vec()),
            },
            quick: self.quick,
            samples: samples.unwrap_or(VerifyOptions::SAMPLES),
        }
    }
}
