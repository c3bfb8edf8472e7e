//! `policy check`, `policy show` and `policy simulate`.

use std::path::Path;

use chrono::Utc;
use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{
    ErrorKind, PolicyProblem, PolicyReport, PolicyRow, RootFailure, RootPolicies,
};
use lancekeeper_service::{
    PolicyLoadError, file_rows, load_policies, read_pattern, show_policies, simulate_pattern,
    simulate_root,
};
use lancekeeper_settings::{PolicyFile, Work};

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{PolicyCheckArgs, PolicyShowArgs, PolicySimulateArgs, Roots};
use crate::output::Messages;

impl VerbSpec for PolicyCheckArgs {
    fn name(&self) -> &'static str {
        "policy check"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn work(&self) -> Work {
        Work::Nothing
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let report = match load_policies(&self.file) {
            Ok(file) => {
                let mut report = RootPolicies::of(&self.file.display().to_string());
                let (rows, warnings): (Vec<PolicyRow>, Vec<String>) = file_rows(&file);
                report.body.options = rows;
                report.body.warnings = warnings;
                report
            }
            Err(error) => wrong(&self.file, &error, &call),
        };
        answer(async move { PolicyReport::new(false, vec![report], 0) }.boxed())
    }
}

impl VerbSpec for PolicyShowArgs {
    fn name(&self) -> &'static str {
        "policy show"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let run = async move {
            let file = match named(self.policy.as_deref(), &call) {
                Ok(file) => file,
                Err(report) => return PolicyReport::new(false, vec![report], 0),
            };
            let mut reports = Vec::new();
            for root in call.roots {
                reports.push(show_policies(call.keeper, root, &file).await);
            }
            PolicyReport::new(false, reports, 0)
        };
        answer(run.boxed())
    }
}

impl VerbSpec for PolicySimulateArgs {
    fn name(&self) -> &'static str {
        "policy simulate"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let run = async move {
            let file = match named(self.policy.as_deref(), &call) {
                Ok(file) => file,
                Err(report) => return PolicyReport::new(false, vec![report], 0),
            };
            if let Some(path) = &self.pattern {
                let report = match read_pattern(path) {
                    Ok(pattern) => simulate_pattern(path, &pattern, &file, Utc::now()),
                    Err(message) => {
                        RootPolicies::of(&path.display().to_string()).failed(invalid(message))
                    }
                };
                return PolicyReport::new(false, vec![report], 0);
            }
            let mut reports = Vec::new();
            for root in call.roots {
                reports.push(simulate_root(call.keeper, root, &file).await);
            }
            PolicyReport::new(false, reports, 0)
        };
        answer(run.boxed())
    }
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
