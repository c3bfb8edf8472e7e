//! What the command line knows of each verb: which roots it is about, what it may do to them, and
//! the call of the keeper that does it. The grammar is in `args`, how a report looks in `output`.

mod branch;
mod cleanup;
mod config;
mod count;
mod jobs;
mod migrate;
mod optimize;
mod policy;
mod recover;
mod repair;
mod sql;
mod status;
mod verify;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper::Keeper;
use lancekeeper_model::{CacheStats, ExitCode, Progress, Report, StoreRequests};
use lancekeeper_settings::{Given, Work};

use crate::args::{BranchVerb, JobsVerb, Roots, Verb};
use crate::output::{Format, Messages, Terminal, View, show};
use crate::roots::RootSet;
use crate::settings::Settled;
use crate::signals::Ends;

/// One verb.
pub(crate) trait VerbSpec {
    /// The name people type.
    fn name(&self) -> &'static str;

    /// Which roots to work on.
    fn roots(&self) -> &Roots;

    /// Whether this is a plan that is only printed.
    fn is_dry_run(&self) -> bool {
        false
    }

    /// Whether anything may be written.
    fn writes(&self) -> bool;

    /// Which settings it takes.
    fn work(&self) -> Work {
        Work::Query
    }

    /// Whether it steps back for others. Not while clients wait for its end.
    fn steps_back(&self) -> bool {
        matches!(self.work(), Work::Optimize)
    }

    /// The settings that its own options say.
    fn given(&self) -> Vec<Given> {
        Vec::new()
    }

    /// Whether it tells how far it is.
    fn tells_progress(&self) -> bool {
        false
    }

    /// Whether it deletes what cannot be made again, without a second word about roots elsewhere.
    fn lacks_yes(&self) -> bool {
        false
    }

    /// Whether the exit code is to say that a person has to act.
    fn checks(&self) -> bool {
        false
    }

    /// How long another keeper is waited for that has a root locked.
    fn lock_wait(&self) -> Duration {
        Duration::ZERO
    }

    /// What to say before anything is done.
    fn notices(&self) -> Vec<String> {
        Vec::new()
    }

    /// Calls the keeper; yields what it reported.
    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>>;
}

/// With what a verb is called.
pub(crate) struct Call<'a> {
    pub(crate) keeper: &'a Keeper,
    pub(crate) roots: &'a [String],
    pub(crate) settled: &'a Settled,
    pub(crate) progress: Arc<dyn Progress>,
    /// Where to say what happens on the way.
    pub(crate) messages: Messages,
    /// How often the process was asked to end, for a verb that ends by being asked.
    pub(crate) ends: Ends,
}

impl Call<'_> {
    /// The root of a verb that has one; the grammar sees to that.
    fn root(&self) -> &str {
        self.roots.first().map_or("", String::as_str)
    }
}

/// The verb of a command line.
pub(crate) fn spec(verb: &Verb) -> &dyn VerbSpec {
    match verb {
        Verb::Status(args) => args,
        Verb::Optimize(args) => args,
        Verb::Cleanup(args) => args,
        Verb::CountRows(args) => args,
        Verb::Recover(args) => args,
        Verb::Migrate(args) => args,
        Verb::Verify(args) => args,
        Verb::Repair(args) => args,
        Verb::Config(args) => args,
        Verb::Watch(args) => args,
        Verb::Policy(args) => args,
        Verb::Sql(args) => args,
        Verb::Jobs(args) => match &args.what {
            JobsVerb::List(args) => args,
            JobsVerb::Show(args) => args,
            JobsVerb::Cancel(args) => args,
            JobsVerb::Resume(args) => args,
        },
        Verb::Branch(args) => match &args.what {
            BranchVerb::List(args) => args,
            BranchVerb::Create(args) => args,
            BranchVerb::Delete(args) => args,
        },
    }
}

/// What a verb reported, whichever it was.
pub(crate) trait Answer {
    /// Adds what was not found, and to what failed where it was named.
    fn complete(&mut self, roots: &RootSet);

    /// Adds what the caches did, and what was asked of stores.
    fn note_use(&mut self, caches: CacheStats, requests: StoreRequests);

    /// How many tables it is about.
    fn tables(&self) -> usize;

    /// The exit code of the run, or of whether a person has to act if the run itself went well.
    fn exit_code(&self, checks: bool) -> ExitCode;

    /// Writes it, of the command that people typed.
    fn show(&self, command: &str, format: Format, terminal: &mut Terminal) -> io::Result<()>;
}

impl<Body: View> Answer for Report<Body> {
    fn complete(&mut self, roots: &RootSet) {
        roots.complete(self);
    }

    fn note_use(&mut self, caches: CacheStats, requests: StoreRequests) {
        (self.caches, self.requests) = (Some(caches), Some(requests));
    }

    fn tables(&self) -> usize {
        Self::tables(self)
    }

    fn exit_code(&self, checks: bool) -> ExitCode {
        match Self::exit_code(self) {
            ExitCode::Done if checks => Body::attention_code(self),
            code => code,
        }
    }

    fn show(&self, command: &str, format: Format, terminal: &mut Terminal) -> io::Result<()> {
        show(command, self, format, terminal)
    }
}

/// The report of a call, whichever verb it is of.
fn answer<Body: View + 'static>(
    report: BoxFuture<'_, Report<Body>>,
) -> BoxFuture<'_, Box<dyn Answer>> {
    report.map(|report| Box::new(report) as Box<dyn Answer>).boxed()
}
