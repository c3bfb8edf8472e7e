//! The publish of a window, prepared before its first commit: what is left to do while tables are ahead of their
//! pins is the commits alone.

use lancekeeper_manifest::{PinMove, PreparedPublish};
use lancekeeper_rewrite::table_commit::commits_of;
use lancekeeper_store::LanceFailure;

use super::member::{Member, Window};

/// A publish for the case that every table comes to the version that is expected of it.
pub(super) struct Ahead {
    pub(super) moves: Vec<PinMove>,
    pub(super) publish: PreparedPublish,
}

impl Ahead {
    /// `None` when there is nothing to publish, or when it cannot be prepared: then it is published as it comes.
    ///
    /// # Cancel safety
    ///
    /// Nothing is visible; files may be left that nothing refers to.
    pub(super) async fn prepare(window: &Window<'_>, members: &[Member<'_>]) -> Option<Self> {
        let mut moves = Vec::new();
        for member in members.iter().filter(|member| member.error.is_none()) {
            let key = member.target().table.key.clone();
            let (has_indexes, has_groups) = (member.indexes.is_some(), !member.groups.is_empty());
            let moved = match (&member.moved, &member.head) {
                (Some(moved), _) => PinMove::to_version_of(key, member.expected, moved).await,
                (None, Some(head)) if has_indexes || has_groups => {
                    let commits = commits_of(head, has_indexes, has_groups);
                    PinMove::ahead_of(key, member.expected, head, commits).await
                }
                _ => continue,
            };
            let not_counted = |error: &LanceFailure| tracing::debug!(target: "lancekeeper::optimize", %error, "not prepared");
            moves.push(moved.inspect_err(not_counted).ok()?);
        }
        if moves.is_empty() {
            return None;
        }
        let (graph, branch) = (&window.graph.graph, &window.graph.snapshot.branch);
        let now = window.run.context.now();
        match graph.prepare_publish(branch, &moves, None, now).await {
            Ok(publish) => Some(Self { moves, publish }),
            Err(error) => {
                tracing::debug!(target: "lancekeeper::optimize", %error, "the publish was not prepared");
                None
            }
        }
    }

    /// Whether exactly these tables came to exactly the versions that it publishes.
    pub(super) fn fits(&self, members: &[Member<'_>]) -> bool {
        let moved = members.iter().filter(|member| !member.left_open);
        let moved = moved.filter_map(|member| Some((member, member.moved.as_ref()?)));
        let mut count = 0;
        let all = moved.inspect(|_| count += 1).all(|(member, head)| {
            let key = &member.target().table.key;
            self.moves.iter().any(|pin_move| pin_move.key == *key && pin_move.is_to(head))
        });
        all && count == self.moves.len()
    }
}
