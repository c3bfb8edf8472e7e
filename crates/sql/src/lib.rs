//! Statements of Lancekeeper's SQL: text in, one statement or a pointed error out.
//!
//! Queries are parsed by `sqlparser`, the parser that DataFusion plans from, so what is accepted here
//! DataFusion has a plan for; our own statements are read from the same tokens. Every name keeps its place in the text, so that
//! whoever looks it up can point at it ([`Name::find`]).
//!
//! # The grammar
//!
//! ```text
//! COMPACT TABLE name [WHERE predicate] [ORDER BY (column [ASC | DESC] [NULLS FIRST | NULLS LAST], …)
//!                                       | Z_ORDER BY (column, …) | HILBERT BY (column, …)]
//! VACUUM TABLE name [RETAIN n DAYS]
//! OPTIMIZE TABLE name [RECOMPUTE STATISTICS]
//! ALTER TABLE name SET (option = value, …)
//! ALTER TABLE name RESET (option, …)
//! SHOW JOBS
//! CANCEL JOB id
//! EXPLAIN COMPACT … | VACUUM … | OPTIMIZE …
//! SELECT … | WITH … | VALUES … | EXPLAIN of one of them
//! ```
//!
//! Keywords may be written in any case. A name without quotes also finds a table or column that differs from it only in
//! upper and lower case; a name in double quotes or backticks is taken as it stands.
//!
//! Not here: what a statement does (`service`), the planning of queries, which is DataFusion's, and which options a
//! policy has (`settings`).

mod depth;
mod dialect;
mod error;
mod names;
mod parse;
mod query;
mod render;
mod span;
mod statement;

#[cfg(test)]
mod tests;

pub use error::{ORDERED_BY, SqlError};
pub use names::Name;
pub use parse::{Parsed, parse, parse_one};
pub use query::{Query, Relation};
pub use span::Span;
pub use statement::{
    AlterReset, AlterSet, CancelJob, Compact, Filter, Optimize, OptionValue, OrderColumns,
    Statement, Vacuum,
};
