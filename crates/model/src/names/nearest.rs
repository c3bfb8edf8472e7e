//! The known name that a misspelt one is most like.

/// Names less alike than this (1 is equal) are told apart by anybody: to suggest one would
/// mislead.
const LIKENESS_MIN: f64 = 0.55;

/// The candidate that is most like a word, if any is like it at all. Upper and lower case, `-` and `_` are alike. Of equals
/// the first one.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace('-', "_");
    let name = plain(name);
    candidates
        .into_iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(&name, &plain(known)), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_has_a_name_near_and_another_word_has_none() {
        let known = ["index_cache_mb", "metadata_cache_mb", "log_cache_stats"];
        assert_eq!(nearest("index_cach_mb", known), Some("index_cache_mb"));
        assert_eq!(nearest("Index-Cache-MB", known), Some("index_cache_mb"));
        assert_eq!(nearest("metadata_cache", known), Some("metadata_cache_mb"));
        assert_eq!(nearest("colour", known), None);
    }
}
