//! Names of tables and branches as parts of files' names. A directory has no name of its own here, and a name
//! may have any characters.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What could mean something else to a disk or a shell.
const ODD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// The longest a part of a file's name gets. Names of files have two parts at most and an ending, and no disk has room for
/// more than 255 bytes.
const LONGEST: usize = 110;
/// What stays of the beginning of a name that would be longer, before the digest that stands for the rest.
const BEGINNING: usize = 76;

/// A name as part of a file's name: each byte that could mean something else is written as `%XX`, and a long name ends with `~` and a
/// digest of the whole. Different names stay different.
#[must_use]
pub fn file_name_of(name: &str) -> String {
    let encoded = utf8_percent_encode(name, ODD).to_string();
    if encoded.len() <= LONGEST {
        return encoded;
    }
    let digest = blake3::hash(name.as_bytes()).to_hex();
    let beginning: String = encoded.chars().take(BEGINNING).collect();
    format!("{beginning}~{}", &digest[..32])
}

#[cfg(test)]
mod tests {
    use super::{BEGINNING, LONGEST, file_name_of};

    #[test]
    fn plain_names_stay_and_odd_ones_are_written_byte_by_byte() {
        assert_eq!(file_name_of("users-2_b.lance"), "users-2_b.lance");
        assert_eq!(file_name_of("node:Person"), "node%3APerson");
        assert_eq!(file_name_of("a/b@c%d e"), "a%2Fb%40c%25d%20e");
        assert_eq!(file_name_of("ä"), "%C3%A4");
        assert_eq!(file_name_of(""), "");
    }

    #[test]
    fn long_names_fit_on_any_disk_and_stay_different() {
        let long = |last: char| file_name_of(&format!("{}{last}", "😀".repeat(60)));
        assert_ne!(long('a'), long('b'));
        assert!(long('a').starts_with("%F0%9F%98%80") && long('a').len() <= LONGEST);
        assert_eq!(file_name_of(&"n".repeat(LONGEST)), "n".repeat(LONGEST));
        assert_eq!(file_name_of(&"n".repeat(LONGEST + 1)).len(), BEGINNING + 33);
    }
}
