//! `repair`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_settings::Work;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{RepairArgs, Roots};

impl VerbSpec for RepairArgs {
    fn name(&self) -> &'static str {
        "repair"
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
        if self.relocate {
            return answer(call.keeper.relocate(call.roots, self.confirm));
        }
        answer(async move { call.keeper.repair(call.roots, &self.options()).await }.boxed())
    }
}
