//! `policy check`, `policy show` and `policy simulate`.

use std::path::Path;

use chrono::Utc;
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{ErrorKind, PolicyProblem, PolicyReport, RootFailure, RootPolicies};
use lancekeeper_service::{
    PolicyLoadError, file_rows, load_policies, read_pattern, show_policies, simulate_pattern,
    simulate_root,
};
use lancekeeper_settings::{PolicyFile, Work};

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{PolicyArgs, PolicyShowArgs, PolicySimulateArgs, PolicyVerb, Roots};
use crate::output::Messages;

/// Its verbs only read, and differ in what they are about.
impl VerbSpec for PolicyArgs {
    fn name(&self) -> &'static str {
        match &self.what {
            PolicyVerb::Check(_) => "policy check",
            PolicyVerb::Show(_) => "policy show",
            PolicyVerb::Simulate(_) => "policy simulate",
        }
    }

    fn roots(&self) -> &Roots {
        match &self.what {
            PolicyVerb::Check(args) => &args.roots,
            PolicyVerb::Show(args) => &args.roots,
            PolicyVerb::Simulate(args) => &args.roots,
        }
    }

    fn writes(&self) -> bool {
        false
    }

    fn work(&self) -> Work {
        match &self.what {
            PolicyVerb::Check(_) => Work::Nothing,
            PolicyVerb::Show(_) | PolicyVerb::Simulate(_) => Work::Query,
        }
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let reports = async move {
            match &self.what {
                PolicyVerb::Check(args) => vec![checked(&args.file, &call)],
                PolicyVerb::Show(args) => shown(args, &call).await,
                PolicyVerb::Simulate(args) => simulated(args, &call).await,
            }
        };
        answer(async move { PolicyReport::new(false, reports.await, 0) }.boxed())
    }
}

/// What a file says, or what is wrong with it.
fn checked(path: &Path, call: &Call<'_>) -> RootPolicies {
    match load_policies(path) {
        Ok(file) => {
            let mut report = RootPolicies::of(&path.display().to_string());
            (report.body.options, report.body.warnings) = file_rows(&file);
            report
        }
        Err(error) => wrong(path, &error, call),
    }
}

/// What holds of the tables of each root.
async fn shown(args: &PolicyShowArgs, call: &Call<'_>) -> Vec<RootPolicies> {
    let file = match named(args.policy.as_deref(), call) {
        Ok(file) => file,
        Err(report) => return vec![report],
    };
    let mut reports = Vec::new();
    for root in call.roots {
        reports.push(show_policies(call.keeper, root, &file, &args.tables).await);
    }
    reports
}

/// What policies would have done with the history of each root, or with a pattern.
async fn simulated(args: &PolicySimulateArgs, call: &Call<'_>) -> Vec<RootPolicies> {
    let file = match named(args.policy.as_deref(), call) {
        Ok(file) => file,
        Err(report) => return vec![report],
    };
    if let Some(path) = &args.pattern {
        return vec![match read_pattern(path) {
            Ok(pattern) => simulate_pattern(path, &pattern, &file, Utc::now()),
            Err(message) => RootPolicies::of(&path.display().to_string()).failed(invalid(message)),
        }];
    }
    let mut reports = Vec::new();
    for root in call.roots {
        reports.push(simulate_root(call.keeper, root, &file).await);
    }
    reports
}

/// The file of policies, if one was named.
fn named(path: Option<&Path>, call: &Call<'_>) -> Result<PolicyFile, RootPolicies> {
    let Some(path) = path else { return Ok(PolicyFile::default()) };
    load_policies(path).map_err(|error| wrong(path, &error, call))
}

/// What is said of a file with mistakes.
fn wrong(path: &Path, error: &PolicyLoadError, call: &Call<'_>) -> RootPolicies {
    let mut report = RootPolicies::of(&path.display().to_string());
    let problem = |(message, hint)| PolicyProblem { message, hint };
    report.body.problems = error.problems().into_iter().map(problem).collect();
    report.failed(say_mistakes(error, &call.messages))
}

/// Says everything that is wrong with a file, each with what to do about it. What is left to say is how much that is.
pub(super) fn say_mistakes(error: &PolicyLoadError, messages: &Messages) -> RootFailure {
    let problems = error.problems();
    for (message, hint) in &problems {
        messages.error(message);
        if let Some(hint) = hint {
            messages.hint(hint);
        }
    }
    invalid(match problems.len() {
        1 => "1 mistake".to_owned(),
        n => format!("{n} mistakes"),
    })
}

fn invalid(message: String) -> RootFailure {
    RootFailure { message, hint: None, kind: ErrorKind::Invalid, cause: None }
}
