//! Rust text as the checks see it: comments, literals and test-only items blanked out.
//!
//! A scanner, not a parser: it knows just enough to tell code from comments and strings, and to find
//! the end of an item. Line numbers stay what they were.

use std::collections::BTreeSet;

pub(super) struct RustFile {
    pub(super) path: String,
    pub(super) text: String,
    /// Without comments.
    pub(super) code: String,
    /// Without comments and literals.
    pub(super) bare: String,
    /// Without comments, literals, and whatever is compiled for tests only. Empty for a file that is a
    /// test module.
    pub(super) production: String,
}

/// The items that end with a brace or a semicolon; anything else behind `#[cfg(test)]` is a field, an
/// arm or an expression and may end with a comma.
const ITEM_WORDS: [&str; 16] = [
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "pub",
    "static",
    "struct",
    "trait",
    "type",
    "unsafe",
    "use",
];

pub(super) fn parse_all<'a>(
    files: impl Iterator<Item = (&'a String, &'a String)>,
) -> Vec<RustFile> {
    let mut parsed = Vec::new();
    let mut test_modules = BTreeSet::new();
    for (path, text) in files {
        let (code, bare) = (blank(text, Literals::Keep), blank(text, Literals::Blank));
        let (production, modules) = without_tests(&bare);
        let below = path.strip_suffix(".rs").unwrap_or(path);
        let dir = match below.rsplit_once('/') {
            Some((dir, "lib" | "main")) => dir,
            _ => below,
        };
        test_modules.extend(modules.iter().map(|module| format!("{dir}/{module}")));
        parsed.push(RustFile { path: path.clone(), text: text.clone(), code, bare, production });
    }
    for file in &mut parsed {
        let path = file.path.strip_suffix(".rs").unwrap_or(&file.path);
        let mut ancestors = path.match_indices('/').map(|(at, _)| &path[..at]).chain([path]);
        if path.starts_with("tests/") || ancestors.any(|ancestor| test_modules.contains(ancestor)) {
            file.production.clear();
        }
    }
    parsed
}

/// The lines that contain `needle`, counted from 1.
pub(super) fn lines_with<'a>(text: &'a str, needle: &'a str) -> impl Iterator<Item = usize> + 'a {
    let lines = text.lines().enumerate();
    lines.filter(move |(_, line)| line.contains(needle)).map(|(index, _)| index + 1)
}

/// Whether `word` occurs in `text` with no letter, digit or underscore beside it.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + word.len()..].starts_with(is_part)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Literals {
    Keep,
    Blank,
}

fn blank(text: &str, literals: Literals) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (length, hide) = if rest.starts_with(b"//") {
            (rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with(b"/*") {
            (block_comment_length(rest), true)
        } else if let Some(length) = literal_length(rest) {
            (length, literals == Literals::Blank)
        } else {
            // A word goes as a whole, so that the `r` of `for"` cannot begin a raw string. (The `b`
            // and `c` of other literals need no care: what follows them is a plain literal.)
            let word = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
            (word.max(1), false)
        };
        if hide {
            for byte in out[at..at + length].iter_mut().filter(|byte| **byte != b'\n') {
                *byte = b' ';
            }
        }
        at += length;
    }
    String::from_utf8(out).expect("only whole characters were replaced")
}

fn block_comment_length(bytes: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// The length of the string or character that starts here, if one does.
fn literal_length(bytes: &[u8]) -> Option<usize> {
    match bytes[0] {
        b'"' => Some(quoted_length(bytes, b'"')),
        b'\'' => {
            let second = std::str::from_utf8(&bytes[1..]).ok()?.chars().next()?;
            let closes = bytes.get(1 + second.len_utf8()) == Some(&b'\'');
            (second == '\\' || closes).then(|| quoted_length(bytes, b'\''))
        }
        b'b' | b'c' if bytes.get(1) == Some(&b'r') => Some(1 + raw_string_length(&bytes[1..])?),
        b'r' => raw_string_length(bytes),
        _ => None,
    }
}

fn quoted_length(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn raw_string_length(bytes: &[u8]) -> Option<usize> {
    let hashes = bytes[1..].iter().take_while(|&&byte| byte == b'#').count();
    if bytes.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    let open = 2 + hashes;
    let inside = bytes[open..].windows(end.len()).position(|window| window == end);
    Some(inside.map_or(bytes.len(), |length| open + length + end.len()))
}

/// Blanks what stands behind `#[cfg(test)]`, and names the modules among it that are other files.
fn without_tests(code: &str) -> (String, Vec<String>) {
    let mut out = code.as_bytes().to_vec();
    let mut modules = Vec::new();
    let mut from = 0;
    while let Some(start) = next_test_attribute(code, from) {
        let end = item_end(code, start);
        let item = &code[start..end];
        if let Some((_, name)) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod ")) {
            modules.push(name.trim().to_owned());
        }
        for byte in out[start..end].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        from = end;
    }
    (String::from_utf8(out).expect("only whole items were replaced"), modules)
}

fn next_test_attribute(code: &str, from: usize) -> Option<usize> {
    let starts = ["#[cfg(test)]", "#[cfg(all(test,"].map(|attribute| code[from..].find(attribute));
    starts.into_iter().flatten().min().map(|at| from + at)
}

/// Where the item ends whose first attribute is at `start`.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_i32;
    let mut is_item = None;
    let mut at = start;
    let bytes = code.as_bytes();
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'#' && depth == 0 {
            at = attribute_end(bytes, at);
            continue;
        }
        if depth == 0 && is_item.is_none() && !byte.is_ascii_whitespace() {
            let word = code[at..].split(|c: char| !c.is_alphanumeric() && c != '_').next();
            is_item = Some(word.is_some_and(|word| ITEM_WORDS.contains(&word)));
        }
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth -= 1;
                if depth < 0 {
                    return at;
                }
                if depth == 0 && byte == b'}' {
                    return at + 1;
                }
            }
            b';' if depth == 0 => return at + 1,
            b',' if depth == 0 && is_item == Some(false) => return at + 1,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn attribute_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in bytes.iter().enumerate().skip(start + 1) {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 && *byte == b']' {
            return at + 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests;
