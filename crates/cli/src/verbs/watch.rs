//! `watch`: the watcher with the signals of this process, and its events as lines on stderr.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{ErrorKind, RootFailure, RootWatch, WatchReport};
use lancekeeper_service::{
    RootSummary, WatchHandle, WatchListener, WatchOptions, WatchSummary, load_policies, watch,
};
use lancekeeper_settings::Work;

use super::policy::say_mistakes;
use super::{Answer, Call, VerbSpec, answer};
use crate::args::{Roots, WatchArgs};
use crate::signals::Ends;

impl VerbSpec for WatchArgs {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        true
    }

    fn work(&self) -> Work {
        Work::Optimize
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        answer(self.run(call).boxed())
    }
}

impl WatchArgs {
    async fn run(&self, call: Call<'_>) -> WatchReport {
        let began = Instant::now();
        let policies = match self.policy.as_deref().map(load_policies).transpose() {
            Ok(policies) => policies.unwrap_or_default(),
            Err(error) => {
                let path = self.policy.as_deref().unwrap_or_else(|| Path::new(""));
                let report = RootWatch::of(&path.display().to_string());
                let report = report.failed(say_mistakes(&error, &call.messages));
                return WatchReport::new(false, vec![report], 0);
            }
        };
        let messages = call.messages.clone();
        let listener: WatchListener = Arc::new(move |event| messages.line(&event.to_string()));
        let options = WatchOptions {
            interval: self.interval,
            policies,
            policy_path: self.policy.clone(),
            confirm: self.confirm,
            once: self.once,
            listener: Some(listener),
            ..WatchOptions::default()
        };
        let handle = watch(call.keeper, call.roots, options);
        let summary = until_told(handle, call.ends).await;
        report(self.once, summary, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

/// Waits for the end of a watcher, which the first SIGTERM or Ctrl-C brings about; SIGHUP reads policies again.
async fn until_told(mut handle: WatchHandle, mut ends: Ends) -> WatchSummary {
    let mut reloads = Reloads::listen();
    loop {
        tokio::select! {
            () = ends.asked(1) => break,
            () = reloads.next() => {
                handle.reload();
            }
            summary = handle.finished() => return summary,
        }
    }
    handle.shutdown();
    handle.finished().await
}

/// Requests to read policies again, where there are any.
#[cfg(unix)]
struct Reloads(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Reloads {
    fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        Self(signal(SignalKind::hangup()).ok())
    }

    /// Waits for the next one, which may be for ever.
    async fn next(&mut self) {
        if let Some(hangups) = &mut self.0
            && hangups.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

#[cfg(not(unix))]
struct Reloads;

#[cfg(not(unix))]
impl Reloads {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}

fn report(once: bool, summary: WatchSummary, duration_ms: u64) -> WatchReport {
    let broken = summary.broken.clone();
    let mut roots: Vec<RootWatch> =
        summary.roots.into_iter().map(|root| root_report(once, root)).collect();
    if let Some(why) = broken {
        let failure = RootFailure {
            message: format!("the watcher ended: {why}"),
            hint: None,
            kind: ErrorKind::Internal,
            cause: None,
        };
        roots.push(RootWatch::of("").failed(failure));
    }
    WatchReport::new(false, roots, duration_ms)
}

fn root_report(once: bool, root: RootSummary) -> RootWatch {
    let mut report = RootWatch::of(&root.root).of_kind(root.kind);
    report.body.runs = root.runs;
    report.body.no_ops = root.no_ops;
    report.body.failures = root.failures;
    report.body.once = once;
    // Told to end, a watcher that stood by or waited for a root has done what it could.
    if let Some((message, kind)) = root.error.filter(|_| once) {
        report.fail(RootFailure { message, hint: None, kind, cause: None });
    }
    report
}
