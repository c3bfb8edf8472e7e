//! From parsed arguments to the exit code: wire up logs and progress, call the verb, show its
//! report. What each verb does is in `verbs`, what a report looks like in `output`.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use lancekeeper::Keeper;
use lancekeeper_model::ExitCode;
use lancekeeper_service::jobs::Recorder;
use lancekeeper_settings::{RunSettings, Work};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::args::{Cli, ProgressMode};
use crate::caches;
use crate::output::{Format, Messages, ProgressView, Terminal, log};
use crate::priority;
use crate::roots::RootSet;
use crate::scratch::Scratch;
use crate::settings::{Places, Refusal, settle, variables};
use crate::signals::Ends;
use crate::target;
use crate::verbs::{Answer, Call, VerbSpec, spec};

const INTERRUPTED: &str = "interrupted: finishing the current step; ask again to stop at once";

/// Runs one verb on this runtime and returns the exit code of the process.
pub(crate) fn run(
    cli: &Cli,
    terminal: &mut Terminal,
    listening: io::Result<(Runtime, Ends)>,
) -> u8 {
    let messages = terminal.messages();
    let verb = spec(&cli.verb);
    let roots = match RootSet::gather(verb.roots()) {
        Ok(roots) => roots,
        Err(error) => {
            messages.error(&error.to_string());
            return ExitCode::Usage.number();
        }
    };
    if let Some(uri) = unconfirmed(verb, &roots.uris) {
        let place = target::without_secrets(uri);
        messages.error(&format!(
            "{place} is not on this machine: deleting there takes --yes besides --confirm"
        ));
        return ExitCode::Usage.number();
    }
    let places = Places {
        roots: &roots.uris,
        variables: variables(),
        args: &cli.settings,
        flags: verb.given(),
    };
    let settled = match settle(verb.work(), places) {
        Ok(settled) => settled,
        Err(refusals) => {
            refusals.iter().for_each(|refusal| say_refusal(refusal, &messages));
            return ExitCode::Usage.number();
        }
    };
    let run_settings = settled.settings.for_work(verb.work());
    log::start(&messages, cli.speech.verbose, run_settings.log_cache_stats);
    // Whoever reads events reads nothing but events there, and warnings.
    if !cli.speech.quiet && !matches!(cli.speech.progress, ProgressMode::Json) {
        for uri in &roots.uris {
            messages.sentence(&target_line(verb, uri));
        }
    }
    for warning in roots.warnings.iter().chain(&settled.warnings) {
        messages.warning(warning);
    }
    if verb.steps_back() {
        priority::step_back(run_settings.nice);
    }
    // What steps back sorts and trains, and may need more room than it has memory.
    let _scratch = verb.steps_back().then(Scratch::take).flatten();
    let started = listening.and_then(|listening| {
        // After the step back: threads take the priority of the one that starts them.
        Ok((listening, Builder::new_multi_thread().enable_all().build()?))
    });
    let ((hearing, ends), runtime) = match started {
        Ok(started) => started,
        Err(error) => {
            messages.error(&format!("cannot start: {error}"));
            return ExitCode::Failed.number();
        }
    };
    let keeper = keeper(run_settings, verb.lock_wait());
    for notice in verb.notices() {
        messages.warning(&notice);
    }
    let work = async {
        let view = progress_view(cli, verb, &messages);
        let progress = view.progress();
        let (messages, ends) = (messages.clone(), ends.clone());
        let (keeper, uris, settled) = (&keeper, &roots.uris, &settled);
        let call = Call { keeper, roots: uris, settled, progress, messages, ends };
        let mut answer = answered(cli, verb, call).await;
        answer.complete(&roots);
        answer
    };
    let work = until_interrupted(work, keeper.clone(), verb.writes(), ends.clone(), &messages);
    let answer = runtime.block_on(work);
    // Blocking calls may be left over after an interruption: nobody waits for them.
    runtime.shutdown_background();
    hearing.shutdown_background();
    match answer {
        Some(answer) => deliver(answer.as_ref(), verb, Format::of(cli.speech.json), terminal),
        None => ExitCode::Interrupted.number(),
    }
}

/// Calls a verb, and tells what the caches did meanwhile to whoever wants to know.
async fn answered(cli: &Cli, verb: &dyn VerbSpec, call: Call<'_>) -> Box<dyn Answer> {
    let keeper = call.keeper;
    if verb.work() == Work::Nothing {
        return verb.call(call).await;
    }
    let is_asked_for = call.settled.settings.for_work(verb.work()).log_cache_stats;
    let run = verb.call(call);
    let mut answer = if is_asked_for { caches::watched(run, keeper).await } else { run.await };
    if is_asked_for || cli.speech.verbose > 0 {
        let stats = keeper.cache_stats().await;
        caches::say(&stats);
        let requests = keeper.store_requests();
        caches::say_requests(&requests, answer.tables());
        answer.note_use(stats, requests);
    }
    answer
}

/// Says what is wrong with a setting, and what to do about it.
fn say_refusal(refusal: &Refusal, messages: &Messages) {
    messages.error(&refusal.message);
    if let Some(hint) = &refusal.hint {
        messages.hint(hint);
    }
}

/// A keeper with these settings. What no machine can count to is as good as no limit.
fn keeper(settings: RunSettings, lock_wait: Duration) -> Keeper {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Keeper::builder()
        .memory_bytes(settings.memory_bytes)
        .index_cache_bytes(whole(settings.index_cache_bytes))
        .metadata_cache_bytes(whole(settings.metadata_cache_bytes))
        .concurrency(whole(settings.concurrency))
        .lock_wait(lock_wait)
        .job_log(Arc::new(Recorder::default()))
        .build()
}

/// A root that is elsewhere, where deleting takes one more word than was given.
fn unconfirmed<'r>(verb: &dyn VerbSpec, roots: &'r [String]) -> Option<&'r String> {
    roots.iter().find(|uri| verb.lacks_yes() && !target::is_local(uri))
}

fn progress_view(cli: &Cli, verb: &dyn VerbSpec, messages: &Messages) -> ProgressView {
    match cli.speech.progress {
        _ if !verb.tells_progress() => ProgressView::none(),
        ProgressMode::Json => ProgressView::json(messages),
        ProgressMode::Auto if !cli.speech.quiet => ProgressView::bar(messages),
        ProgressMode::Auto | ProgressMode::None => ProgressView::none(),
    }
}

/// Shows what a verb reported. A reader that went away is no error: the code is that of the run.
pub(crate) fn deliver(
    answer: &dyn Answer,
    verb: &dyn VerbSpec,
    format: Format,
    terminal: &mut Terminal,
) -> u8 {
    let code = answer.exit_code(verb.checks());
    match answer.show(verb.name(), format, terminal) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            terminal.messages().error(&format!("cannot write the result: {error}"));
            if code == ExitCode::Done { ExitCode::Failed.number() } else { code.number() }
        }
        _ => code.number(),
    }
}

/// The line that says what is about to be worked on.
fn target_line(verb: &dyn VerbSpec, uri: &str) -> String {
    let dry = if verb.is_dry_run() { " (dry run)" } else { "" };
    format!("lancekeeper {} → {}{dry}", verb.name(), target::resolved(uri))
}

/// Runs `work` to its end. At the first Ctrl-C or SIGTERM the keeper is asked to stop, and a verb that
/// only reads is dropped; a second one ends the process.
///
/// # Cancel safety
///
/// A verb that writes is never dropped here: it ends its step and reports.
async fn until_interrupted<T>(
    work: impl Future<Output = T>,
    keeper: Keeper,
    writes: bool,
    mut ends: Ends,
    messages: &Messages,
) -> Option<T> {
    let (first, interrupted) = oneshot::channel();
    let messages = messages.clone();
    // A task of its own, so that it is heard while `work` computes.
    tokio::spawn(async move {
        ends.asked(1).await;
        messages.line(INTERRUPTED);
        keeper.stop();
        // Nobody listens any more when the work ended at the same moment.
        let _ = first.send(());
        ends.asked(2).await;
        std::process::exit(ExitCode::Interrupted.number().into());
    });
    let mut work = pin!(work);
    tokio::select! {
        biased;
        value = &mut work => Some(value),
        Ok(()) = interrupted, if !writes => None,
    }
}

#[cfg(test)]
mod tests;
