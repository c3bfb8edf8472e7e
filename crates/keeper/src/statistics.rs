//! Statistics of a table's values: computed by reading all of it, kept as a document under `__maintenance/statistics/`
//! of the root, and read from there. Which tables, and when, say the verbs.

mod bounds;
mod compute;
mod distinct;
mod document;
mod leaf;
mod leaves;

pub(crate) use compute::compute;
pub(crate) use document::{StatisticsError, file_of, read, write};
