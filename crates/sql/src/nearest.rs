//! The known name that a misspelt one is most like.

/// Names less alike than this (1 is equal) are told apart by anybody: to suggest one would
/// mislead.
const LIKENESS_MIN: f64 = 0.55;

/// The candidate that is most like a word, if any is like it at all.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(&word, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        // Of equals the first one, which the caller puts first.
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_has_a_word_near_and_another_word_has_none() {
        let known = ["COMPACT", "VACUUM", "OPTIMIZE"];
        assert_eq!(nearest("COMPAKT", known), Some("COMPACT"));
        assert_eq!(nearest("vaccum", known), Some("VACUUM"));
        assert_eq!(nearest("INSERT", known), None);
    }
}
