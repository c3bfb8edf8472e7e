//! Names as words of a command that somebody pastes into a shell.

use std::borrow::Cow;

/// A name as one word of `sh`: as it is where that means the same, else in quotes. What could move a cursor or end a line
/// in a terminal is within quotes as well, byte for byte.
#[must_use]
pub fn shell_word(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,=".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) && !name.starts_with(['-', '=']) {
        return Cow::Borrowed(name);
    }
    Cow::Owned(format!("'{}'", name.replace('\'', "'\\''")))
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn a_name_that_a_shell_would_read_otherwise_is_quoted() {
        for (name, word) in [
            ("__recovery/01ABC.json", "__recovery/01ABC.json"),
            ("node:Person", "node:Person"),
            ("a b", "'a b'"),
            ("$HOME", "'$HOME'"),
            ("it's", "'it'\\''s'"),
            ("\"x\"", "'\"x\"'"),
            ("a;rm -r b", "'a;rm -r b'"),
            ("~", "'~'"),
            ("ä", "'ä'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(name), word, "{name}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_shell_reads_it_as_the_name() {
        for name in ["a b", "$HOME `id`", "it's \"x\" \\", "a\nb", "*?[x]", "!x#y", "-n"] {
            let script = format!("printf %s {}", shell_word(&format!("_{name}")));
            let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), format!("_{name}"));
        }
    }
}
