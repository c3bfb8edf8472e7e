//! Arguments of `config`.

use clap::Args;
use clap::error::ErrorKind;

use super::Roots;
use super::roots::{Place, Refusal};

/// Arguments of `config`.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    pub(crate) roots: Roots,
}

impl ConfigArgs {
    /// Makes the root explicit. There may be none: then no file beside one is looked for.
    pub(super) fn resolve(&mut self, place: &Place) -> Result<(), Refusal> {
        if place.is_empty() && self.roots.roots.is_empty() && self.roots.file.is_none() {
            return Ok(());
        }
        match self.roots.resolve(place)?.is_empty() {
            true => Ok(()),
            false => Err((
                ErrorKind::ArgumentConflict,
                "config shows the settings of the root that --uri or --db-path names",
            )),
        }
    }
}
