//! Text as it may stand in a document. Names and values are whatever somebody wrote into a table.

/// The same text where XML has a meaning of its own for some characters, and none for others.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(c),
            // XML 1.0 has no place for these, not even as a number: a document with one is none.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// At most so many characters, in one line.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let mut chars = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let mut short: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        short.pop();
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_whatever_is_in_it() {
        assert_eq!(escaped("a<b & \"c\" 'd'>"), "a&lt;b &amp; &quot;c&quot; &#39;d&#39;&gt;");
        assert_eq!(
            escaped("nul \0, bell \u{7}, end \u{ffff}"),
            "nul \u{fffd}, bell \u{fffd}, end \u{fffd}"
        );
        assert_eq!(escaped("größer ≥ 東京"), "größer ≥ 東京");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(shortened("東京都庁", 4), "東京都庁");
        assert_eq!(shortened("東京都庁", 3), "東京…");
        assert_eq!(shortened("two\nlines", 20), "two lines");
    }
}
