//! Which merges pay: size tiers, and the floor below which every merge does. Not here: which
//! fragments there are to merge (`merges`).
//!
//! # Overview
//!
//! A table that is appended to often and optimized after each append must not be rewritten each
//! time. So fragments that are at most half full stand in tiers, each `growth` times as large as
//! the one below it, and a merge pays if its output stands in a higher tier than each of its
//! members. Then no row is rewritten more than once per tier, however many runs there are: over
//! the life of a table, merges write at most tiers × what was appended.
//!
//! The size of a fragment is how full it is, by rows or by bytes, whichever is more. Tier 0 is
//! above half of a target: two such fragments would not fit into one, and they are not merged any
//! more. Tier 1 is from there down to a `growth`-th of it, and so on.
//!
//! # What remains
//!
//! In each tier fewer than `growth` fragments wait, because so many fill the next one. (Fewer than
//! twice as many, where some are large by their rows and others by their bytes.)
//!
//! # The floor
//!
//! A commit has a price of its own: a data file, a manifest, a transaction, and a version that
//! readers and cleanup have to deal with. Writing a few bytes more is lost in that. So an output
//! below the floor always pays, and a table of a few tiny fragments becomes one fragment. Merges
//! below the floor write at most the floor per run, whatever the size of an append.

/// The tiers. Plans are made with [`Tiers::DEFAULT`]; there is no option, because any other
/// value only trades a few fragments for a few bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiers {
    /// How much larger each tier is than the one below; at least 2.
    pub growth: u64,
    /// The rows up to which every merge pays.
    pub floor_rows: u64,
    /// The bytes up to which every merge pays.
    pub floor_bytes: u64,
}

impl Tiers {
    /// Three times, 65,536 rows and 1 MiB.
    ///
    /// `history_laws` prints what comes of it: of 1,000 appends of 1 MB each byte is written 5.1
    /// times, the append included, and at most 9 small fragments wait. Twice would be 6.0 and 7,
    /// four times 4.9 and 10, eight times 3.6 and 16. With three, two fragments of a tier wait at
    /// most, and three of equal size always become one.
    ///
    /// A megabyte takes 1 to 4 ms to encode and write, less than the commit that makes it visible,
    /// and people who optimize a small table expect one fragment. The price: with 100 KB appends
    /// each byte is written 9.0 times instead of 5.8 at a floor of 64 KiB, with 10 KB appends 52.6
    /// times instead of 7.6, and never more than 1 MiB a run. 65,536 rows are as many bytes if a
    /// row has sixteen: encoding narrower ones takes longer than their bytes tell.
    pub const DEFAULT: Self = Self { growth: 3, floor_rows: 64 << 10, floor_bytes: 1 << 20 };

    /// The tier of what fills `fill` of `full`.
    pub(super) fn tier(self, fill: u128, full: u128) -> u32 {
        // Nothing at all stands below everything.
        let Some(times) = (full / 2).checked_div(fill) else { return u32::MAX };
        times.checked_ilog(u128::from(self.growth)).map_or(0, |below| below + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_are_counted_from_half_of_a_target_downwards() {
        let tiers = Tiers { growth: 3, floor_rows: 0, floor_bytes: 0 };
        let tier = |fill| tiers.tier(fill, 540);
        // Half and below, and so on with a third of that.
        let steps = [(540, 0), (271, 0), (270, 1), (91, 1), (90, 2), (31, 2), (30, 3), (10, 4)];
        for (fill, expected) in steps {
            assert_eq!(tier(fill), expected, "{fill}");
        }
        assert_eq!(tier(0), u32::MAX);
        assert_eq!(tiers.tier(u128::MAX, u128::MAX), 0);
        assert_eq!(tiers.tier(1, u128::MAX), 81);
    }
}
