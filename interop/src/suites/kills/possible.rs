//! Which failpoints the graphs of a client have, and why they have not the others.

use super::super::Lab;
use super::super::omnigraph::Omnigraph;
use super::super::random::Random;
use super::cases::{Case, Needs, cases};

/// The client of graphs of v3.
const OF_V3: &str = "0.7.0";

/// The failpoints that a graph of this client has, in any order, one after the other and then again.
pub(super) struct Cases {
    all: Vec<Case>,
    next: usize,
}

impl Cases {
    pub(super) fn of(mut all: Vec<Case>, random: &mut Random) -> Self {
        for last in (1..all.len()).rev() {
            all.swap(last, random.below(last + 1));
        }
        Self { all, next: 0 }
    }

    pub(super) fn next(&mut self) -> Option<Case> {
        let case = self.all.get(self.next % self.all.len().max(1)).copied();
        self.next += 1;
        case
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Case> {
        self.all.iter().copied()
    }
}

pub(super) fn possible(lab: &Lab, client: &Omnigraph, random: &mut Random) -> Cases {
    let is_asked_for = |case: &Case| lab.failpoints.iter().any(|name| name == case.failpoint);
    let is_possible = |case: &Case| why_impossible(client, *case).is_none();
    Cases::of(cases().filter(is_asked_for).filter(is_possible).collect(), random)
}

pub(super) fn all_impossible(lab: &Lab, client: &Omnigraph) -> Vec<(Case, &'static str)> {
    let is_asked_for = |case: &Case| lab.failpoints.iter().any(|name| name == case.failpoint);
    let why = |case: Case| Some((case, why_impossible(client, case)?));
    cases().filter(is_asked_for).filter_map(why).collect()
}

fn why_impossible(client: &Omnigraph, case: Case) -> Option<&'static str> {
    match case.group {
        group if group.only_v3 && client.version != OF_V3 => {
            Some("only graphs of v3 have it; see the client 0.7.0")
        }
        group if group.needs == Needs::OldNames => Some("of databases; see pylance"),
        _ => None,
    }
}
