//! A table while we commit to it: whether the sidecar over it is still there, and what is kept of its layout before the
//! Rewrite.

use std::sync::{Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_manifest::{Intent, SidecarError};
use lancekeeper_rewrite::StagedGroup;
use lancekeeper_rewrite::table_commit::Watch;
use lancekeeper_store::FilesError;

use super::member::Window;
use crate::layouts::KeptLayout;
use crate::optimize::arranged::Arranged;

/// The sidecar over a table that is being committed to, and the order of its rows.
pub(crate) struct Cover<'a> {
    window: &'a Window<'a>,
    intent: Intent,
    file: Mutex<Option<String>>,
    /// Where what belongs to its layout is kept.
    kept: KeptLayout,
    /// The order that is kept up, if one is; with the new fragments, once they have their ids.
    arranged: Mutex<Option<Arranged>>,
}

impl<'a> Cover<'a> {
    pub(crate) fn new(
        window: &'a Window<'a>,
        intent: Intent,
        file: Option<String>,
        kept: KeptLayout,
        arranged: Option<Arranged>,
    ) -> Self {
        let (file, arranged) = (Mutex::new(file), Mutex::new(arranged));
        Self { window, intent, file, kept, arranged }
    }

    /// The order as it is now, of which nothing is known here any more.
    pub(crate) fn take_arranged(&self) -> Option<Arranged> {
        self.arranged.lock().unwrap_or_else(PoisonError::into_inner).take()
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

    /// Keeps where the rows lie once the groups are committed. Before the Rewrite: what is kept and not committed is
    /// no fragment of the table, and costs nothing; what is committed and not kept would be laid out again.
    async fn keep_layout(&self, groups: &[StagedGroup]) -> Result<(), FilesError> {
        let Some(mut arranged) = self.take_arranged() else { return Ok(()) };
        groups.iter().for_each(|group| arranged.learn(group));
        arranged.state = arranged.with(&groups.iter().collect::<Vec<_>>());
        self.kept.write(&arranged.state).await?;
        *self.arranged.lock().unwrap_or_else(PoisonError::into_inner) = Some(arranged);
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

    fn reserved<'a>(&'a self, groups: &'a [StagedGroup]) -> BoxFuture<'a, Result<(), FilesError>> {
        self.keep_layout(groups).boxed()
    }
}
