//! The publish of one window, and what a refusal means for each table.

use lancekeeper_manifest::{PinMove, PublishError, StalePin};
use lancekeeper_model::{ErrorKind, ProgressEvent, RootOptimizeReport, TableKey, Version};
use lancekeeper_store::LanceFailure;
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::strict::CommitError;
use thiserror::Error;

use super::ahead::Ahead;
use super::member::{Member, MemberError, Window};
use crate::optimize::Run;

/// How often a refused publish is decided anew. Each refusal is a pin that somebody moved.
const DECISIONS_MAX: u32 = 8;

/// A window was not published. Its tables stay covered by their sidecars.
#[derive(Debug, Error)]
pub(crate) enum PublishFailure {
    #[error("failed to publish: {0}")]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Lance(#[from] LanceFailure),
    #[error(transparent)]
    Injected(#[from] Injected),
}

impl PublishFailure {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Publish(error) => error.kind(),
            Self::Lance(error) => error.kind(),
            Self::Injected(_) => ErrorKind::Internal,
        }
    }
}

/// Publishes every member that moved, in one merge: the one that was prepared, if it came as expected.
///
/// # Cancel safety
///
/// Published as a whole or not at all; the sidecars are still armed.
pub(crate) async fn publish_members(
    window: &Window<'_>,
    members: &mut [Member<'_>],
    ahead: Option<Ahead>,
    report: &mut RootOptimizeReport,
) -> Result<(), PublishFailure> {
    let outcome = try_publish(window, members, ahead, report).await;
    if outcome.is_err() {
        for member in members.iter_mut().filter(|member| member.moved.is_some()) {
            member.left_open = true;
        }
    }
    outcome
}

async fn try_publish(
    window: &Window<'_>,
    members: &mut [Member<'_>],
    ahead: Option<Ahead>,
    report: &mut RootOptimizeReport,
) -> Result<(), PublishFailure> {
    failpoint::cross_async(failpoint::OPTIMIZE_POST_PHASE_B).await?;
    if let Some(ahead) = ahead
        && publish_ahead(window, members, ahead, report).await?
    {
        return Ok(());
    }
    let mut moves = Vec::new();
    for member in members.iter() {
        // A table that recovery has to look at is recovery's to publish: with its pin moved,
        // a client would judge the sidecar differently.
        if let Some(moved) = member.moved.as_ref().filter(|_| !member.left_open) {
            let key = member.target().table.key.clone();
            moves.push(PinMove::to_version_of(key, member.expected, moved).await?);
        }
    }
    let run = window.run;
    let branch = &window.graph.snapshot.branch;
    for decision in 0..DECISIONS_MAX {
        if moves.is_empty() {
            return Ok(());
        }
        let step = format!("publish-{}-{}-{decision}", window.round, window.number);
        let published = window
            .graph
            .graph
            .publish(branch, &moves, &run.operation, &step, None, run.context.now())
            .await;
        match published {
            Ok(_) => {
                report.published += 1;
                mark_published(window, members, &moves);
                return Ok(());
            }
            Err(PublishError::Stale { pins }) => {
                for stale in pins {
                    decide_about(run, members, &mut moves, &stale).await;
                }
            }
            Err(error) => {
                if matches!(error, PublishError::CommitRow { .. }) {
                    // Readers see it; only its line in the history is missing, and the next
                    // open adds that.
                    report.published += 1;
                    mark_published(window, members, &moves);
                }
                return Err(error.into());
            }
        }
    }
    // Bounded above: a pin that somebody moves this often is not ours to fight over.
    for pin_move in &moves {
        lose(members, &pin_move.key, "a newer version".to_owned(), pin_move.to);
    }
    Ok(())
}

/// Makes the publish that was prepared. Returns whether it was: not when a table came elsewhere, or when somebody
/// published meanwhile.
async fn publish_ahead(
    window: &Window<'_>,
    members: &mut [Member<'_>],
    ahead: Ahead,
    report: &mut RootOptimizeReport,
) -> Result<bool, PublishFailure> {
    if !ahead.fits(members) {
        ahead.publish.discard().await;
        return Ok(false);
    }
    let step = format!("publish-{}-{}-ahead", window.round, window.number);
    let Ahead { moves, publish } = ahead;
    let published = window.graph.graph.publish_prepared(publish, &window.run.operation, &step);
    match published.await {
        Err(PublishError::Commit(CommitError::Conflict { .. })) => Ok(false),
        outcome => {
            if outcome.as_ref().err().is_none_or(PublishError::is_visible) {
                report.published += 1;
                mark_published(window, members, &moves);
            }
            Ok(outcome.map(|_| true)?)
        }
    }
}

fn mark_published(window: &Window<'_>, members: &mut [Member<'_>], moves: &[PinMove]) {
    for member in members {
        if let Some(done) = moves.iter().find(|m| m.key == member.target().table.key) {
            member.published = true;
            window.run.progress.on_event(ProgressEvent::TablePublished {
                table: member.target().table.clone(),
                from: done.expected,
                to: done.to,
            });
        }
    }
}

/// Decides about one table whose pin is not where it was: recovered by a client meanwhile,
/// or lost.
async fn decide_about(
    run: &Run<'_>,
    members: &mut [Member<'_>],
    moves: &mut Vec<PinMove>,
    stale: &StalePin,
) {
    let Some(at) = moves.iter().position(|m| m.key == stale.key) else { return };
    let ours = moves[at].to;
    let Some(member) = members.iter_mut().find(|m| m.target().table.key == stale.key) else {
        return;
    };
    match stale.current {
        // A client that met our sidecar rolled it forward: done.
        Some(current) if current >= ours => {
            member.published = true;
            // For whoever caches, it makes no difference who moved the pin.
            run.progress.on_event(ProgressEvent::TablePublished {
                table: member.target().table.clone(),
                from: stale.expected,
                to: current,
            });
            moves.remove(at);
        }
        Some(current) if current > stale.expected => {
            match is_ours(member, stale, current).await {
                Some(true) => moves[at].expected = current,
                is_known => {
                    // Not knowing is no reason to give up what was committed.
                    if is_known.is_none() {
                        member.left_open = true;
                    }
                    moves.remove(at);
                    lose(members, &stale.key, current.to_string(), ours);
                }
            }
        }
        current => {
            moves.remove(at);
            let current = current.map_or_else(|| "none".to_owned(), |version| version.to_string());
            lose(members, &stale.key, current, ours);
        }
    }
}

/// Whether a pinned version is one of those that are being published: this run's, or those of
/// a dead run that it adopted. `None` when that cannot be read.
async fn is_ours(member: &Member<'_>, stale: &StalePin, current: Version) -> Option<bool> {
    let moved = member.moved.as_ref()?;
    let owners = owners_between(moved, stale.expected, current).await;
    if owners.iter().any(|owner| matches!(owner, Owner::Unreadable(_))) {
        return None;
    }
    Some(owners.iter().all(|owner| matches!(owner, Owner::Ours(_))))
}

fn lose(members: &mut [Member<'_>], key: &TableKey, current: String, ours: Version) {
    if let Some(member) = members.iter_mut().find(|m| m.target().table.key == *key) {
        let table = member.target().table.clone();
        member.error = Some(MemberError::LostToRecovery { table, current, ours });
    }
}
