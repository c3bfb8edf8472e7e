//! Names of tables and branches as parts of files' names. A directory has no name of its own here, and a name
//! may have any characters.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What could mean something else to a disk or a shell.
const ODD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// A name as part of a file's name: each byte that could mean something else is written as `%XX`. Different names
/// stay different.
#[must_use]
pub fn file_name_of(name: &str) -> String {
    utf8_percent_encode(name, ODD).to_string()
}

#[cfg(test)]
mod tests {
    use super::file_name_of;

    #[test]
    fn plain_names_stay_and_odd_ones_are_written_byte_by_byte() {
        assert_eq!(file_name_of("users-2_b.lance"), "users-2_b.lance");
        assert_eq!(file_name_of("node:Person"), "node%3APerson");
        assert_eq!(file_name_of("a/b@c%d e"), "a%2Fb%40c%25d%20e");
        assert_eq!(file_name_of("ä"), "%C3%A4");
        assert_eq!(file_name_of(""), "");
    }
}
