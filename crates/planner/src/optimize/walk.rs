//! Which fragments of one index coverage become one: the walk over a list whose merged
//! fragments go to its end. Not here: how a group is rewritten.

use lancekeeper_model::FragmentFacts;

use super::LayoutPolicy;

/// The groups of one coverage: the fragments of each in manifest order, the groups in the
/// order in which their outputs come to stand.
///
/// A manifest is sorted by fragment id, and outputs get the highest ids. So a merge brings
/// its former neighbours together, and its output meets the last of the list; both may fit
/// into one in turn. The walk carries all of that out in its head, so that the next plan
/// finds nothing left, and every fragment is read only once.
pub(super) fn merges<'a>(
    fragments: &[&'a FragmentFacts],
    policy: &LayoutPolicy,
) -> Vec<Vec<&'a FragmentFacts>> {
    let mut walk = Walk::over(fragments, policy);
    walk.run();
    walk.groups(fragments)
}

/// A fragment of the table, or one that the plan will make.
#[derive(Clone, Copy)]
struct Unit {
    rows: u64,
    bytes: u64,
    /// Whether it is rewritten even alone.
    purge: bool,
    /// The output it goes into.
    into: Option<usize>,
}

struct Walk<'p> {
    policy: &'p LayoutPolicy,
    /// The list: fragments in manifest order, then outputs as they are made. Those that went
    /// into an output stay, so that places hold.
    units: Vec<Unit>,
    /// Units that were passed and stay as they are, full ones left out. No two neighbours
    /// among them fit into one.
    passed: Vec<usize>,
    /// Units that become one, and may be joined by the next.
    open: Vec<usize>,
    open_rows: u64,
    open_bytes: u64,
}

impl<'p> Walk<'p> {
    fn over(fragments: &[&FragmentFacts], policy: &'p LayoutPolicy) -> Self {
        let units = fragments.iter().map(|fragment| Unit {
            rows: fragment.live_rows(),
            bytes: fragment.live_bytes(),
            purge: policy.needs_purge(fragment),
            into: None,
        });
        Self {
            policy,
            units: units.collect(),
            passed: Vec::new(),
            open: Vec::new(),
            open_rows: 0,
            open_bytes: 0,
        }
    }

    /// Ends, and in linear time: an output replaces two units or more, or purges one of the
    /// fragments, so there are fewer than two of them per fragment, and each is passed once.
    fn run(&mut self) {
        let mut next = 0;
        loop {
            while next < self.units.len() {
                self.pass(next);
                next += 1;
            }
            self.close();
            if next == self.units.len() {
                return;
            }
        }
    }

    fn pass(&mut self, at: usize) {
        let unit = self.units[at];
        // Full units are no obstacle: Lance keeps no order of rows across fragments.
        if self.policy.fills(unit.rows, unit.bytes) && !unit.purge {
            return;
        }
        if !self.open.is_empty() {
            if self.open_takes(at) {
                return self.take(at);
            }
            self.close();
        }
        self.take(at);
        // The one before it is new to it if an output left from between them. One before
        // that never fits too: it does not even fit with its own neighbour.
        if let Some(before) = self.passed.last().copied()
            && self.open_takes(before)
        {
            self.passed.pop();
            self.take(before);
        }
    }

    fn open_takes(&self, at: usize) -> bool {
        let unit = self.units[at];
        self.policy.fits(
            self.open_rows.saturating_add(unit.rows),
            self.open_bytes.saturating_add(unit.bytes),
        )
    }

    fn take(&mut self, at: usize) {
        let unit = self.units[at];
        self.open.push(at);
        self.open_rows = self.open_rows.saturating_add(unit.rows);
        self.open_bytes = self.open_bytes.saturating_add(unit.bytes);
    }

    /// Turns the open units into an output at the end of the list, if that is worth
    /// anything; and starts afresh.
    fn close(&mut self) {
        match self.open.as_slice() {
            [] => {}
            [alone] if !self.units[*alone].purge => self.passed.push(*alone),
            several => {
                let output = self.units.len();
                for at in several {
                    self.units[*at].into = Some(output);
                }
                let (rows, bytes) = (self.open_rows, self.open_bytes);
                self.units.push(Unit { rows, bytes, purge: false, into: None });
            }
        }
        self.open.clear();
        (self.open_rows, self.open_bytes) = (0, 0);
    }

    fn groups<'a>(&self, fragments: &[&'a FragmentFacts]) -> Vec<Vec<&'a FragmentFacts>> {
        // An output stands behind all that goes into it, so its own end is known first.
        let mut ends: Vec<usize> = (0..self.units.len()).collect();
        for (at, unit) in self.units.iter().enumerate().rev() {
            if let Some(output) = unit.into {
                ends[at] = ends[output];
            }
        }
        let mut groups = vec![Vec::new(); self.units.len() - fragments.len()];
        for (fragment, end) in fragments.iter().zip(ends) {
            if let Some(output) = end.checked_sub(fragments.len()) {
                groups[output].push(*fragment);
            }
        }
        groups.retain(|group| !group.is_empty());
        groups
    }
}
