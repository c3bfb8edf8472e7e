//! `status`.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{Roots, StatusArgs};
use crate::drawings;

impl VerbSpec for StatusArgs {
    fn name(&self) -> &'static str {
        "status"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn checks(&self) -> bool {
        self.check
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        let options = self.options(&call.settled.settings);
        let report = call.keeper.status_of(call.roots, options).map(|mut report| {
            if let Some(file) = &self.svg {
                drawings::write(&mut report, file);
            }
            report
        });
        answer(report.boxed())
    }
}
