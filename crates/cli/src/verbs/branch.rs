//! `branch list`, `branch create` and `branch delete`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_settings::Work;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{CreateArgs, DeleteArgs, ListArgs, Roots};

impl VerbSpec for ListArgs {
    fn name(&self) -> &'static str {
        "branch list"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        answer(call.keeper.list_branches(call.roots, self.all))
    }
}

impl VerbSpec for CreateArgs {
    fn name(&self) -> &'static str {
        "branch create"
    }

    fn roots(&self) -> &Roots {
        &self.target.roots
    }

    fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    fn writes(&self) -> bool {
        !self.dry_run
    }

    fn work(&self) -> Work {
        Work::Bulk
    }

    fn lock_wait(&self) -> Duration {
        self.lock.wait
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let run = async move {
            let (root, name) = (call.root(), self.target.name());
            match self.dry_run {
                true => call.keeper.plan_create_branch(root, name, &self.from).await,
                false => call.keeper.create_branch(root, name, &self.from).await,
            }
        };
        answer(run.boxed())
    }
}

impl VerbSpec for DeleteArgs {
    fn name(&self) -> &'static str {
        "branch delete"
    }

    fn roots(&self) -> &Roots {
        &self.target.roots
    }

    fn is_dry_run(&self) -> bool {
        !self.confirm
    }

    fn writes(&self) -> bool {
        self.confirm
    }

    fn lacks_yes(&self) -> bool {
        self.confirm && !self.yes
    }

    fn work(&self) -> Work {
        Work::Bulk
    }

    fn lock_wait(&self) -> Duration {
        self.lock.wait
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let run = async move {
            let (root, name) = (call.root(), self.target.name());
            match self.confirm {
                true => call.keeper.delete_branch(root, name).await,
                false => call.keeper.plan_delete_branch(root, name).await,
            }
        };
        answer(run.boxed())
    }
}
