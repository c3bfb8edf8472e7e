//! `optimize --layout`: rows get the order that was asked for and stay what they were, in every kind of table.
//!
//! `orders` is about where rows come to lie, `again` about later runs, `columns` and `state` about what does not go as
//! planned, `indexes` about answers, `databases` about several tables and branches, `graphs` about those of graphs, `wide` about rows that
//! a sort cannot hold.

mod again;
mod columns;
mod databases;
mod graphs;
mod indexes;
mod orders;
mod state;
mod table;
mod wide;
