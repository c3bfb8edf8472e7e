//! `optimize` over several roots: they share one budget, and prune together after all work.

use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use lancekeeper_model::{OptimizeOptions, OptimizeReport, Progress};

use super::{ROOTS_AT_ONCE, prune};
use crate::optimize::{optimize_root, plan_root};
use crate::run::budget::Budget;
use crate::run::concurrency::in_order;
use crate::run::{Context, millis};

/// Optimizes roots.
///
/// # Cancel safety
///
/// As the verb's.
pub(super) fn run<'a>(
    context: &'a Context,
    roots: Vec<String>,
    options: &'a OptimizeOptions,
    progress: Arc<dyn Progress>,
) -> BoxFuture<'a, OptimizeReport> {
    async move {
        let started = Instant::now();
        let progress = progress.as_ref();
        let budget = &Budget::of(options, started);
        let runs = roots.iter();
        let runs = runs.map(|uri| optimize_root(context, uri, options, budget, progress).boxed());
        let done: Vec<_> = in_order(runs.collect(), roots_at_once(budget)).collect().await;
        // Only after all work: the roots wait out the writer window together.
        let prunes = done.into_iter();
        let prunes = prunes.map(|done| prune::finish(context, done, options, progress).boxed());
        let roots = in_order(prunes.collect(), ROOTS_AT_ONCE).collect().await;
        OptimizeReport::new(false, roots, millis(started))
    }
    .boxed()
}

/// What that would do, without writing anything.
pub(super) fn plan<'a>(
    context: &'a Context,
    roots: Vec<String>,
    options: &'a OptimizeOptions,
) -> BoxFuture<'a, OptimizeReport> {
    async move {
        let started = Instant::now();
        // A plan takes no time worth limiting; what a limit on time would leave, none can know.
        let budget = &Budget::of(&OptimizeOptions { max_time: None, ..options.clone() }, started);
        let plan = |uri| async move {
            let now = context.now();
            let planned = plan_root(context, uri, options, budget, now).await;
            prune::preview(context, planned, options, now).await
        };
        let plans = roots.iter().map(|uri| plan(uri).boxed()).collect();
        let roots = in_order(plans, roots_at_once(budget)).collect().await;
        OptimizeReport::new(true, roots, millis(started))
    }
    .boxed()
}

/// Roots that share one budget run one after the other. Else the faster root would take what the
/// slower one is to get.
fn roots_at_once(budget: &Budget) -> usize {
    if budget.limits_bytes() { 1 } else { ROOTS_AT_ONCE }
}
