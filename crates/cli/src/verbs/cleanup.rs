//! `cleanup`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_settings::Work;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{CleanupArgs, Roots};

impl VerbSpec for CleanupArgs {
    fn name(&self) -> &'static str {
        "cleanup"
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

    fn steps_back(&self) -> bool {
        true
    }

    fn tells_progress(&self) -> bool {
        self.confirm
    }

    fn lacks_yes(&self) -> bool {
        self.confirm && !self.yes
    }

    fn notices(&self) -> Vec<String> {
        self.notice().into_iter().collect()
    }

    fn lock_wait(&self) -> Duration {
        self.lock.wait
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let Call { keeper, roots, progress, .. } = call;
        let run = async move {
            match self.confirm {
                true => keeper.clone().observed_by(progress).cleanup(roots, &self.options()).await,
                false => keeper.plan_cleanup(roots, &self.options()).await,
            }
        };
        answer(run.boxed())
    }
}
