//! The public library: open a root, and the verbs that wire the crates together.

use std::sync::Arc;

use lancekeeper_model::{OptimizeOptions, OptimizeReport, Progress, StatusReport};

/// Keeps roots: one per process, shared by every root it works on.
#[derive(Debug, Clone, Default)]
pub struct Keeper;

impl Keeper {
    /// A keeper with default settings.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// Looks at roots without writing anything. Never fails as a whole.
    pub async fn status(&self, uris: &[String]) -> StatusReport {
        let _ = uris;
        StatusReport { roots: Vec::new() }
    }

    /// What [`Keeper::optimize`] would do now, without writing anything.
    pub async fn plan_optimize(
        &self,
        uris: &[String],
        options: &OptimizeOptions,
    ) -> OptimizeReport {
        let _ = (uris, options);
        OptimizeReport::new(true, Vec::new(), 0)
    }

    /// Compacts the tables of roots and publishes the result. Never fails as a whole.
    pub async fn optimize(
        &self,
        uris: &[String],
        options: &OptimizeOptions,
        progress: Arc<dyn Progress>,
    ) -> OptimizeReport {
        let _ = (uris, options, progress);
        OptimizeReport::new(false, Vec::new(), 0)
    }
}
