//! Which manifests are changed to what, in which order, and what stops it.

use super::*;

const NEW: &str = "/new/g";

fn manifest(branch: &str, version: u64, bases: &[(u32, &str)]) -> ManifestFacts {
    let location = "nodes/x";
    let leads = |recorded: &str| match split_recorded(recorded, location) {
        Some((root, _)) if root == NEW => Leads::Here,
        Some((root, below)) => Leads::Old { root, below },
        None => Leads::Elsewhere,
    };
    let base = |(id, recorded): &(u32, &str)| (*id, ((*recorded).to_owned(), leads(recorded)));
    ManifestFacts {
        file: format!("{location}/tree/{branch}/_versions/{version}.manifest"),
        location: location.to_owned(),
        branch: Branch::named(branch),
        version: Some(Version(version)),
        is_zombie: false,
        bases: bases.iter().map(base).collect(),
        files: version,
        missing: Vec::new(),
    }
}

fn planned(manifests: &[ManifestFacts]) -> RelocatePlan {
    let facts = RelocateFacts { manifests: manifests.to_vec(), ..RelocateFacts::default() };
    plan_relocate(&facts, NEW)
}

#[test]
fn the_root_is_what_precedes_the_place_of_the_dataset() {
    let split = |recorded| split_recorded(recorded, "nodes/x");
    let found = |root: &str, below: &str| Some((root.to_owned(), below.to_owned()));
    assert_eq!(split("/old/g/nodes/x"), found("/old/g", "nodes/x"));
    assert_eq!(split("file:///old/g/nodes/x/"), found("file:///old/g", "nodes/x"));
    assert_eq!(split("/nodes/x/g/nodes/x/tree/a/b"), found("/nodes/x/g", "nodes/x/tree/a/b"));
    assert_eq!(split("/old/g/nodes/xx"), None);
    assert_eq!(split("/old/g/edges/x"), None);
}

#[test]
fn every_version_is_changed_and_the_newest_of_each_branch_last() {
    let mut manifests = vec![
        manifest("dev", 9, &[(0, "/old/g/nodes/x")]),
        manifest("dev", 7, &[(0, "/old/g/nodes/x")]),
        manifest("deep", 8, &[(0, "/old/g/nodes/x"), (1, "file:///old/g/nodes/x/tree/dev")]),
        manifest("made-here", 5, &[(0, "/new/g/nodes/x")]),
        manifest("main", 3, &[]),
    ];
    let plan = planned(&manifests);
    let files: Vec<&str> = plan.steps.iter().map(|step| step.file.as_str()).collect();
    let file =
        |branch: &str, version| format!("nodes/x/tree/{branch}/_versions/{version}.manifest");
    assert_eq!(files, [file("dev", 7), file("deep", 8), file("dev", 9)]);
    assert_eq!(plan.steps[1].bases[&0], "/new/g/nodes/x");
    assert_eq!(plan.steps[1].bases[&1], "file:///new/g/nodes/x/tree/dev");
    let spelled = ["/old/g", "file:///old/g"].map(str::to_owned);
    assert_eq!(plan.old_roots, BTreeSet::from(spelled));
    assert!(plan.refusals.is_empty());
    let chain = |at: usize| {
        (plan.chains[at].branch.label(), plan.chains[at].manifests.len(), plan.chains[at].files)
    };
    assert_eq!([chain(0), chain(1)], [("deep", 1, 8), ("dev", 2, 9)]);
    // What was done needs nothing more, however far it went.
    for done in 0..=plan.steps.len() {
        for step in &plan.steps[..done] {
            let at = manifests.iter().position(|facts| facts.file == step.file).unwrap();
            for (id, path) in &step.bases {
                manifests[at].bases.insert(*id, (path.clone(), Leads::Here));
            }
        }
        assert_eq!(planned(&manifests).steps, plan.steps[done..]);
    }
}

#[test]
fn nothing_is_changed_while_anything_is_missing_or_lies_elsewhere() {
    let mut lacking = manifest("dev", 7, &[(0, "/old/g/nodes/x")]);
    lacking.missing = vec!["nodes/x/data/a.lance".to_owned(), "nodes/x/data/b.lance".to_owned()];
    let stray = manifest("dev", 8, &[(0, "/old/g/nodes/x"), (1, "/elsewhere/files")]);
    let plan = planned(&[lacking.clone(), stray]);
    insta::assert_snapshot!(plan.refusals.join("\n"), @r"
    nodes/x/tree/dev/_versions/7.manifest needs nodes/x/data/a.lance and 1 more, which is not here as it was written
    nodes/x/tree/dev/_versions/8.manifest reads from /elsewhere/files, which is no part of this root
    ");
    let many: Vec<ManifestFacts> = (1..=50)
        .map(|version| ManifestFacts { version: Some(Version(version)), ..lacking.clone() })
        .collect();
    let plan = planned(&many);
    assert_eq!((plan.refusals.len(), plan.refusals[20].as_str()), (21, "and 30 more"));
    // What is missing where nothing is to be changed may have been collected.
    lacking.bases.clear();
    assert!(planned(&[lacking]).refusals.is_empty());
}

#[test]
fn what_readers_see_is_here_as_a_whole_though_its_manifest_stays_as_it_is() {
    let current = |branch: &str, version| Current {
        seen_by: Branch::named("lazy"),
        location: "nodes/x".to_owned(),
        branch: Branch::named(branch),
        version: Version(version),
    };
    let mut pinned = manifest("main", 5, &[]);
    pinned.missing = vec!["nodes/x/_deletions/0-1-2.arrow".to_owned()];
    let old = ManifestFacts { version: Some(Version(4)), ..pinned.clone() };
    let facts = RelocateFacts {
        manifests: vec![old, pinned],
        current: vec![current("main", 5), current("main", 6), current("dev", 5)],
        unread: vec![(Branch::named("work"), "a file is missing".to_owned())],
    };
    insta::assert_snapshot!(plan_relocate(&facts, NEW).refusals.join("\n"), @r"
    what readers of work see cannot be told: a file is missing
    lazy reads version 6 of nodes/x, whose manifest is not here
    lazy reads version 5 of nodes/x of its branch dev, whose manifest is not here
    nodes/x/tree/main/_versions/5.manifest needs nodes/x/_deletions/0-1-2.arrow, which is not here as it was written
    ");
}

#[test]
fn what_is_left_of_a_branch_is_changed_and_may_lack_anything_unless_somebody_reads_it() {
    let mut left = manifest("dev", 7, &[(0, "/old/g/nodes/x")]);
    left.missing = vec!["nodes/x/tree/dev/data/a.lance".to_owned()];
    assert_eq!(planned(&[left.clone()]).refusals.len(), 1);
    left.is_zombie = true;
    let plan = planned(&[left.clone()]);
    assert_eq!((plan.steps.len(), plan.refusals.len()), (1, 0));
    let read = Current {
        seen_by: Branch::named("lazy"),
        location: left.location.clone(),
        branch: left.branch.clone(),
        version: Version(7),
    };
    let facts =
        RelocateFacts { manifests: vec![left], current: vec![read], ..RelocateFacts::default() };
    assert_eq!(plan_relocate(&facts, NEW).refusals.len(), 1);
}
