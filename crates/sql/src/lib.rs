//! Statements of Lancekeeper's SQL: text in, one statement or a pointed error out.
//!
//! Not here: what a statement does (`service`), and the planning of queries, which is DataFusion's.
