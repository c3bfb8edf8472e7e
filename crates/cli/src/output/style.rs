//! Tones, and text made fit for a terminal: wrapped, and free of control characters that a
//! table name or an error may carry.

use clap::builder::styling::{AnsiColor, Style};

/// What a piece of text means; colours follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Tone {
    /// Text.
    #[default]
    Plain,
    /// A heading.
    Strong,
    /// Of little interest.
    Dim,
    /// It worked.
    Good,
    /// Something to know.
    Warn,
    /// It failed.
    Bad,
}

/// Text in its tone, if colours are on.
pub(super) fn paint(text: &str, tone: Tone, colour: bool) -> String {
    let style = match tone {
        Tone::Plain => Style::new(),
        Tone::Strong => Style::new().bold(),
        Tone::Dim => Style::new().dimmed(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Warn => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
    };
    if colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

/// Text without control characters, except line ends: they would move the cursor or more.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.trim_end().chars() {
        match c {
            '\n' => shown.push('\n'),
            '\t' => shown.push(' '),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// The words of a line. What stands between backquotes is one: a command must be copyable.
fn words(line: &str) -> Vec<&str> {
    if line.matches('`').count() % 2 == 1 {
        return line.split_whitespace().collect();
    }
    let (mut words, mut start, mut is_quoted) = (Vec::new(), None, false);
    for (at, c) in line.char_indices() {
        is_quoted ^= c == '`';
        match start {
            Some(from) if c.is_whitespace() && !is_quoted => {
                words.push(&line[from..at]);
                start = None;
            }
            None if !c.is_whitespace() => start = Some(at),
            _ => {}
        }
    }
    words.extend(start.map(|from| &line[from..]));
    words
}

/// A line in lines that fit the width, continued ones indented by two; the first one has `before` columns less. Text of
/// several lines is left as it is: what stands below what may matter.
pub(super) fn wrapped(text: &str, before: usize, width: Option<usize>) -> String {
    let Some(width) = width.filter(|_| !text.contains('\n')) else { return text.to_owned() };
    let (mut lines, mut used) = (String::new(), before);
    for (at, word) in words(text).into_iter().enumerate() {
        let length = word.chars().count();
        if at > 0 && used + 1 + length > width {
            lines.push_str("\n  ");
            used = 2;
        } else if at > 0 {
            lines.push(' ');
            used += 1;
        }
        lines.push_str(word);
        used += length;
    }
    lines
}

/// Text in lines that fit the width, each indented by two, continued ones by four. Words
/// longer than a line stay whole: a path must be copyable, and so must a command.
pub(super) fn indented(text: &str, width: Option<usize>) -> String {
    let width = width.unwrap_or(usize::MAX);
    let mut lines = String::new();
    let mut indent = "  ";
    for line in visible(text).lines() {
        let mut used = 0;
        for word in words(line) {
            let length = word.chars().count();
            if used == 0 {
                lines.push_str(indent);
                used = indent.len();
            } else if used + 1 + length > width {
                indent = "    ";
                lines.push('\n');
                lines.push_str(indent);
                used = indent.len();
            } else {
                lines.push(' ');
                used += 1;
            }
            lines.push_str(word);
            used += length;
        }
        if used > 0 {
            lines.push('\n');
        }
        indent = "    ";
    }
    lines
}

/// Parts with dots between them, as one line or, where that is too long, as several.
pub(super) fn dotted(parts: &[String], width: Option<usize>) -> String {
    let mut text = String::new();
    let mut used = 0;
    for part in parts {
        let length = part.chars().count();
        if used == 0 {
            used = length;
        } else if used + 3 + length <= width.unwrap_or(usize::MAX) {
            text.push_str(" · ");
            used += 3 + length;
        } else {
            text.push_str("\n  ");
            used = 2 + length;
        }
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(visible("a\x1b[2Jb\tc\r\nd\n"), "a\\u{1b}[2Jb c\\r\nd");
    }

    #[test]
    fn long_text_wraps_and_long_words_stay_whole() {
        let text = "node:Person: one two three /a/very/long/path/that/cannot/break end\nnext";
        insta::assert_snapshot!(indented(text, Some(24)), @"
        node:Person: one two
          three
          /a/very/long/path/that/cannot/break
          end
          next
        ");
        assert_eq!(indented("a b", None), "  a b\n");
        assert_eq!(indented("", None), "");
    }

    #[test]
    fn a_message_wraps_between_words_and_a_command_stays_whole() {
        let text = "nothing was changed; `keeper recover ROOT --confirm` mends it, or so";
        insta::assert_snapshot!(wrapped(text, 6, Some(30)), @"
        nothing was changed;
          `keeper recover ROOT --confirm`
          mends it, or so
        ");
        assert_eq!(wrapped(text, 6, None), text);
        assert_eq!(wrapped("it's a `b", 0, Some(6)), "it's a\n  `b");
        let pointed = "no such column\n  SELECT a\n         ^";
        assert_eq!(wrapped(pointed, 7, Some(10)), pointed);
    }

    #[test]
    fn dotted_parts_break_between_parts() {
        let parts = ["aaa bbb".to_owned(), "ccc".to_owned(), "ddd".to_owned()];
        assert_eq!(dotted(&parts, None), "aaa bbb · ccc · ddd");
        assert_eq!(dotted(&parts, Some(13)), "aaa bbb · ccc\n  ddd");
    }

    #[test]
    fn no_colour_no_codes() {
        assert_eq!(paint("x", Tone::Bad, false), "x");
        assert_eq!(paint("x", Tone::Dim, true), "\u{1b}[2mx\u{1b}[0m");
    }
}
