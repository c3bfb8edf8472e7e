//! From parsed arguments to the exit code: wire up logs and progress, call the keeper, show
//! its report. What the report looks like is decided in `output`.

use std::io;
use std::pin::pin;

use lancekeeper::Keeper;
use lancekeeper_model::{
    BranchReport, CleanupReport, CountReport, ExitCode, OptimizeReport, StatusReport,
};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::args::{BranchVerb, Cli, ProgressMode, Verb};
use crate::output::{
    Format, Messages, ProgressView, Terminal, log, show_branches, show_cleanup, show_counts,
    show_optimize, show_status,
};
use crate::roots::RootSet;
use crate::target;

const INTERRUPTED: &str =
    "interrupted: finishing the current step; press Ctrl-C again to stop at once";

/// Runs one verb and returns the exit code of the process.
pub(crate) fn run(cli: &Cli, terminal: &mut Terminal) -> u8 {
    let messages = terminal.messages();
    log::start(&messages, cli.speech.verbose);
    let roots = match RootSet::gather(cli.verb.roots()) {
        Ok(roots) => roots,
        Err(error) => {
            messages.error(&error.to_string());
            return ExitCode::Usage.number();
        }
    };
    if let Some(uri) = unconfirmed(&cli.verb, &roots.uris) {
        let place = target::without_secrets(uri);
        messages.error(&format!(
            "{place} is not on this machine: deleting there takes --yes besides --confirm"
        ));
        return ExitCode::Usage.number();
    }
    // Whoever reads events reads nothing but events there, and warnings.
    if !cli.speech.quiet && !matches!(cli.speech.progress, ProgressMode::Json) {
        for uri in &roots.uris {
            messages.line(&target_line(&cli.verb, uri));
        }
    }
    for warning in &roots.warnings {
        messages.warning(warning);
    }
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            messages.error(&format!("cannot start: {error}"));
            return ExitCode::Failed.number();
        }
    };
    let keeper = Keeper::new();
    if let Verb::Cleanup(args) = &cli.verb {
        for notice in args.notices() {
            messages.warning(&notice);
        }
    }
    let writes = cli.verb.writes();
    let verb = work(cli, &roots, &keeper, &messages);
    let report = runtime.block_on(until_interrupted(verb, keeper.clone(), writes, &messages));
    // Blocking calls may be left over after an interruption: nobody waits for them.
    runtime.shutdown_background();
    match report {
        Some(Report::Status(report)) if cli.verb.checks() => {
            let code = report.attention_code();
            let shown = deliver(&Report::Status(report), Format::of(cli.speech.json), terminal);
            if shown == ExitCode::Done.number() { code.number() } else { shown }
        }
        Some(report) => deliver(&report, Format::of(cli.speech.json), terminal),
        None => ExitCode::Interrupted.number(),
    }
}

/// A root that is elsewhere, where deleting takes one more word than was given.
fn unconfirmed<'r>(verb: &Verb, roots: &'r [String]) -> Option<&'r String> {
    roots.iter().find(|uri| verb.lacks_yes() && !target::is_local(uri))
}

/// What a verb reported.
pub(crate) enum Report {
    Status(StatusReport),
    Optimize(OptimizeReport),
    Cleanup(CleanupReport),
    Branch(BranchReport),
    Counts(CountReport),
}

impl Report {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Status(report) => report.exit_code(),
            Self::Optimize(report) => report.exit_code(),
            Self::Cleanup(report) => report.exit_code(),
            Self::Branch(report) => report.exit_code(),
            Self::Counts(report) => report.exit_code(),
        }
    }
}

async fn work(cli: &Cli, roots: &RootSet, keeper: &Keeper, messages: &Messages) -> Report {
    let mut report = call(cli, &roots.uris, keeper, messages).await;
    match &mut report {
        Report::Status(report) => roots.complete_status(&mut report.roots),
        Report::Optimize(report) => roots.complete_optimize(&mut report.roots),
        Report::Cleanup(report) => roots.complete_cleanup(&mut report.roots),
        Report::Branch(report) => roots.complete_branches(&mut report.roots),
        Report::Counts(report) => roots.complete_counts(&mut report.roots),
    }
    report
}

async fn call(cli: &Cli, roots: &[String], keeper: &Keeper, messages: &Messages) -> Report {
    match &cli.verb {
        Verb::Status(args) => Report::Status(keeper.status_of(roots, &args.options()).await),
        Verb::CountRows(args) => Report::Counts(keeper.count_rows(roots, &args.options()).await),
        Verb::Cleanup(args) if args.is_preview() => {
            Report::Cleanup(keeper.plan_cleanup(roots, &args.options()).await)
        }
        Verb::Cleanup(args) => {
            let view = progress_view(cli, messages);
            let keeper = keeper.clone().observed_by(view.progress());
            Report::Cleanup(keeper.cleanup(roots, &args.options()).await)
        }
        Verb::Branch(args) => Report::Branch(call_branch(&args.what, roots, keeper).await),
        Verb::Optimize(args) if args.dry_run => {
            Report::Optimize(keeper.plan_optimize(roots, &args.options()).await)
        }
        Verb::Optimize(args) => {
            let view = progress_view(cli, messages);
            Report::Optimize(keeper.optimize(roots, &args.options(), view.progress()).await)
        }
    }
}

fn progress_view(cli: &Cli, messages: &Messages) -> ProgressView {
    match cli.speech.progress {
        ProgressMode::Json => ProgressView::json(messages),
        ProgressMode::Auto if !cli.speech.quiet => ProgressView::bar(messages),
        ProgressMode::Auto | ProgressMode::None => ProgressView::none(),
    }
}

async fn call_branch(what: &BranchVerb, roots: &[String], keeper: &Keeper) -> BranchReport {
    // Creating and deleting have one root; the grammar sees to that.
    let root = roots.first().map_or("", String::as_str);
    match what {
        BranchVerb::List(args) => keeper.list_branches(roots, args.all).await,
        BranchVerb::Create(args) if args.dry_run => {
            keeper.plan_create_branch(root, args.target.name(), &args.from).await
        }
        BranchVerb::Create(args) => {
            keeper.create_branch(root, args.target.name(), &args.from).await
        }
        BranchVerb::Delete(args) if args.confirm => {
            keeper.delete_branch(root, args.target.name()).await
        }
        BranchVerb::Delete(args) => keeper.plan_delete_branch(root, args.target.name()).await,
    }
}

/// Shows a report. A reader that went away is no error: the code is that of the run.
pub(crate) fn deliver(report: &Report, format: Format, terminal: &mut Terminal) -> u8 {
    let shown = match report {
        Report::Status(report) => show_status(report, format, terminal),
        Report::Optimize(report) => show_optimize(report, format, terminal),
        Report::Cleanup(report) => show_cleanup(report, format, terminal),
        Report::Branch(report) => show_branches(report, format, terminal),
        Report::Counts(report) => show_counts(report, format, terminal),
    };
    let code = report.exit_code();
    match shown {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            terminal.messages().error(&format!("cannot write the result: {error}"));
            if code == ExitCode::Done { ExitCode::Failed.number() } else { code.number() }
        }
        _ => code.number(),
    }
}

/// The line that says what is about to be worked on.
fn target_line(verb: &Verb, uri: &str) -> String {
    let dry = if verb.is_dry_run() { " (dry run)" } else { "" };
    format!("lancekeeper {} → {}{dry}", verb.name(), target::resolved(uri))
}

/// Runs `work` to its end. At the first Ctrl-C the keeper is asked to stop, and a verb that
/// only reads is dropped; a second one ends the process.
///
/// # Cancel safety
///
/// A verb that writes is never dropped here: it ends its step and reports.
async fn until_interrupted<T>(
    work: impl Future<Output = T>,
    keeper: Keeper,
    writes: bool,
    messages: &Messages,
) -> Option<T> {
    let (first, interrupted) = oneshot::channel();
    let messages = messages.clone();
    // A task of its own, so that it is heard while `work` computes.
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        messages.line(INTERRUPTED);
        keeper.stop();
        // Nobody listens any more when the work ended at the same moment.
        let _ = first.send(());
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(ExitCode::Interrupted.number().into());
        }
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
