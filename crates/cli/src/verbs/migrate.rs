//! `migrate`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_settings::Work;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{MigrateArgs, Roots};

impl VerbSpec for MigrateArgs {
    fn name(&self) -> &'static str {
        "migrate"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn is_dry_run(&self) -> bool {
        !self.confirm
    }

    fn writes(&self) -> bool {
        self.confirm
    }

    fn work(&self) -> Work {
        Work::Bulk
    }

    fn lock_wait(&self) -> Duration {
        self.lock.wait
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let run = async move {
            match self.confirm {
                true => call.keeper.migrate(call.roots, &self.options()).await,
                false => call.keeper.plan_migrate(call.roots, &self.options()).await,
            }
        };
        answer(run.boxed())
    }
}
