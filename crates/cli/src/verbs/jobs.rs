//! `jobs list`, `jobs show`, `jobs cancel` and `jobs resume`.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_service::jobs;
use lancekeeper_settings::Work;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{JobCancelArgs, JobListArgs, JobResumeArgs, JobShowArgs, Roots};

impl VerbSpec for JobListArgs {
    fn name(&self) -> &'static str {
        "jobs list"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        answer(async move { jobs::list_jobs(call.roots, &self.options()).await }.boxed())
    }
}

impl VerbSpec for JobShowArgs {
    fn name(&self) -> &'static str {
        "jobs show"
    }

    fn roots(&self) -> &Roots {
        &self.target.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        answer(async move { jobs::show_job(call.root(), &self.target.id()).await }.boxed())
    }
}

impl VerbSpec for JobCancelArgs {
    fn name(&self) -> &'static str {
        "jobs cancel"
    }

    fn roots(&self) -> &Roots {
        &self.target.roots
    }

    fn writes(&self) -> bool {
        true
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        answer(jobs::cancel(call.root(), &self.target.id()))
    }
}

impl VerbSpec for JobResumeArgs {
    fn name(&self) -> &'static str {
        "jobs resume"
    }

    fn roots(&self) -> &Roots {
        &self.target.roots
    }

    fn writes(&self) -> bool {
        true
    }

    fn work(&self) -> Work {
        Work::Optimize
    }

    fn tells_progress(&self) -> bool {
        true
    }

    fn lock_wait(&self) -> Duration {
        self.lock.wait
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let options = call.settled.settings.optimize_options();
        let run = async move {
            let (root, id) = (call.root(), self.target.id());
            jobs::resume(call.keeper, root, &id, options, call.progress.clone()).await
        };
        answer(run.boxed())
    }
}
