//! One window: enter, re-check, prepare the publish, arm, commit, publish, disarm.
//!
//! # Protocol
//!
//! Everything here happens under the queue keys of at most 16 tables, and none of it touches
//! data. LOCK ORDER: the root's lock, which the run gave back while it staged; then the keys, sorted, in one
//! call.
//!
//! # Crash consistency
//!
//! From a table's first commit to the publish its sidecar is armed. A window that fails
//! leaves sidecar and journal of every table that moved and was not published: the next open
//! rolls them forward. Which layout a table is to have is written down before anything of it is
//! committed, and where its rows lie right before the Rewrite (`cover`).

mod ahead;
mod cover;
mod error;
mod member;
mod moment;
mod publish;

use std::time::Instant;

use futures::{FutureExt, StreamExt};
use lance::Dataset;
use lancekeeper_manifest::{Intent, SidecarError};
use lancekeeper_model::{ErrorKind, RootOptimizeReport, SkipReason, TableRef, Version};
use lancekeeper_queue::TableGuards;
use lancekeeper_rewrite::StagedGroup;
use lancekeeper_rewrite::check::{HeadCheck, RowsError, index_ids, same_rows};
use lancekeeper_rewrite::table_commit::TableCommit;
use lancekeeper_store::failpoint::{self, Injected};
use lancekeeper_store::owner::{Owner, owners_between};
use lancekeeper_store::tables::version_of;

use crate::layouts::KeptLayout;
use crate::root::{OpenRootError, check_no_schema_apply};
use crate::run::concurrency::in_order;
use crate::run::millis;
use ahead::Ahead;
use cover::Cover;
pub(crate) use error::WindowError;
use member::MemberError;
pub(crate) use member::{Member, Window};
use moment::Moment;
use publish::publish_members;

/// Tables of a window committed at the same time: each commit is a few small files.
const COMMITS_AT_ONCE: usize = 4;
/// Tables of a window looked at again at the same time: each is a listing and a manifest.
const CHECKS_AT_ONCE: usize = 16;

/// Runs one window. Rows are written by [`Member::finish`], whatever comes back.
///
/// # Errors
///
/// When the window as a whole ended early.
///
/// # Cancel safety
///
/// Tables that moved have their sidecars; the others are as they were.
pub(crate) async fn run_window(
    window: &Window<'_>,
    members: &mut [Member<'_>],
    report: &mut RootOptimizeReport,
) -> Result<(), WindowError> {
    let run = window.run;
    if members.is_empty() {
        return Ok(run.write.hold.retake(&run.context.stop).await?);
    }
    failpoint::cross_async(failpoint::OPTIMIZE_STAGED_PRE_ENTER).await?;
    let mut moment = Moment::of(window, members).await;
    // Ends at the latest when the run is not patient any more.
    let (keys, ahead) = loop {
        moment.wait().await;
        let keys = enter(window, members).await?;
        if !moment.close_gate().await || moment.is_over().await {
            continue;
        }
        recheck(window, members).await?;
        let ahead = Ahead::prepare(window, members).await;
        if !moment.is_over().await {
            break (keys, ahead);
        }
        // Whoever waits for the keys has them meanwhile.
        drop(keys);
        if let Some(ahead) = ahead {
            ahead.publish.discard().await;
        }
    };
    if moment.is_out_of_patience() {
        report.warnings.push(format!(
            "operation {}: clients were at work all the time, so it committed beside them at last; one may have been refused",
            run.operation
        ));
    }
    let outcome = make_visible(window, members, ahead, report).await;
    moment.was_used().await;
    drop(keys);
    outcome
}

/// Takes the root's lock again, if it was given back, and the keys of the window's tables.
async fn enter(
    window: &Window<'_>,
    members: &mut [Member<'_>],
) -> Result<TableGuards, WindowError> {
    let run = window.run;
    if let Err(error) = run.write.hold.retake(&run.context.stop).await {
        // Whoever is asked to stop deletes what it staged. Else it is left to the next run, as by one that died.
        let is_kept = error.kind() == ErrorKind::Busy;
        members.iter_mut().for_each(|member| member.left_open |= is_kept);
        return Err(error.into());
    }
    let tables = members.iter().map(|member| member.target().table.clone());
    let keys = run.write.queue.acquire(tables).await?;
    run.write.hold.check().map_err(OpenRootError::from)?;
    failpoint::cross_async(failpoint::OPTIMIZE_ENTERED_PRE_RECHECK).await?;
    Ok(keys)
}

/// Arms, commits, publishes and disarms. From a table's first commit to the publish clients refuse to write to it, so
/// nothing is done in between that can be done before.
async fn make_visible(
    window: &Window<'_>,
    members: &mut [Member<'_>],
    ahead: Option<Ahead>,
    report: &mut RootOptimizeReport,
) -> Result<(), WindowError> {
    failpoint::cross_async(failpoint::OPTIMIZE_RECHECKED_PRE_ARM).await?;
    let commits = members.iter_mut().map(|member| commit_member(window, member).boxed()).collect();
    in_order(commits, COMMITS_AT_ONCE).collect::<Vec<()>>().await;
    publish_members(window, members, ahead, report).await?;
    disarm(window, members, report).await?;
    Ok(())
}

/// Looks at everything again that was looked at before the keys were held.
async fn recheck(window: &Window<'_>, members: &mut [Member<'_>]) -> Result<(), WindowError> {
    let graph = &window.graph.graph;
    check_no_schema_apply(graph, "optimize").await?;
    let (files, branches) = (window.run.write.read.root.files(), graph.branches().await?);
    let has_branches = !branches.is_empty();
    let checked = lancekeeper_manifest::check_schema_files(&files, has_branches).await;
    checked.map_err(OpenRootError::from)?;
    let claimed: Vec<TableRef> = window
        .graph
        .sidecars
        .list()
        .await?
        .iter()
        .filter(|found| found.our_operation().is_none())
        .flat_map(lancekeeper_manifest::FoundSidecar::tables)
        .collect();
    let branch = &window.graph.snapshot.branch;
    if !window.graph.is_among(&branches) {
        members.iter_mut().for_each(|member| member.drop_all("the branch was deleted"));
        return Ok(());
    }
    let snapshot = graph.snapshot(branch).await?;
    let (snapshot, claimed) = (&snapshot, &claimed);
    let checks = members.iter_mut().map(|member| {
        let check = async move {
            // A branch that was deleted and made anew reads the table elsewhere.
            let pin = snapshot.pin(&member.target().table.key);
            let pin = pin.filter(|pin| pin.table_branch == member.target().table.branch);
            let pin = pin.map(|pin| pin.version);
            let is_claimed = claimed.contains(&member.target().table);
            if let Err(error) = recheck_member(window, member, pin, is_claimed).await {
                member.error = Some(error);
            }
        };
        check.boxed()
    });
    in_order(checks.collect(), CHECKS_AT_ONCE).collect::<Vec<()>>().await;
    Ok(())
}

async fn recheck_member(
    window: &Window<'_>,
    member: &mut Member<'_>,
    pin: Option<Version>,
    is_claimed: bool,
) -> Result<(), MemberError> {
    if member.error.is_some() || member.skipped.is_some() {
        // Found when the window was entered before.
        return Ok(());
    }
    let Some(pin) = pin else {
        member.drop_all("the branch reads the table no more, or elsewhere");
        return Ok(());
    };
    member.expected = pin;
    let read = &window.run.write.read;
    let uri = read.root.address_of(&member.target().location);
    let head = read.tables.open(&uri, &member.target().table.branch).await?;
    let version = version_of(&head);
    if is_claimed {
        member.skipped = Some((SkipReason::RecoveryPending, pin, version));
        member.drop_all("another writer is in the middle of an operation on the table");
        return Ok(());
    }
    if version < pin {
        return Err(MemberError::Behind {
            table: member.target().table.clone(),
            head: version,
            pin,
        });
    }
    if version > pin {
        if member.adopt && owners_are_ours(&head, pin).await {
            // Nothing to commit: the versions are there and only need publishing.
            member.moved = Some(head);
            return Ok(());
        }
        member.skipped = Some((SkipReason::DriftNeedsRepair, pin, version));
        member.drop_all("somebody committed to the table without publishing");
        return Ok(());
    }
    let staged_against = index_ids(&member.staged_at).await?;
    let check = HeadCheck::new(&head, &staged_against).await?;
    if member.indexes.is_some()
        && let Some(why) = check.segments(&member.staged_at).await?
    {
        // The groups were planned as if the segments covered them all.
        member.drop_all(&why.to_string());
        return Ok(());
    }
    for mut journaled in std::mem::take(&mut member.groups) {
        match check.group(&mut journaled.group).await? {
            None => member.groups.push(journaled),
            Some(why) => {
                member.dropped_why.push(why.to_string());
                member.dropped.push(journaled);
            }
        }
    }
    drop(check);
    member.head = Some(head);
    Ok(())
}

async fn owners_are_ours(head: &Dataset, pin: Version) -> bool {
    owners_between(head, pin, version_of(head))
        .await
        .iter()
        .all(|owner| matches!(owner, Owner::Ours(_)))
}

/// Arms and commits one table. What goes wrong is the table's own affair.
async fn commit_member(window: &Window<'_>, member: &mut Member<'_>) {
    if member.error.is_some() {
        return;
    }
    if member.moved.is_some() {
        // Adopted: there is nothing to commit, but a crash between the publish and its v3
        // commit row is found by the sidecar.
        if let Err(error) = arm(window, member).await {
            member.moved = None;
            member.error = Some(error.into());
        }
        return;
    }
    let Some(head) = member.head.take() else { return };
    if let Err(error) = member.remember(window.run).await {
        member.error = Some(error.into());
        return;
    }
    if member.groups.is_empty() && member.indexes.is_none() {
        return;
    }
    let started = Instant::now();
    let committed = arm_and_commit(window, member, head).await;
    member.table.stats.duration_ms += millis(started);
    member.error = committed.err();
    // The sidecar of a table that did not move goes at once: a client would otherwise roll
    // the next writer's commit forward by it.
    if member.moved.is_none()
        && !member.left_open
        && let Some(file) = member.sidecar.take()
        && let Err(error) = window.graph.sidecars.disarm(&file).await
    {
        tracing::warn!(target: "lancekeeper::optimize", table = %member.target().table, %error, file,
            "the sidecar of an unmoved table stays until the next open");
    }
}

async fn arm(window: &Window<'_>, member: &mut Member<'_>) -> Result<(), SidecarError> {
    let intent = intent(window, member);
    member.sidecar = Some(window.graph.sidecars.arm(&intent, window.run.context.now()).await?);
    Ok(())
}

fn intent(window: &Window<'_>, member: &Member<'_>) -> Intent {
    let run = window.run;
    Intent {
        operation: run.operation.clone(),
        table: member.target().table.clone(),
        table_path: run.write.read.root.address_of(&member.target().location),
        expected: member.expected,
    }
}

async fn arm_and_commit(
    window: &Window<'_>,
    member: &mut Member<'_>,
    head: Dataset,
) -> Result<(), MemberError> {
    let run = window.run;
    arm(window, member).await?;
    failpoint::cross_async(failpoint::OPTIMIZE_ARMED_PRE_COMMIT).await?;
    let (sidecar, arranged) = (member.sidecar.clone(), member.arranged.clone());
    let kept = KeptLayout::of(&run.write.read.root.files(), member.target());
    let cover = Cover::new(window, intent(window, member), sidecar, kept, arranged);
    let commit = TableCommit {
        operation: &run.operation,
        table: &member.target().table,
        round: window.round,
        watch: Some(&cover),
    };
    let groups: Vec<StagedGroup> = member.groups.iter().map(|g| g.group.clone()).collect();
    let indexes = member.indexes.as_ref().map(|journaled| &journaled.indexes);
    let outcome = commit.run(head.clone(), indexes, groups).await;
    member.sidecar = cover.file();
    match outcome {
        Ok(committed) => {
            member.arranged = cover.take_arranged();
            // HEAD refers to the files, whatever is published.
            member.rewritten = true;
            match same_rows(&member.target().table, &head, &committed.head).await {
                Ok(()) => {}
                Err(error @ RowsError::Changed { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(target: "lancekeeper::optimize", table = %member.target().table, %error,
                        "the rows were not counted again");
                }
            }
            member.moved = Some(committed.head);
            failpoint::cross_async(failpoint::OPTIMIZE_REWRITTEN_PRE_NEXT).await?;
            Ok(())
        }
        Err(failure) => {
            member.left_open = failure.source.kind() == ErrorKind::Unknown;
            member.moved.clone_from(&failure.reached);
            if failure.source.kind() == ErrorKind::Conflict {
                member.drop_all(&failure.source.to_string());
                return Ok(());
            }
            Err(Box::new(failure).into())
        }
    }
}

/// Deletes the sidecars of published tables. One that stays is a warning: the next open
/// finds its table published and deletes it.
async fn disarm(
    window: &Window<'_>,
    members: &mut [Member<'_>],
    report: &mut RootOptimizeReport,
) -> Result<(), Injected> {
    failpoint::cross_async(failpoint::OPTIMIZE_PUBLISHED_PRE_DISARM).await?;
    for member in members.iter_mut() {
        if member.left_open {
            continue;
        }
        if let Some(file) = member.sidecar.take()
            && let Err(error) = window.graph.sidecars.disarm(&file).await
        {
            report.warnings.push(format!(
                "operation {}: the sidecar {file} of {} could not be deleted ({error}); the next open resolves it",
                window.run.operation, member.target().table
            ));
        }
    }
    failpoint::cross_async(failpoint::OPTIMIZE_DISARMED_PRE_JOURNAL).await
}
