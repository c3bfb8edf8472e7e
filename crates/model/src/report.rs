//! What the reports of all verbs have in common: entries for roots, each with the same head, their
//! sums, and the exit code. What only one verb says is in the module of that verb.
//! The fields are those of `--json`, so their names are stable; how they are laid out for people
//! is the business of `cli`.

use std::error::Error;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::Serialize;

use crate::{CacheStats, ErrorKind, ExitCode, RootKind, StoreRequests};

/// What a verb says of one root: the head that is the same for every verb, then the verb's own
/// part. The fields of that part can be named as if they were the report's own.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct RootReport<Body> {
    /// The root as the caller spelled it.
    pub uri: String,
    /// What it is; null when it was not recognised.
    pub kind: Option<RootKind>,
    /// Why the whole root failed, if it did.
    pub error: Option<String>,
    /// What a person can do about `error`.
    pub hint: Option<String>,
    /// The verb's own part.
    #[serde(flatten)]
    pub body: Body,
    /// The kind of `error`.
    #[serde(skip)]
    pub error_kind: Option<ErrorKind>,
    /// The error itself, with what caused it, where there is one.
    #[serde(skip)]
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// What a verb says of all roots it was given.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report<Body: VerbBody> {
    /// Whether this is a plan that was not carried out.
    pub dry_run: bool,
    /// One entry per root, in the order given.
    pub roots: Vec<RootReport<Body>>,
    /// The sums over all roots.
    pub totals: Body::Totals,
    /// What the caches did, if somebody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caches: Option<CacheStats>,
    /// What was asked of stores, if somebody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<StoreRequests>,
}

/// The part of a root's report that only one verb has.
pub trait VerbBody: Default + Serialize {
    /// What is summed up over all roots.
    type Totals: Default + Serialize;

    /// Adds a root to the sums.
    fn add(root: &RootReport<Self>, totals: &mut Self::Totals);

    /// Notes how many milliseconds the run took, if that is among the sums.
    fn set_duration(_totals: &mut Self::Totals, _duration_ms: u64) {}

    /// What decides the exit code about one root.
    fn outcome(root: &RootReport<Self>) -> RootOutcome;

    /// The exit code of a run over all roots, where the verb has a say in it.
    #[must_use]
    fn exit_code(code: ExitCode) -> ExitCode {
        code
    }
}

/// What decides the exit code about one root.
#[derive(Debug, Clone, Copy)]
pub struct RootOutcome {
    /// Why it failed as a whole, if it did.
    pub error: Option<ErrorKind>,
    /// Of its tables, or whatever else it is made of, those that failed.
    pub failed: usize,
    /// Those that somebody else's unfinished operation blocks. They count as done, unless they are
    /// all there is.
    pub blocked: usize,
    /// All of them, failed or not.
    pub tables: usize,
}

impl<Body: VerbBody> Report<Body> {
    /// Builds the report and its sums.
    #[must_use]
    pub fn new(dry_run: bool, roots: Vec<RootReport<Body>>, duration_ms: u64) -> Self {
        let mut totals = Body::Totals::default();
        Body::set_duration(&mut totals, duration_ms);
        roots.iter().for_each(|root| Body::add(root, &mut totals));
        Self { dry_run, roots, totals, caches: None, requests: None }
    }

    /// Adds a root that the run itself did not see.
    pub fn push(&mut self, root: RootReport<Body>) {
        Body::add(&root, &mut self.totals);
        self.roots.push(root);
    }

    /// How many tables it is about, or whatever else its roots are made of.
    #[must_use]
    pub fn tables(&self) -> usize {
        self.roots.iter().map(|root| Body::outcome(root).tables).sum()
    }

    /// The exit code: a root's error beats a table's; several different ones are a failure.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        Body::exit_code(exit_code(self.roots.iter().map(Body::outcome)))
    }
}

/// Why a root failed as a whole.
#[derive(Debug, Clone)]
pub struct RootFailure {
    /// What went wrong, causes included.
    pub message: String,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// What a caller can do about it.
    pub kind: ErrorKind,
    /// The error itself, with what caused it, where there is one.
    pub cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl<Body: Default> RootReport<Body> {
    /// A root about which nothing is known yet.
    #[must_use]
    pub fn of(uri: &str) -> Self {
        Self {
            uri: uri.to_owned(),
            kind: None,
            error: None,
            hint: None,
            body: Body::default(),
            error_kind: None,
            cause: None,
        }
    }
}

impl<Body> RootReport<Body> {
    /// The same for a root that was recognised.
    #[must_use]
    pub fn of_kind(mut self, kind: impl Into<Option<RootKind>>) -> Self {
        self.kind = kind.into();
        self
    }

    /// The same for a root that failed as a whole. What was done all the same stays in it.
    #[must_use]
    pub fn failed(mut self, failure: RootFailure) -> Self {
        self.fail(failure);
        self
    }

    /// Notes that the root failed as a whole.
    pub fn fail(&mut self, failure: RootFailure) {
        let RootFailure { message, hint, kind, cause } = failure;
        self.error = Some(message);
        self.hint = hint;
        self.error_kind = Some(kind);
        self.cause = cause;
    }

    /// Why the root failed as a whole, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<RootFailure> {
        Some(RootFailure {
            message: self.error.clone()?,
            hint: self.hint.clone(),
            kind: self.error_kind.unwrap_or(ErrorKind::Internal),
            cause: self.cause.clone(),
        })
    }

    /// What decides the exit code, where no table blocks another.
    pub(crate) fn outcome(&self, failed: usize, tables: usize) -> RootOutcome {
        RootOutcome { error: self.error_kind, failed, blocked: 0, tables }
    }
}

impl<Body> Deref for RootReport<Body> {
    type Target = Body;

    fn deref(&self) -> &Body {
        &self.body
    }
}

impl<Body> DerefMut for RootReport<Body> {
    fn deref_mut(&mut self) -> &mut Body {
        &mut self.body
    }
}

pub(crate) fn exit_code(roots: impl Iterator<Item = RootOutcome>) -> ExitCode {
    let mut codes: Vec<ExitCode> = roots
        .map(|root| match root.error {
            Some(kind) => kind.exit_code(),
            None if root.failed > 0 && root.failed >= root.tables => ExitCode::Failed,
            None if root.failed > 0 => ExitCode::Partial,
            None if root.blocked > 0 && root.blocked == root.tables => ExitCode::RecoveryNeeded,
            None => ExitCode::Done,
        })
        .collect();
    codes.sort_unstable();
    codes.dedup();
    match codes.as_slice() {
        [] => ExitCode::Done,
        [only] => *only,
        // Some roots are done and some are not, or they failed for different reasons.
        _ if codes.contains(&ExitCode::Interrupted) => ExitCode::Interrupted,
        _ => ExitCode::Partial,
    }
}
