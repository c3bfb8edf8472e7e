//! Merges among fragments so small that rewriting them costs next to nothing: neighbours become
//! one as far as they fit. Not here: larger fragments, which have to pay (`climb`).

use super::super::LayoutPolicy;
use super::super::policy::Size;
use super::list::List;

/// Merges tiny neighbours until no two of them fit into one.
///
/// Outputs go to the end of the list. So a merge brings its former neighbours together, and its
/// output meets the last of the list; both may fit into one in turn, and the walk goes on over
/// its own outputs.
pub(super) fn walk(list: &mut List, policy: &LayoutPolicy) {
    Walk { policy, list, passed: Vec::new(), open: Vec::new(), open_size: Size::default() }.run();
}

struct Walk<'l> {
    policy: &'l LayoutPolicy,
    list: &'l mut List,
    /// Units that were passed and stay as they are, only those that the walk may take. No two
    /// neighbours among them fit into one.
    passed: Vec<usize>,
    /// Units that become one, and may be joined by the next.
    open: Vec<usize>,
    open_size: Size,
}

impl Walk<'_> {
    /// Ends, and in linear time: an output replaces two units or more, so there are fewer of
    /// them than units, and each is passed once.
    fn run(&mut self) {
        let mut next = 0;
        loop {
            while next < self.list.len() {
                self.pass(next);
                next += 1;
            }
            self.close();
            if next == self.list.len() {
                return;
            }
        }
    }

    fn pass(&mut self, at: usize) {
        let size = self.list.size(at);
        // Others are no obstacle: Lance keeps no order of rows across fragments.
        if !self.list.stands(at) || !self.policy.is_tiny(size) || self.policy.fills(size) {
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
        let sum = self.open_size.plus(self.list.size(at));
        self.policy.is_tiny(sum) && self.policy.fits(sum)
    }

    fn take(&mut self, at: usize) {
        self.open.push(at);
        self.open_size = self.open_size.plus(self.list.size(at));
    }

    /// Turns the open units into an output if there are several; and starts afresh.
    fn close(&mut self) {
        match self.open.as_slice() {
            [] => {}
            [alone] => self.passed.push(*alone),
            several => {
                self.list.merge(several);
            }
        }
        self.open.clear();
        self.open_size = Size::default();
    }
}
