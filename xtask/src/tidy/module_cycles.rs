//! The modules beside each other in a crate use each other in one direction.
//!
//! A circle of two modules is one module in two files: neither can be read, or moved, without the other.
//! Looked at are the modules of each parent, the crate itself being the outermost, and an arrow from or
//! to anything within a module is an arrow of that module.
//!
//! Between a parent and its children both directions are allowed: the parent's own file may hold a type
//! that all of them speak of, and compose them. So a circle that runs through what the parent's file
//! itself holds is not found. Code that is compiled for tests only may use what it likes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Finding;
use super::module_graph::{Arrow, ModuleGraph};
use super::repo::Repo;

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in repo.crate_names() {
        let sources = repo.crate_sources().filter(|(of, _)| *of == name).map(|(_, file)| file);
        let graph = ModuleGraph::new(sources);
        let arrows = graph.arrows();
        for parent in graph.parents() {
            let level = Level::new(parent, &arrows);
            for knot in level.knots() {
                let message = format!("{} use each other: {}", list(&knot), level.circle(&knot));
                findings.push(Finding::error(directory(name, parent), message));
            }
        }
    }
    findings
}

/// Where the children of a module lie.
fn directory(crate_name: &str, parent: &str) -> String {
    let dirs = parent.split("::").filter(|name| !name.is_empty());
    dirs.fold(format!("crates/{crate_name}/src"), |dir, name| format!("{dir}/{name}"))
}

fn list(modules: &[&str]) -> String {
    modules.join(", ")
}

/// The arrows between the children of one module, each with a place that draws it.
struct Level<'a>(BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>);

impl<'a> Level<'a> {
    fn new(parent: &str, arrows: &'a [Arrow]) -> Self {
        let mut level: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for Arrow { from, to, place } in arrows {
            if let (Some(from), Some(to)) = (child_of(parent, from), child_of(parent, to))
                && from != to
            {
                level.entry(from).or_default().entry(to).or_insert(place.as_str());
            }
        }
        Self(level)
    }

    /// The sets of modules each of which can be reached from each.
    fn knots(&self) -> BTreeSet<Vec<&'a str>> {
        let joined = |one, other| self.way(one, other).is_some() && self.way(other, one).is_some();
        let froms = || self.0.keys().copied();
        let on_circles = froms().filter(|module| joined(module, module));
        on_circles.map(|one| froms().filter(|other| joined(one, other)).collect()).collect()
    }

    /// The shortest circle of a knot, with the place of each arrow.
    fn circle(&self, knot: &[&'a str]) -> String {
        let ways = knot.iter().filter_map(|module| self.way(module, module));
        let way = ways.min_by_key(Vec::len).unwrap_or_default();
        let arrows = way.windows(2).map(|arrow| {
            let place = self.0.get(arrow[0]).and_then(|to| to.get(arrow[1])).copied();
            format!(" → {} ({})", arrow[1], place.unwrap_or_default())
        });
        format!("{}{}", way.first().copied().unwrap_or_default(), arrows.collect::<String>())
    }

    /// The shortest way of at least one arrow.
    fn way(&self, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
        let mut ways = VecDeque::from([vec![from]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            let next = way.last().and_then(|last| self.0.get(last)).into_iter().flatten();
            for (next, _) in next {
                let way = [way.as_slice(), &[*next]].concat();
                if *next == to {
                    return Some(way);
                }
                if seen.insert(*next) {
                    ways.push_back(way);
                }
            }
        }
        None
    }
}

/// The child of `parent` that a module is, or lies in.
fn child_of<'a>(parent: &str, module: &'a str) -> Option<&'a str> {
    let below = match parent {
        "" => module,
        _ => module.strip_prefix(parent)?.strip_prefix("::")?,
    };
    below.split("::").next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(files: &[(&str, &str)]) -> Vec<String> {
        let mut files: Vec<_> =
            files.iter().map(|(path, text)| (format!("crates/a/src/{path}"), *text)).collect();
        files.push(("crates/a/Cargo.toml".to_owned(), ""));
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let findings = check(&Repo::of_files(&files)).into_iter();
        findings.map(|finding| format!("{}: {}", finding.place, finding.message)).collect()
    }

    const CIRCLE: [(&str, &str); 4] = [
        ("lib.rs", "mod b; mod c; mod d;"),
        ("b.rs", "use crate::c::C;"),
        ("c.rs", "\nfn f() { super::d::f() }"),
        ("d.rs", "use crate::b::{self, B};\nuse B::X; use b::b;"),
    ];

    #[test]
    fn a_circle_is_found_with_a_place_for_each_arrow() {
        let message = "crates/a/src: b, c, d use each other: b → c (crates/a/src/b.rs:1) → \
                       d (crates/a/src/c.rs:2) → b (crates/a/src/d.rs:1)";
        assert_eq!(messages(&CIRCLE), [message]);
    }

    #[test]
    fn a_circle_within_a_module_is_found_there_and_nowhere_else() {
        let found = messages(&[
            ("lib.rs", "mod b;"),
            ("b.rs", "mod c; mod d; fn f() { c::g() }"),
            ("b/c.rs", "use super::d::D; type X = D;"),
            ("b/d.rs", "mod e;"),
            ("b/d/e.rs", "use crate::b::c::C; type X = C;"),
        ]);
        let message = "crates/a/src/b: c, d use each other: c → d (crates/a/src/b/c.rs:1) → \
                       c (crates/a/src/b/d/e.rs:1)";
        assert_eq!(found, [message]);
    }

    #[test]
    fn one_direction_passes_and_so_do_a_parent_with_its_children_and_tests() {
        let files = [
            ("lib.rs", "mod b; mod c; pub use c::C;"),
            ("b.rs", "mod d; use d::D; struct B(D); #[cfg(test)] mod tests { use crate::c::C; }"),
            ("b/d.rs", "use super::B; type X = B;"),
            ("c.rs", "use crate::b::B; type X = B;"),
        ];
        assert_eq!(messages(&files), [""; 0]);
    }
}
