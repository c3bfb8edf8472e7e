//! `config`: what it reports is what was made out before any verb is called.

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_model::{Report, RootReport};
use lancekeeper_settings::Work;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{ConfigArgs, Roots};
use crate::settings::ConfigBody;

impl VerbSpec for ConfigArgs {
    fn name(&self) -> &'static str {
        "config"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn work(&self) -> Work {
        Work::Nothing
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let roots = call.settled.of_roots.iter().map(|root| {
            let mut report = RootReport::<ConfigBody>::of(&root.uri);
            report.body = ConfigBody::of(root);
            report
        });
        let report = Report::new(false, roots.collect(), 0);
        answer(async move { report }.boxed())
    }
}
