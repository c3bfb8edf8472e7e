//! Bits of several columns put together: the highest bit of each, then the next of each, and so on.

/// Puts together the bits of a given number of columns.
pub(super) struct Interleave {
    dims: usize,
    /// A byte with its bits as far apart as there are columns: at most 57 bits long.
    spread: [u64; 256],
}

impl Interleave {
    pub(super) fn new(dims: usize) -> Self {
        let mut spread = [0; 256];
        for (byte, word) in spread.iter_mut().enumerate() {
            *word = (0..8).map(|bit| ((byte as u64 >> bit) & 1) << (bit * dims)).sum();
        }
        Self { dims, spread }
    }

    /// Appends one word for each row of at most two columns.
    pub(super) fn words(&self, axes: &[Vec<u32>], to: &mut Vec<u64>) {
        let rows = axes[0].len();
        to.extend((0..rows).map(|row| {
            let groups = (0..4).rev().map(|byte| self.group(axes, row, byte));
            groups.fold(0, |word, group| word << (8 * self.dims) | group)
        }));
    }

    /// Appends the bytes of each row, four per column.
    pub(super) fn bytes(&self, axes: &[Vec<u32>], to: &mut Vec<u8>) {
        for row in 0..axes[0].len() {
            for byte in (0..4).rev() {
                let group = self.group(axes, row, byte).to_be_bytes();
                to.extend_from_slice(&group[8 - self.dims..]);
            }
        }
    }

    /// The bits that come of one byte of each column: as many bytes as there are columns.
    #[inline]
    fn group(&self, axes: &[Vec<u32>], row: usize, byte: u32) -> u64 {
        axes.iter().fold(0, |word, axis| {
            let bits = self.spread[usize::from((axis[row] >> (8 * byte)) as u8)];
            word << 1 | bits
        })
    }
}
