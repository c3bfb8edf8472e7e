//! What an attempt does about the layout of its table: the setting that names it, and the document of where its rows
//! lie. Not here: in which order rows are to lie (`optimize::arranged`).

use lancekeeper_rewrite::StagedGroup;

use super::{Attempt, COMMIT_ATTEMPTS, PlainError};
use crate::layouts::{KeptLayout, LAYOUT_KEY, LayoutsError, setting_of};
use crate::optimize::arranged::Remember;

impl Attempt<'_> {
    /// Has the table remember its layout from now on, or none. Beside writers who are faster at every try, it is left to
    /// the next run.
    pub(super) async fn remember(&mut self) -> Result<(), PlainError> {
        let Some(remember) = self.remember.take() else { return Ok(()) };
        let value = match &remember {
            Remember::Layout(layout) => Some(setting_of(layout)),
            Remember::Nothing => None,
        };
        for attempt in 1..=COMMIT_ATTEMPTS {
            let head = self.head().await?;
            match self.step().configure(&head, LAYOUT_KEY, value.clone()).await {
                Ok(configured) => {
                    self.reached(&head, configured);
                    return Ok(());
                }
                Err(error) => self.judge(error, attempt)?,
            }
        }
        Ok(())
    }

    /// Keeps where the rows lie once the groups are committed, whose fragments have their ids now. Before the
    /// Rewrite: what is kept and not committed is no fragment of the table, and costs nothing; what is committed
    /// and not kept would be laid out again.
    pub(super) async fn keep_layout(&mut self) -> Result<(), PlainError> {
        let Some(arranged) = &mut self.arranged else { return Ok(()) };
        let groups: Vec<&StagedGroup> = self.groups.iter().map(|g| &g.group).collect();
        groups.iter().for_each(|group| arranged.learn(group));
        arranged.state = arranged.with(&groups);
        let kept = KeptLayout::of(&self.run.write.read.root.files(), self.target);
        let written = kept.write(&arranged.state).await;
        Ok(written.map_err(LayoutsError::from)?)
    }
}
