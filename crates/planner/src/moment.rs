//! When to commit beside writers that know nothing of us: right after one of them has ended, or when none was
//! about for a while.
//!
//! A client of a graph refuses to write to a table that is ahead of its pin, and does not wait. So a run is
//! better not between its first commit and its publish while a client checks its tables, which a client does
//! after it has written its rows to files of their own. What a writer leaves behind tells where it is.
//!
//! Not here: what is there (`keeper::optimize`).

use std::time::Duration;

/// For so long after a writer has ended, the next one has not come far: even a command that is started at once opens
/// the graph and reads its input first.
const JUST_ENDED: Duration = Duration::from_millis(100);
/// For so long after it the moment lasts: what a run has not prepared by then comes too late, because the next writer may
/// be about to look at its tables.
const LASTS: Duration = Duration::from_millis(300);
/// Who did nothing for so long is not in the middle of anything that takes a moment.
const CALM: Duration = Duration::from_secs(2);

/// What can be seen of the other writers of a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// One has said that it commits, and has not taken that back yet.
    pub is_committing: bool,
    /// Since when there are new files of rows that nobody has committed, as far as can be told.
    pub staged: Option<Duration>,
    /// Since when nobody has ended a write.
    pub ended: Option<Duration>,
}

/// Whether to commit now, having waited for so long of the time that one would wait at most.
///
/// In the second half it is enough that nobody is seen to write. After that nothing is waited for: a graph that is
/// never at rest is kept in order, too.
#[must_use]
pub fn is_moment(neighbours: Neighbours, waited: Duration, patience: Duration) -> bool {
    is_free(neighbours, JUST_ENDED, waited, patience)
}

/// Whether it is still the moment, for a run that has prepared itself since it came.
#[must_use]
pub fn is_still_moment(neighbours: Neighbours, waited: Duration, patience: Duration) -> bool {
    is_free(neighbours, LASTS, waited, patience)
}

fn is_free(neighbours: Neighbours, lasts: Duration, waited: Duration, patience: Duration) -> bool {
    if waited >= patience {
        return true;
    }
    let Neighbours { is_committing, staged, ended } = neighbours;
    let is_writing = is_committing || staged.is_some_and(|since| since < CALM);
    let may_have_begun = ended.is_some_and(|since| since > lasts && since < CALM);
    !is_writing && (!may_have_begun || waited * 2 >= patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn at(neighbours: Neighbours, waited: u64) -> bool {
        is_moment(neighbours, Duration::from_millis(waited), PATIENCE)
    }

    fn ended(millis: u64) -> Neighbours {
        Neighbours { ended: Some(Duration::from_millis(millis)), ..Neighbours::default() }
    }

    #[test]
    fn the_moment_is_right_after_a_writer_or_long_after_it() {
        assert!(at(Neighbours::default(), 0));
        assert!(at(ended(0), 0) && at(ended(100), 0));
        assert!(!at(ended(101), 0) && !at(ended(1_999), 0));
        assert!(at(ended(2_000), 0) && at(ended(60_000), 0));
        let is_still = |after| is_still_moment(ended(after), Duration::ZERO, PATIENCE);
        assert!(is_still(101) && is_still(300) && is_still(2_000));
        assert!(!is_still(301) && !is_still(1_999));
    }

    #[test]
    fn who_writes_is_let_go_first() {
        let committing = |after| Neighbours { is_committing: true, ..ended(after) };
        assert!(!at(committing(0), 0) && !at(committing(60_000), 9_999));
        let staged = |millis| Some(Duration::from_millis(millis));
        let staging = |millis| Neighbours { staged: staged(millis), ..ended(60_000) };
        assert!(!at(staging(0), 0) && !at(staging(1_999), 9_999));
        // It gave up, or died.
        assert!(at(staging(2_000), 0));
    }

    #[test]
    fn patience_has_an_end_and_half_of_it_is_for_those_that_are_not_seen() {
        assert!(!at(ended(500), 4_999) && at(ended(500), 5_000));
        let committing = Neighbours { is_committing: true, ..Neighbours::default() };
        assert!(!at(committing, 9_999) && at(committing, 10_000));
        assert!(is_moment(committing, Duration::ZERO, Duration::ZERO));
    }
}
