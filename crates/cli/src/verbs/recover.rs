//! `recover`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_settings::Work;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{RecoverArgs, Roots};

impl VerbSpec for RecoverArgs {
    fn name(&self) -> &'static str {
        "recover"
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
        let Call { keeper, roots, progress, .. } = call;
        let run = async move {
            match self.confirm {
                true => keeper.clone().observed_by(progress).recover(roots, &self.options()).await,
                false => keeper.plan_recover(roots, &self.options()).await,
            }
        };
        answer(run.boxed())
    }
}
