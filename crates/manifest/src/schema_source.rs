//! Whether the source of a graph's schema and its compiled form speak of the same things.
//!
//! The schema language is the client's and is not compiled here, so the hash of the compiled
//! form cannot be made from the source. Compared is what both name: types, where edges lead, and
//! properties. Types of properties, annotations and constraints are not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

#[derive(Deserialize)]
struct Compiled {
    #[serde(default)]
    interfaces: Vec<CompiledType>,
    #[serde(default)]
    nodes: Vec<CompiledType>,
    #[serde(default)]
    edges: Vec<CompiledType>,
}

#[derive(Deserialize)]
struct CompiledType {
    name: String,
    #[serde(default)]
    from_type: String,
    #[serde(default)]
    to_type: String,
    #[serde(default)]
    properties: Vec<CompiledProperty>,
}

#[derive(Deserialize)]
struct CompiledProperty {
    name: String,
}

/// What a schema says of one type.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Of an edge: from where to where.
    ends: Option<(String, String)>,
    properties: BTreeSet<String>,
}

/// Types by kind and name.
type Types = BTreeMap<(&'static str, String), Said>;

const KINDS: [&str; 3] = ["interface", "node", "edge"];

/// Names the first difference; `None` when there is none.
///
/// # Errors
///
/// When the compiled form is not the JSON it should be.
pub(crate) fn difference(
    source: &str,
    compiled: &[u8],
) -> Result<Option<String>, serde_json::Error> {
    Ok(differs(&declared(&words(source)), &compiled_types(serde_json::from_slice(compiled)?)))
}

fn differs(source: &Types, compiled: &Types) -> Option<String> {
    for (kind, name) in source.keys().chain(compiled.keys()) {
        let key = (*kind, name.clone());
        let (Some(said), Some(built)) = (source.get(&key), compiled.get(&key)) else {
            let only = if source.contains_key(&key) { "the source" } else { "the compiled form" };
            return Some(format!("only {only} has {kind} {name}"));
        };
        if said.ends != built.ends {
            return Some(format!("edge {name} leads elsewhere in the source"));
        }
        if let Some(property) = said.properties.difference(&built.properties).next() {
            return Some(format!("only the source has {name}.{property}"));
        }
        // A type has the properties of its interfaces without naming them.
        let interfaces = source.iter().filter(|((kind, _), _)| *kind == "interface");
        let inherited: BTreeSet<&String> =
            interfaces.flat_map(|(_, said)| &said.properties).collect();
        let mut unsaid = built.properties.difference(&said.properties);
        if let Some(property) = unsaid.find(|property| !inherited.contains(property)) {
            return Some(format!("only the compiled form has {name}.{property}"));
        }
    }
    None
}

fn compiled_types(compiled: Compiled) -> Types {
    let Compiled { interfaces, nodes, edges } = compiled;
    let mut types = Types::new();
    for (kind, of_kind) in KINDS.into_iter().zip([interfaces, nodes, edges]) {
        for CompiledType { name, from_type, to_type, properties } in of_kind {
            let ends = (kind == "edge").then_some((from_type, to_type));
            let properties = properties.into_iter().map(|property| property.name).collect();
            types.insert((kind, name), Said { ends, properties });
        }
    }
    types
}

/// The types that a source declares. In a body, at its top, a name before a colon is that of a
/// property.
fn declared(words: &[&str]) -> Types {
    let mut types = Types::new();
    let mut current: Option<(&'static str, String)> = None;
    let (mut braces, mut parentheses) = (0_usize, 0_usize);
    for (at, word) in words.iter().enumerate() {
        let next = |by: usize| words.get(at + by).copied().unwrap_or_default();
        match *word {
            "{" => braces += 1,
            "}" => braces = braces.saturating_sub(1),
            "(" | "[" => parentheses += 1,
            ")" | "]" => parentheses = parentheses.saturating_sub(1),
            _ if braces == 0 && parentheses == 0 && is_name(next(1)) => {
                let Some(kind) = KINDS.into_iter().find(|kind| kind == word) else { continue };
                let ends = (kind == "edge" && next(2) == ":" && next(4) == "->")
                    .then(|| (next(3).to_owned(), next(5).to_owned()));
                let key = (kind, next(1).to_owned());
                types.insert(key.clone(), Said { ends, properties: BTreeSet::new() });
                current = Some(key);
            }
            name if braces == 1 && parentheses == 0 && is_name(name) && next(1) == ":" => {
                if let Some(said) = current.as_ref().and_then(|key| types.get_mut(key)) {
                    said.properties.insert(name.to_owned());
                }
            }
            _ => {}
        }
    }
    types
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, arrows and single signs of a source; no comments, no texts in quotes.
fn words(source: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '"' {
            quoted(rest)
        } else if is_part(first) {
            rest.find(|c| !is_part(c)).unwrap_or(rest.len())
        } else if rest.starts_with("->") {
            2
        } else {
            first.len_utf8()
        };
        let (word, after) = rest.split_at(length);
        let is_said = !word.starts_with("//") && !word.starts_with("/*") && first != '"';
        if is_said && !first.is_whitespace() {
            words.push(word);
        }
        rest = after;
    }
    words
}

/// The length of a text in quotes.
fn quoted(rest: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
// node Ghost { x: String }
interface Named { name: String @key }
node Person implements Named {
    age: I32? @index /* shoe: size */
    mood: enum(calm, wild)
    @description("colon: { inside")
}
node Company { name: String @check(min: 1) }
edge Knows: Person -> Person { since: Date? }
edge WorksAt: Person -> Company @card(0..1)
"#;

    fn compiled(knows_to: &str, person: &[&str], more: &str) -> Vec<u8> {
        let person: Vec<String> =
            person.iter().map(|name| format!("{{\"name\":\"{name}\"}}")).collect();
        format!(
            r#"{{"interfaces":[{{"name":"Named","properties":[{{"name":"name"}}]}}],
            "nodes":[{{"name":"Company","properties":[{{"name":"name"}}]}},
                     {{"name":"Person","properties":[{}]}}{more}],
            "edges":[{{"name":"Knows","from_type":"Person","to_type":"{knows_to}",
                       "properties":[{{"name":"since"}}]}},
                     {{"name":"WorksAt","from_type":"Person","to_type":"Company"}}]}}"#,
            person.join(",")
        )
        .into_bytes()
    }

    #[test]
    fn a_pair_that_names_the_same_things_agrees() {
        let same = compiled("Person", &["age", "mood", "name"], "");
        assert_eq!(difference(SOURCE, &same).unwrap(), None);
        assert_eq!(difference("", b"{}").unwrap(), None);
    }

    #[test]
    fn what_only_one_of_them_has_is_named() {
        let person = ["age", "mood", "name"];
        for (compiled, expected) in [
            (compiled("Company", &person, ""), "edge Knows leads elsewhere"),
            (compiled("Person", &person[1..], ""), "only the source has Person.age"),
            (
                compiled("Person", &["age", "mood", "name", "shoe"], ""),
                "only the compiled form has Person.shoe",
            ),
            (
                compiled("Person", &person, r#",{"name":"Ghost"}"#),
                "only the compiled form has node Ghost",
            ),
        ] {
            let found = difference(SOURCE, &compiled).unwrap().unwrap();
            assert!(found.starts_with(expected), "{found}");
        }
        let more = format!("{SOURCE}\nnode Extra {{ }}");
        let found = difference(&more, &compiled("Person", &person, "")).unwrap().unwrap();
        assert_eq!(found, "only the source has node Extra");
    }

    #[test]
    fn whatever_a_source_says_reading_it_ends() {
        for source in ["\"", "/*", "->", "}}}", "node", "é{", "edge A:", "\"\\"] {
            let _ = difference(source, b"{}").unwrap();
        }
    }
}
