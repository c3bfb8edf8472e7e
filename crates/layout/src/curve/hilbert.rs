//! The Hilbert curve: axes are turned so that their interleaved bits are the place on the curve.
//!
//! By J. Skilling, "Programming the Hilbert curve" (2004): from the highest bit down, each column's bit says
//! how the lower bits of the first column are mirrored or swapped with its own. Here without branches
//! and a whole column at a time, so that the compiler can take several rows in one step.

/// Turns the lowest `bits` of the axes, of as many rows as each of them has.
pub(super) fn turn(axes: &mut [Vec<u32>], bits: u32) {
    let Some((first, others)) = axes.split_first_mut() else { return };
    for bit in (1..bits).rev() {
        mirror(first, bit);
        for other in &mut *others {
            swap_or_mirror(first, other, bit);
        }
    }
    gray(axes);
}

/// Where the bit of the first axis is set, its lower bits are inverted.
fn mirror(first: &mut [u32], bit: u32) {
    let below = (1 << bit) - 1;
    for value in first {
        *value ^= below & all_if(*value, bit);
    }
}

/// Where the bit of the other axis is set, the first axis' lower bits are inverted; elsewhere the two
/// swap their lower bits.
fn swap_or_mirror(first: &mut [u32], other: &mut [u32], bit: u32) {
    let below = (1 << bit) - 1;
    for (one, two) in first.iter_mut().zip(other) {
        let set = all_if(*two, bit);
        let differing = (*one ^ *two) & below & !set;
        *one ^= differing | (below & set);
        *two ^= differing;
    }
}

/// The Gray code over all axes, and its undoing down the bits of the last one.
fn gray(axes: &mut [Vec<u32>]) {
    for index in 1..axes.len() {
        let (before, from) = axes.split_at_mut(index);
        for (value, previous) in from[0].iter_mut().zip(&before[index - 1]) {
            *value ^= previous;
        }
    }
    let (last, before) = axes.split_last_mut().expect("a curve has an axis");
    for row in 0..last.len() {
        let flip = parity_above(last[row]);
        last[row] ^= flip;
        for axis in &mut *before {
            axis[row] ^= flip;
        }
    }
}

/// All bits if the one is set, else none.
fn all_if(value: u32, bit: u32) -> u32 {
    ((value >> bit) & 1).wrapping_neg()
}

/// In each bit whether an odd number of the bits above it are set.
fn parity_above(value: u32) -> u32 {
    [1, 2, 4, 8, 16].into_iter().fold(value >> 1, |parity, step| parity ^ (parity >> step))
}
