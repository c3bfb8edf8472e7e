//! Random moments that a seed brings back (SplitMix64).

use std::time::Duration;

pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn duration_below(&mut self, span: Duration) -> Duration {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.next() % micros)
    }

    /// A number below another one, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end as u64)).unwrap_or_default()
    }

    /// Moments for somebody else.
    pub(super) fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// That many random bytes as base64.
    pub(super) fn base64(&mut self, bytes: usize) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        // Three bytes are four digits of six bits; what is left over has its own number of digits, the
        // last of which carries bits that must be zero, so they are drawn as zeros.
        let (triples, rest) = (bytes / 3, bytes % 3);
        let digit = |bits: u64| char::from(DIGITS[usize::from((bits & 63) as u8)]);
        let mut text = String::with_capacity(bytes.div_ceil(3) * 4);
        for _ in 0..triples {
            let bits = self.next();
            text.extend((0..4).map(|place| digit(bits >> (6 * place))));
        }
        let bits = self.next();
        match rest {
            0 => {}
            1 => text.extend([digit(bits), digit(bits & 0b11_0000), '=', '=']),
            _ => text.extend([digit(bits), digit(bits >> 6), digit(bits & 0b11_1100), '=']),
        }
        text
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_digits_that_so_many_bytes_need() {
        let mut random = Random::new(3);
        for (bytes, digits, padding) in [(0, 0, 0), (1, 2, 2), (2, 3, 1), (3, 4, 0), (100, 134, 2)]
        {
            let text = random.base64(bytes);
            assert_eq!(text.len(), digits + padding);
            assert!(text.ends_with(&"=".repeat(padding)) && text.matches('=').count() == padding);
        }
    }

    #[test]
    fn a_seed_brings_the_same_moments_back_and_all_are_below_the_span() {
        let span = Duration::from_millis(700);
        let moments = |seed| {
            let mut random = Random::new(seed);
            (0..100).map(|_| random.duration_below(span)).collect::<Vec<_>>()
        };
        assert_eq!(moments(7), moments(7));
        assert_ne!(moments(7), moments(8));
        assert!(moments(7).iter().all(|moment| *moment < span));
    }
}
