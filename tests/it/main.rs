//! Tests over all crates together, on real fixtures and on tables built here.

mod fixtures;
