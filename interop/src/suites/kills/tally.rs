//! Which failpoints were tried, and at which of them a run was really killed.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::super::report::Scenario;

#[derive(Default)]
pub(super) struct Tally {
    /// By failpoint, how often a run was killed there. None, if it was tried in vain.
    killed: BTreeMap<&'static str, usize>,
    /// Those that cannot be crossed here, and why.
    left_out: BTreeMap<&'static str, &'static str>,
    /// Those there was no time for.
    not_tried: Vec<&'static str>,
}

impl Tally {
    pub(super) fn note(&mut self, failpoint: &'static str, was_killed: bool) {
        *self.killed.entry(failpoint).or_default() += usize::from(was_killed);
    }

    pub(super) fn leave_out(&mut self, failpoint: &'static str, why: &'static str) {
        self.left_out.insert(failpoint, why);
    }

    /// Of all failpoints that can be crossed here, takes note of those that nobody tried.
    pub(super) fn expect(&mut self, all: impl Iterator<Item = &'static str>) {
        self.not_tried = all
            .filter(|name| !self.killed.contains_key(name) && !self.left_out.contains_key(name))
            .collect();
    }

    /// One line for each failpoint at which nobody was killed, and why not.
    pub(super) fn tell(&self, scenario: &mut Scenario<'_>) {
        let reached: Vec<_> = self.killed.iter().filter(|(_, count)| **count > 0).collect();
        let listed: Vec<_> =
            reached.iter().map(|(name, count)| format!("{count} × {name}")).collect();
        scenario.note(&format!("killed at {} failpoints", reached.len()), &listed.join(", "));
        for (name, why) in &self.left_out {
            scenario.note("not killed there", &format!("{name}: {why}"));
        }
        for name in &self.not_tried {
            scenario
                .note("not killed there", &format!("{name}: its turn did not come; more --kills"));
        }
    }

    /// Whoever was sent to a failpoint came there, at least once.
    pub(super) fn expect_reached(&self) -> Result<()> {
        let in_vain: Vec<_> =
            self.killed.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
        ensure!(in_vain.is_empty(), "runs were sent there and never crossed it: {in_vain:?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_that_was_tried_in_vain_is_a_failure_and_one_that_was_not_tried_is_told() {
        let mut tally = Tally::default();
        tally.note("a", false);
        tally.note("b", true);
        assert!(tally.expect_reached().unwrap_err().to_string().contains("\"a\""));
        tally.note("a", true);
        tally.leave_out("c", "not here");
        tally.expect(["a", "b", "c", "d"].into_iter());
        assert!(tally.expect_reached().is_ok());
        assert_eq!(tally.not_tried, ["d"]);
    }
}
