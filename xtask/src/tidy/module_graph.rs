//! The modules of one crate, and the arrows between them that its production code draws.
//!
//! A path is followed through re-exports to the module that holds the item, so passing a name on is no
//! arrow of its own. Two things are not seen: items that come by a glob count as the module's that the
//! glob stands in, and modules within a file count as the file. What arrows may not do is in
//! `module_cycles`.

use std::collections::BTreeMap;

use super::rust_source::RustFile;
use super::use_paths::{self, Paths};

/// Nobody passes a name on that often; `use a::a` would lead round for ever.
const REEXPORTS_MAX: usize = 16;

/// As in `cleanup::plan`; the crate itself has the empty name.
type ModuleName = String;

pub(super) struct ModuleGraph {
    modules: BTreeMap<ModuleName, Module>,
}

struct Module {
    file: String,
    paths: Paths,
    /// What `use` calls what.
    names: BTreeMap<String, Vec<String>>,
}

/// One module uses something of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Arrow {
    pub(super) from: ModuleName,
    pub(super) to: ModuleName,
    /// Where it does, as `file:line`.
    pub(super) place: String,
}

impl ModuleGraph {
    /// Of the sources of one crate, all of them below `src`.
    pub(super) fn new<'a>(sources: impl Iterator<Item = &'a RustFile>) -> Self {
        let mut modules = BTreeMap::new();
        for source in sources.filter(|source| !source.production.is_empty()) {
            let Some(name) = module_name(&source.path) else { continue };
            let paths = use_paths::parse(&source.production);
            let names = paths
                .imports
                .iter()
                .filter_map(|import| Some((import.name.clone()?, import.path.segments.clone())));
            let names = names.collect();
            modules.insert(name, Module { file: source.path.clone(), paths, names });
        }
        Self { modules }
    }

    /// Every module that has others within it.
    pub(super) fn parents(&self) -> Vec<&str> {
        let mut parents: Vec<_> = self.modules.keys().filter_map(|name| parent(name)).collect();
        parents.sort_unstable();
        parents.dedup();
        parents
    }

    /// Every arrow once, at the first place that draws it.
    pub(super) fn arrows(&self) -> Vec<Arrow> {
        let mut arrows = BTreeMap::new();
        for (from, module) in &self.modules {
            let imports = module.paths.imports.iter().filter(|import| !import.only_passes_on);
            for path in imports.map(|import| &import.path).chain(&module.paths.inline) {
                let Some(to) = self.resolve(from, &path.segments, REEXPORTS_MAX) else { continue };
                if to != *from {
                    let place = format!("{}:{}", module.file, path.line);
                    arrows.entry((from.clone(), to)).or_insert(place);
                }
            }
        }
        let arrows = arrows.into_iter();
        arrows.map(|((from, to), place)| Arrow { from, to, place }).collect()
    }

    /// The module of this crate that holds what the path names, seen from a module.
    fn resolve(&self, from: &str, path: &[String], reexports_left: usize) -> Option<ModuleName> {
        let (first, mut rest) = path.split_first()?;
        let mut at = match first.as_str() {
            "crate" => String::new(),
            "self" => from.to_owned(),
            "super" => parent(from)?.to_owned(),
            name if self.modules.contains_key(&child(from, name)) => child(from, name),
            name => return self.resolve_name(from, name, rest, reexports_left),
        };
        while let Some((name, others)) = rest.split_first() {
            if name == "super" {
                at = parent(&at)?.to_owned();
            } else if self.modules.contains_key(&child(&at, name)) {
                at = child(&at, name);
            } else {
                // What is neither a module nor passed on is an item.
                return self.resolve_name(&at, name, others, reexports_left).or(Some(at));
            }
            rest = others;
        }
        Some(at)
    }

    /// Follows a name that a `use` in the module has brought there.
    fn resolve_name(
        &self,
        module: &str,
        name: &str,
        rest: &[String],
        reexports_left: usize,
    ) -> Option<ModuleName> {
        let path = self.modules.get(module)?.names.get(name)?;
        self.resolve(module, &[path, rest].concat(), reexports_left.checked_sub(1)?)
    }
}

/// The module that a file is. `main.rs` is another crate, and a short one.
fn module_name(path: &str) -> Option<ModuleName> {
    let (_, below) = path.strip_suffix(".rs")?.split_once("/src/")?;
    match below {
        "main" => None,
        "lib" => Some(String::new()),
        _ => Some(below.replace('/', "::")),
    }
}

pub(super) fn child(module: &str, name: &str) -> ModuleName {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// The crate's root has none.
pub(super) fn parent(module: &str) -> Option<&str> {
    (!module.is_empty()).then(|| module.rsplit_once("::").map_or("", |(parent, _)| parent))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tidy::rust_source;

    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let files: BTreeMap<_, _> = files
            .iter()
            .map(|(path, text)| (format!("crates/a/src/{path}"), (*text).to_owned()))
            .collect();
        let sources = rust_source::parse_all(files.iter());
        let arrows = ModuleGraph::new(sources.iter()).arrows().into_iter();
        arrows.map(|arrow| format!("{} -> {} at {}", arrow.from, arrow.to, arrow.place)).collect()
    }

    #[test]
    fn paths_of_every_form_are_arrows_and_those_of_other_crates_are_not() {
        let found = arrows(&[
            ("lib.rs", "mod b; mod c; mod d;"),
            ("b.rs", "mod e;\nuse crate::c::C;\nfn f() { super::d::D; e::E }"),
            ("b/e.rs", "use anyhow::anyhow;\nuse super::super::c;\nfn f() { c::C; std::fmt::f() }"),
            ("c.rs", "// crate::b::B\n#[cfg(test)] mod tests { use crate::b::B; }"),
            ("d.rs", "struct D;"),
        ]);
        assert_eq!(
            found,
            [
                "b -> b::e at crates/a/src/b.rs:3",
                "b -> c at crates/a/src/b.rs:2",
                "b -> d at crates/a/src/b.rs:3",
                "b::e -> c at crates/a/src/b/e.rs:2",
            ]
        );
    }

    #[test]
    fn a_name_that_is_passed_on_is_followed_to_where_its_item_is() {
        let found = arrows(&[
            ("lib.rs", "mod b; mod c; pub use b::{B, E};"),
            ("b.rs", "mod e; pub(crate) use e::E; struct B;"),
            ("b/e.rs", "struct E; use super::B;\ntype X = B;"),
            ("c.rs", "use crate::{B,\nE};\ntype X = (B, E);"),
        ]);
        assert_eq!(
            found,
            [
                "b::e -> b at crates/a/src/b/e.rs:1",
                "c -> b at crates/a/src/c.rs:1",
                "c -> b::e at crates/a/src/c.rs:2",
            ]
        );
    }
}
