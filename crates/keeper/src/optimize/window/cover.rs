//! The sidecar over a table while we commit to it: whether it is still there.

use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_manifest::{Intent, SidecarError};
use lancekeeper_rewrite::table_commit::Watch;

use super::member::Window;

/// The sidecar over a table that is being committed to.
pub(crate) struct Cover<'a> {
    window: &'a Window<'a>,
    intent: Intent,
    file: Mutex<Option<String>>,
}

impl<'a> Cover<'a> {
    pub(crate) fn new(window: &'a Window<'a>, intent: Intent, file: Option<String>) -> Self {
        Self { window, intent, file: Mutex::new(file) }
    }

    /// The sidecar there is now.
    pub(crate) fn file(&self) -> Option<String> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A client that opened between the arming and our first commit found nothing moved, and
    /// discarded the sidecar. Without one our commits would look like drift to the next.
    async fn renew(&self) -> Result<(), SidecarError> {
        let Some(file) = self.file() else { return Ok(()) };
        let (sidecars, now) = (&self.window.graph.sidecars, self.window.run.context.now());
        if sidecars.is_armed(&file).await? {
            return Ok(());
        }
        let renewed = sidecars.arm(&self.intent, now).await?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(renewed);
        Ok(())
    }
}

impl Watch for Cover<'_> {
    fn moved(&self) -> BoxFuture<'_, ()> {
        async {
            if let Err(error) = self.renew().await {
                tracing::warn!(target: "lancekeeper::optimize", table = %self.intent.table, %error,
                    "whether a sidecar covers the table is not known until it is published");
            }
        }
        .boxed()
    }
}
