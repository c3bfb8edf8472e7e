//! `optimize`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

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

    fn tells_progress(&self) -> bool {
        !self.dry_run
    }

    fn lock_wait(&self) -> Duration {
        self.lock.wait
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let Call { keeper, roots, progress } = call;
        let run = async move {
            match self.dry_run {
                true => keeper.plan_optimize(roots, &self.options()).await,
                false => keeper.optimize(roots, &self.options(), progress).await,
            }
        };
        answer(run.boxed())
    }
}
