//! `sql`: statements, one after the other, until one fails.

use std::io;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{CacheStats, CleanupOptions, ExitCode, StoreRequests};
use lancekeeper_service::sql::{SqlOptions, SqlSession};
use lancekeeper_settings::Work;

use super::{Answer, Call, VerbSpec};
use crate::args::{Roots, ScriptError, SqlArgs};
use crate::output::{Format, SqlAnswer, SqlFailure, Terminal};
use crate::roots::RootSet;

impl VerbSpec for SqlArgs {
    fn name(&self) -> &'static str {
        "sql"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        self.may_write()
    }

    fn work(&self) -> Work {
        if self.may_write() { Work::Optimize } else { Work::Query }
    }

    fn tells_progress(&self) -> bool {
        self.may_write()
    }

    fn lacks_yes(&self) -> bool {
        self.may_delete() && !self.yes
    }

    fn lock_wait(&self) -> Duration {
        self.lock.wait
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        async move { Box::new(answered(self, call).await) as Box<dyn Answer> }.boxed()
    }
}

impl Answer for SqlAnswer {
    /// The root is opened by each statement, which says what is wrong with it.
    fn complete(&mut self, _roots: &RootSet) {}

    /// What caches did is in the records of jobs.
    fn note_use(&mut self, _caches: CacheStats, _requests: StoreRequests) {}

    fn tables(&self) -> usize {
        self.results.len()
    }

    fn exit_code(&self, _checks: bool) -> ExitCode {
        Self::exit_code(self)
    }

    fn show(&self, command: &str, format: Format, terminal: &mut Terminal) -> io::Result<()> {
        Self::show(self, command, format, terminal)
    }
}

/// Carries out the statements. The first that fails ends them; what the others answered is shown all the same.
///
/// # Cancel safety
///
/// As each of the statements; those that are done stay done.
async fn answered(args: &SqlArgs, call: Call<'_>) -> SqlAnswer {
    let mut answer = SqlAnswer::new(args.csv);
    let statements = match &args.script.statements {
        Ok(statements) => statements,
        Err(ScriptError::Unreadable(why)) => {
            answer.failure = Some(SqlFailure::unreadable(why));
            return answer;
        }
        Err(ScriptError::Statement(error)) => {
            answer.failure = Some(SqlFailure::senseless(error, &args.script.text));
            return answer;
        }
    };
    let settings = &call.settled.settings;
    let memory = settings.for_work(args.work()).memory_bytes;
    let options = SqlOptions {
        optimize: settings.optimize_options(),
        cleanup: CleanupOptions::default(),
        confirm: args.confirm,
        memory_bytes: usize::try_from(memory).unwrap_or(usize::MAX),
    };
    let session = SqlSession::new(call.keeper.clone(), call.root(), options, call.progress.clone());
    for parsed in statements {
        match session.run(parsed).await {
            Ok(result) => answer.results.push(result),
            Err(error) => {
                answer.failure = Some(SqlFailure::of(&error, &args.script.text));
                return answer;
            }
        }
    }
    answer
}
