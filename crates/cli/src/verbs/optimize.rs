//! `optimize`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_settings::{Given, Work};

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{OptimizeArgs, Roots};

impl VerbSpec for OptimizeArgs {
    fn name(&self) -> &'static str {
        "optimize"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    fn writes(&self) -> bool {
        !self.dry_run
    }

    fn work(&self) -> Work {
        Work::Optimize
    }

    fn given(&self) -> Vec<Given> {
        self.given()
    }

    fn tells_progress(&self) -> bool {
        !self.dry_run
    }

    fn lock_wait(&self) -> Duration {
        self.lock.wait
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let Call { keeper, roots, settled, progress, .. } = call;
        let options = self.options(&settled.settings);
        let run = async move {
            match self.dry_run {
                true => keeper.plan_optimize(roots, &options).await,
                false => keeper.optimize(roots, &options, progress).await,
            }
        };
        answer(run.boxed())
    }
}
