//! With what the tables of a root are checked.

use lancekeeper_model::VerifyOptions;
use lancekeeper_store::Root;

use crate::run::Context;

/// With what tables are checked.
#[derive(Clone, Copy)]
pub(super) struct Run<'a> {
    pub(super) context: &'a Context,
    pub(super) root: &'a Root,
    pub(super) options: &'a VerifyOptions,
}
