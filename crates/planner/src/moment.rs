//! When to commit beside writers that know nothing of us: while none of them is between its first look at the graph
//! and its end.
//!
//! A client of a graph refuses to write to a table that is ahead of its pin, or whose pin has moved since it read it, and
//! does not wait. So a run is better not between its first commit and its publish while a client has begun. Where it
//! is heard when one begins, that is known. Elsewhere what a writer leaves behind tells where it is, and the best
//! moment is right after one has ended.
//!
//! Not here: what is there and what is heard (`keeper::optimize`).

use std::time::Duration;

/// For so long after a writer has ended, the next one has not come far: even a command that is started at once opens
/// the graph and reads its input first.
const JUST_ENDED: Duration = Duration::from_millis(100);
/// For so long after it the moment lasts where nobody is heard: what a run has not prepared by then comes too late,
/// because the next writer may be about to look at its tables.
const LASTS: Duration = Duration::from_millis(300);
/// Who did nothing for so long is not in the middle of anything that takes a moment.
const CALM: Duration = Duration::from_secs(2);
/// Who has begun opens files again and again until it has written its rows, with pauses of a fraction of this. Who has
/// been silent for so long only reads, or has given up.
const SILENT: Duration = Duration::from_secs(1);
/// Who stands at the gate so soon after it was closed may have passed it once already: who begins opens the same file
/// twice within a few milliseconds.
const AT_ONCE: Duration = Duration::from_millis(40);

/// What can be seen of the other writers of a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Neighbours {
    /// One has said that it commits, and has not taken that back yet.
    pub is_committing: bool,
    /// Since when there are new files of rows that nobody has committed, as far as can be told.
    pub staged: Option<Duration>,
    /// Since when nobody has ended a write.
    pub ended: Option<Duration>,
    /// What is heard of those that begin.
    pub begun: Begun,
}

/// Whether somebody has begun to work with a graph, and has not been seen to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Begun {
    /// Nobody can be heard here.
    #[default]
    Unknown,
    /// It would have been heard.
    Nobody,
    /// Somebody has, and was heard last so long ago.
    Heard(Duration),
}

/// Whether to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody is in the middle of anything.
    Go,
    /// Not yet.
    Wait,
    /// Somebody may be, and has been waited for long enough: a graph that is never at rest is kept in order, too.
    GoAnyway,
}

/// Whether to commit now, having waited for so long of the time that one would wait at most.
///
/// Where nobody is heard it is enough in the second half of it that nobody is seen to write.
#[must_use]
pub fn moment(neighbours: Neighbours, waited: Duration, patience: Duration) -> Verdict {
    verdict(neighbours, JUST_ENDED, waited, patience)
}

/// Whether it is still the moment, for a run that has prepared itself since it came.
#[must_use]
pub fn still_moment(neighbours: Neighbours, waited: Duration, patience: Duration) -> Verdict {
    verdict(neighbours, LASTS, waited, patience)
}

fn verdict(
    neighbours: Neighbours,
    lasts: Duration,
    waited: Duration,
    patience: Duration,
) -> Verdict {
    let Neighbours { is_committing, staged, ended, begun } = neighbours;
    let is_writing = is_committing || staged.is_some_and(|since| since < CALM);
    let may_have_begun = match begun {
        Begun::Heard(since) => since < SILENT,
        Begun::Nobody => false,
        Begun::Unknown => {
            let is_between = ended.is_some_and(|since| since > lasts && since < CALM);
            is_between && waited * 2 < patience
        }
    };
    match (is_writing || may_have_begun, waited >= patience) {
        (false, _) => Verdict::Go,
        (true, false) => Verdict::Wait,
        (true, true) => Verdict::GoAnyway,
    }
}

/// What was heard around the closing of the gate: the file that everybody opens who begins, twice, and that a run
/// opens itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Entry {
    /// How often the file was opened since nobody had begun, until the gate was closed.
    pub opened: usize,
    /// How often of that by the run itself, at most.
    pub by_us: usize,
    /// How long the gate had been closed when somebody was seen first who waits for it.
    pub knocked: Option<Duration>,
    /// Something else was opened since that only those open who have begun.
    pub is_heard_inside: bool,
}

/// Whether somebody may have begun before the gate was closed. Who comes later waits for it, and begins with what there
/// is then.
#[must_use]
pub fn is_anybody_inside(entry: Entry) -> bool {
    let Entry { opened, by_us, knocked, is_heard_inside } = entry;
    opened > by_us || is_heard_inside || knocked.is_some_and(|after| after < AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(neighbours: Neighbours, waited: u64) -> bool {
        moment(neighbours, millis(waited), PATIENCE) != Verdict::Wait
    }

    fn ended(after: u64) -> Neighbours {
        Neighbours { ended: Some(millis(after)), ..Neighbours::default() }
    }

    #[test]
    fn where_nobody_is_heard_the_moment_is_right_after_a_writer_or_long_after_it() {
        assert!(at(Neighbours::default(), 0));
        assert!(at(ended(0), 0) && at(ended(100), 0));
        assert!(!at(ended(101), 0) && !at(ended(1_999), 0));
        assert!(at(ended(2_000), 0) && at(ended(60_000), 0));
        let still = |after| still_moment(ended(after), Duration::ZERO, PATIENCE);
        assert!([101, 300, 2_000].map(still).iter().all(|verdict| *verdict == Verdict::Go));
        assert!([301, 1_999].map(still).iter().all(|verdict| *verdict == Verdict::Wait));
    }

    #[test]
    fn who_has_begun_is_waited_for_and_nobody_is_when_it_would_have_been_heard() {
        let nobody = |after| Neighbours { begun: Begun::Nobody, ..ended(after) };
        // However long ago the last one has ended.
        assert!([0, 101, 500, 1_999, 60_000].iter().all(|after| at(nobody(*after), 0)));
        let heard = |since| Neighbours { begun: Begun::Heard(millis(since)), ..ended(60_000) };
        assert!(!at(heard(0), 0) && !at(heard(999), 9_999));
        assert!(at(heard(1_000), 0));
        // Also right after another one has ended.
        assert!(!at(Neighbours { begun: Begun::Heard(millis(5)), ..ended(0) }, 0));
    }

    #[test]
    fn who_writes_is_let_go_first() {
        for begun in [Begun::Unknown, Begun::Nobody] {
            let committing = |after| Neighbours { is_committing: true, begun, ..ended(after) };
            assert!(!at(committing(0), 0) && !at(committing(60_000), 9_999));
            let staged = |since| Some(millis(since));
            let staging = |since| Neighbours { staged: staged(since), begun, ..ended(60_000) };
            assert!(!at(staging(0), 0) && !at(staging(1_999), 9_999));
            // It gave up, or died.
            assert!(at(staging(2_000), 0));
        }
    }

    #[test]
    fn patience_has_an_end_and_who_is_not_waited_for_is_told() {
        assert!(!at(ended(500), 4_999) && at(ended(500), 5_000));
        let committing = Neighbours { is_committing: true, ..Neighbours::default() };
        let heard = Neighbours { begun: Begun::Heard(millis(1)), ..Neighbours::default() };
        for neighbours in [committing, heard] {
            assert_eq!(moment(neighbours, millis(9_999), PATIENCE), Verdict::Wait);
            assert_eq!(moment(neighbours, millis(10_000), PATIENCE), Verdict::GoAnyway);
            assert_eq!(moment(neighbours, millis(0), Duration::ZERO), Verdict::GoAnyway);
        }
        assert_eq!(moment(Neighbours::default(), millis(10_000), PATIENCE), Verdict::Go);
    }

    #[test]
    fn who_was_inside_before_the_gate_was_closed_is_found_and_who_waits_outside_is_not_in_the_way()
    {
        let ours = Entry { opened: 2, by_us: 2, ..Entry::default() };
        assert!(!is_anybody_inside(ours) && !is_anybody_inside(Entry { opened: 1, ..ours }));
        assert!(is_anybody_inside(Entry { opened: 3, ..ours }));
        assert!(is_anybody_inside(Entry { is_heard_inside: true, ..ours }));
        let knocked = |after| Entry { knocked: Some(millis(after)), ..ours };
        // It has read what the newest version is, and waits to read that.
        assert!(is_anybody_inside(knocked(0)) && is_anybody_inside(knocked(39)));
        assert!(!is_anybody_inside(knocked(40)) && !is_anybody_inside(knocked(200)));
    }
}
