//! The names of our failpoints, as the catalogue in the sources lists them.
//!
//! Read, not imported: the catalogue's crate brings Lance along, and this tool builds without.

use std::path::Path;

use anyhow::{Context, Result, ensure};

const CATALOGUE: &str = "crates/store/src/failpoint.rs";

/// All of them are looked for at every run, so a name that a binary does not know fails loudly.
pub(super) fn names(root: &Path) -> Result<Vec<String>> {
    let path = root.join(CATALOGUE);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let names = parse(&text);
    ensure!(!names.is_empty(), "no failpoint in {}", path.display());
    Ok(names)
}

fn parse(text: &str) -> Vec<String> {
    // The first piece is what stands before the first constant.
    let constants = text.split("pub const ").skip(1);
    constants.filter_map(|text| value(text.split_once(": &str =")?)).collect()
}

/// The literal after a constant's type, which may stand on the next line.
fn value((name, rest): (&str, &str)) -> Option<String> {
    let is_name = name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_');
    let (literal, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    is_name.then(|| literal.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_constant_is_a_name_and_the_list_of_all_is_none() {
        let text = "/// One.\npub const A: &str = \"a.b\";\n/// Two.\npub const B_C: &str =\n    \
                    \"b.c\";\npub const ALL: &[&str] = &[A, B_C];\n";
        assert_eq!(parse(text), ["a.b", "b.c"]);
    }

    #[test]
    fn the_catalogue_is_where_we_look_for_it() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        assert!(names(root).unwrap().len() > 10);
    }
}
