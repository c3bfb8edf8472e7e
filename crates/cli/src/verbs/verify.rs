//! `verify`.

use futures::FutureExt;
use futures::future::BoxFuture;
use lancekeeper_settings::{Given, Work};

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{Roots, VerifyArgs};

impl VerbSpec for VerifyArgs {
    fn name(&self) -> &'static str {
        "verify"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    /// It reads whatever there is, as a rewrite of everything would.
    fn work(&self) -> Work {
        Work::Bulk
    }

    fn steps_back(&self) -> bool {
        true
    }

    fn given(&self) -> Vec<Given> {
        self.given()
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        answer(async move { call.keeper.verify(call.roots, &self.options()).await }.boxed())
    }
}
