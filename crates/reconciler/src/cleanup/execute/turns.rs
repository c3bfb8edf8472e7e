//! Turns: how long deletions go on before others are let in, and how fast they may be.
//!
//! Somebody of this process who waits for a table waits for one turn, however much there is to
//! delete; and no pause for the sake of a rate is made under the keys. Not here: what has to be
//! looked at before the next turn (`attempt`), and how keys are had (`queue`).

use std::time::{Duration, Instant};

use lancekeeper_queue::TableGuards;

/// Deletions of a turn. Each takes some ten microseconds on a local disk: ten milliseconds or so,
/// about what the commit of a small append takes, and few enough turns for what a look costs.
pub(super) const DELETIONS_MAX: usize = 1_000;
/// How long a turn lasts where deletions are slower than that: so that nobody notices who waits.
/// What is being deleted when it is over is finished first.
pub(super) const LASTS_MAX: Duration = Duration::from_millis(100);
/// Pauses in a second where the rate is limited: what goes between two of them goes at once.
const PAUSES_PER_SECOND: u64 = 10;

/// The keys of a dataset, under which its files are deleted.
#[derive(Debug)]
pub struct Keys(Held);

#[derive(Debug)]
enum Held {
    /// Turn by turn.
    ByTurns(TableGuards),
    /// By nobody, while others are let in.
    Paused,
    /// By the caller, who lets nobody in.
    Throughout,
}

impl Keys {
    /// Keys that are held now, and given to others between turns.
    #[must_use]
    pub fn by_turns(held: TableGuards) -> Self {
        Self(Held::ByTurns(held))
    }

    /// Keys that the caller holds and goes on to hold, because it stands on more than what is
    /// looked at between turns.
    #[must_use]
    pub fn throughout(_held: &TableGuards) -> Self {
        Self(Held::Throughout)
    }

    /// Gives the keys back, pauses, and takes them again behind everybody who waits. Returns
    /// whether anybody else had one of them, and may have done anything to the dataset.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the keys to others.
    async fn let_others_in(&mut self, pause: Duration) -> bool {
        let paused = match std::mem::replace(&mut self.0, Held::Paused) {
            Held::ByTurns(held) => Some(held.pause()),
            Held::Throughout => {
                self.0 = Held::Throughout;
                None
            }
            Held::Paused => None,
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let Some(paused) = paused else { return false };
        let (held, had_others) = paused.resume().await;
        self.0 = Held::ByTurns(held);
        had_others
    }
}

/// The turns of one list.
#[derive(Debug)]
pub(super) struct Turns<'a> {
    keys: &'a mut Keys,
    /// Deletions per second at most.
    rate: Option<u64>,
    /// When the first turn began, and deletions since.
    began: Instant,
    deletions: u64,
    /// When this turn began, and its deletions.
    turn_began: Instant,
    of_turn: usize,
}

impl<'a> Turns<'a> {
    pub(super) fn new(keys: &'a mut Keys, rate: Option<u64>) -> Self {
        let now = Instant::now();
        Self { keys, rate, began: now, deletions: 0, turn_began: now, of_turn: 0 }
    }

    /// How many may be deleted before the next look at the clock.
    pub(super) fn at_once(&self) -> usize {
        let of_rate = |rate: u64| usize::try_from(rate / PAUSES_PER_SECOND).unwrap_or(usize::MAX);
        let left = DELETIONS_MAX.saturating_sub(self.of_turn);
        self.rate.map_or(left, of_rate).clamp(1, left.max(1))
    }

    /// Counts deletions.
    pub(super) fn count(&mut self, deletions: usize) {
        self.of_turn += deletions;
        self.deletions += deletions as u64;
    }

    /// Whether others are to be let in before the next deletion.
    pub(super) fn is_over(&self) -> bool {
        self.of_turn >= DELETIONS_MAX
            || self.of_turn > 0 && self.turn_began.elapsed() >= LASTS_MAX
            || !self.owed().is_zero()
    }

    /// Lets others in, for as long as the rate asks for. Returns whether anybody had the dataset.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the keys to others.
    pub(super) async fn next(&mut self) -> bool {
        let had_others = self.keys.let_others_in(self.owed()).await;
        (self.turn_began, self.of_turn) = (Instant::now(), 0);
        had_others
    }

    /// The pause by which deletions are as slow as was asked.
    fn owed(&self) -> Duration {
        let Some(rate) = self.rate else { return Duration::ZERO };
        let due = Duration::from_secs_f64(self.deletions as f64 / rate.max(1) as f64);
        due.saturating_sub(self.began.elapsed())
    }
}
