//! What was found so far, while it is still being found: damage that several versions share is written
//! down once, with how many they are.

use lancekeeper_model::{
    Branch, Finding, FindingKind, TableKey, TableRef, TableVerification, Unchecked, Version,
};
use lancekeeper_store::failure::{hint_of, text_with_hint};

/// Which version of which table is being looked at.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) table: TableRef,
    pub(super) version: Option<Version>,
}

/// A finding that was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry(usize);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) findings: Vec<Finding>,
    pub(super) unchecked: Vec<Unchecked>,
}

impl Ledger {
    /// Writes down what is wrong with a version, or with what it refers to.
    pub(super) fn found(&mut self, at: &At, mut finding: Finding) -> Entry {
        finding.version = at.version;
        finding.versions = u64::from(at.version.is_some());
        self.findings.push(finding);
        Entry(self.findings.len() - 1)
    }

    /// Notes that one more version has the same damage.
    pub(super) fn also(&mut self, entries: &[Entry]) {
        for Entry(at) in entries {
            self.findings[*at].versions += 1;
        }
    }

    /// Writes down what could not be checked.
    pub(super) fn unchecked(&mut self, at: &At, what: impl Into<String>, why: impl Into<String>) {
        self.unchecked.push(Unchecked::new(&at.table, at.version, what, why));
    }

    /// Writes into a row how much there is about its table and branch.
    pub(super) fn count(&self, row: &mut TableVerification) {
        let is_its =
            |key: &TableKey, branch: &Branch| *key == row.table_key && *branch == row.branch;
        let findings = self.findings.iter().filter(|f| is_its(&f.table_key, &f.branch)).count();
        let unchecked = self.unchecked.iter().filter(|u| is_its(&u.table_key, &u.branch)).count();
        (row.findings, row.unchecked) = (findings as u64, unchecked as u64);
    }
}

/// Something that could not be read, in the words of whoever tried.
pub(super) fn unreadable(
    at: &At,
    what: FindingKind,
    error: &(dyn std::error::Error + 'static),
    otherwise: &'static str,
) -> Finding {
    let mut finding = Finding::new(&at.table, what, text_with_hint(error));
    finding.hint = Some(hint_of(error).unwrap_or(otherwise).to_owned());
    finding
}
