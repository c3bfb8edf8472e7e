//! The paths that a piece of production code names: those of `use`, and those that stand in the code.
//!
//! A scanner like `rust_source`, whose blanked text it reads. What a path leads to is not known here.

/// A path as it is written: `["super", "plan", "Plan"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NamedPath {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// One leaf of a `use`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) path: NamedPath,
    /// What it is called here; nothing for a glob.
    pub(super) name: Option<String>,
    /// Whether it does nothing but pass a name on, which the code beside it does not mention.
    pub(super) only_passes_on: bool,
}

#[derive(Debug, Default)]
pub(super) struct Paths {
    pub(super) imports: Vec<Import>,
    /// Of two segments or more.
    pub(super) inline: Vec<NamedPath>,
}

pub(super) fn parse(production: &str) -> Paths {
    let tokens = tokens(production);
    let mut paths = Paths::default();
    let mut words = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if is_use(&tokens, at) {
            let is_public = at > 0 && matches!(tokens[at - 1].text, "pub" | ")");
            let imports = &mut paths.imports;
            let mut tree = UseTree { tokens: &tokens, at: at + 1, is_public, imports };
            tree.read(&[]);
            at = tree.at;
        } else if tokens[at].is_word() {
            let (path, next) = path_from(&tokens, at);
            words.extend(path.segments.iter().cloned());
            if path.segments.len() > 1 && !is_visibility(&tokens, at) {
                paths.inline.push(path);
            }
            at = next;
        } else {
            at += 1;
        }
    }
    for import in &mut paths.imports {
        let is_mentioned = import.name.as_ref().is_some_and(|name| words.contains(name));
        import.only_passes_on &= !is_mentioned;
    }
    paths
}

#[derive(Clone, Copy)]
struct Token<'a> {
    text: &'a str,
    line: usize,
}

impl Token<'_> {
    fn is_word(self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Words, `::`, and every other character by itself.
fn tokens(code: &str) -> Vec<Token<'_>> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    for (index, mut rest) in code.lines().enumerate() {
        while let Some(first) = rest.trim_start().chars().next() {
            rest = rest.trim_start();
            let length = if is_part(first) {
                rest.find(|c| !is_part(c)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { text: &rest[..length], line: index + 1 });
            rest = &rest[length..];
        }
    }
    tokens
}

fn text<'a>(tokens: &[Token<'a>], at: usize) -> &'a str {
    tokens.get(at).map_or("", |token| token.text)
}

/// `use` also lists the lifetimes that a returned type captures.
fn is_use(tokens: &[Token<'_>], at: usize) -> bool {
    tokens[at].text == "use" && text(tokens, at + 1) != "<"
}

/// The path of `pub(in crate::a)` says who may see something, and uses nothing.
fn is_visibility(tokens: &[Token<'_>], at: usize) -> bool {
    at >= 3 && ["pub", "(", "in"].iter().zip(at - 3..).all(|(word, at)| text(tokens, at) == *word)
}

/// The path whose first word is at `at`, and where it ends.
fn path_from(tokens: &[Token<'_>], mut at: usize) -> (NamedPath, usize) {
    let mut path = NamedPath { segments: vec![tokens[at].text.to_owned()], line: tokens[at].line };
    while text(tokens, at + 1) == "::" && tokens.get(at + 2).is_some_and(|token| token.is_word()) {
        at += 2;
        path.segments.push(tokens[at].text.to_owned());
    }
    (path, at + 1)
}

/// Reads `a::{b, c as d, self, e::*}`.
struct UseTree<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    is_public: bool,
    imports: &'a mut Vec<Import>,
}

impl UseTree<'_> {
    /// Reads one branch of the tree that begins with `prefix`.
    fn read(&mut self, prefix: &[String]) {
        let mut segments = prefix.to_vec();
        while self.at < self.tokens.len() {
            let Token { text: word, line } = self.tokens[self.at];
            self.at += 1;
            match word {
                "::" => {}
                "{" => return self.read_group(&segments),
                "*" => return self.push(segments, None, line),
                "self" if !segments.is_empty() => {}
                _ => segments.push(word.to_owned()),
            }
            match text(self.tokens, self.at) {
                "::" => {}
                "as" => {
                    let name = text(self.tokens, self.at + 1).to_owned();
                    self.at += 2;
                    return self.push(segments, Some(name), line);
                }
                _ if word != "::" => {
                    let name = segments.last().cloned();
                    return self.push(segments, name, line);
                }
                _ => {}
            }
        }
    }

    fn read_group(&mut self, prefix: &[String]) {
        while self.at < self.tokens.len() {
            match text(self.tokens, self.at) {
                "}" => {
                    self.at += 1;
                    return;
                }
                "," => self.at += 1,
                _ => self.read(prefix),
            }
        }
    }

    fn push(&mut self, segments: Vec<String>, name: Option<String>, line: usize) {
        let path = NamedPath { segments, line };
        self.imports.push(Import { path, name, only_passes_on: self.is_public });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_of_a_use_is_a_path() {
        let paths = parse(
            "use a::{b, c as d,\n    e::{self, F}, g::*};\npub use h;\npub(crate) use h::{J, k::*};\npub use l::M;\nJ(h::i)",
        );
        let imports: Vec<_> = paths
            .imports
            .iter()
            .map(|import| {
                let name = import.name.as_deref().unwrap_or("*");
                (import.path.segments.join("::"), name, import.path.line, import.only_passes_on)
            })
            .collect();
        let expected = [
            ("a::b", "b", 1, false),
            ("a::c", "d", 1, false),
            ("a::e", "e", 2, false),
            ("a::e::F", "F", 2, false),
            ("a::g", "*", 2, false),
            ("h", "h", 3, false),
            ("h::J", "J", 4, false),
            ("h::k", "*", 4, true),
            ("l::M", "M", 5, true),
        ];
        assert_eq!(
            imports,
            expected.map(|(path, name, line, used)| (path.to_owned(), name, line, used))
        );
    }

    #[test]
    fn paths_in_the_code_are_found_and_those_of_visibility_are_not() {
        let code = "pub(in crate::a) fn f(b: &super::B) -> impl D + use<'_> {\n    <E as crate::g::H>::i::<j::K>(l)\n}";
        let inline: Vec<_> =
            parse(code).inline.into_iter().map(|path| path.segments.join("::")).collect();
        assert_eq!(inline, ["super::B", "crate::g::H", "j::K"]);
        assert_eq!(parse(code).inline[1].line, 2);
    }
}
