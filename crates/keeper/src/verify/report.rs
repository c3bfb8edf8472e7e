//! What of a check goes into the report of its root.

use lancekeeper_model::RootVerification;

use super::ledger::Ledger;

/// Adds what was found in a part of a root.
pub(super) fn add(report: &mut RootVerification, ledger: Ledger) {
    report.findings.extend(ledger.findings);
    report.unchecked.extend(ledger.unchecked);
}
