//! `count-rows`.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Answer, Call, VerbSpec, answer};
use crate::args::{CountArgs, Roots};

impl VerbSpec for CountArgs {
    fn name(&self) -> &'static str {
        "count-rows"
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }

    fn writes(&self) -> bool {
        false
    }

    fn call<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Box<dyn Answer>> {
        answer(async move { call.keeper.count_rows(call.roots, &self.options()).await }.boxed())
    }
}
