//! Every package takes its lints and its package fields from the workspace.

use super::Finding;
use super::repo::Repo;

const FROM_WORKSPACE: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &repo.files {
        if !path.ends_with("/Cargo.toml") || !lines_of(text, "package").any(|_| true) {
            continue;
        }
        for field in FROM_WORKSPACE {
            if !has_line(text, "package", &format!("{field}.workspace=true")) {
                findings.push(Finding::error(path, format!("{field} is not the workspace's")));
            }
        }
        if !has_line(text, "lints", "workspace=true") {
            findings.push(Finding::error(path, "lints are not the workspace's"));
        }
    }
    findings
}

fn has_line(text: &str, section: &str, wanted: &str) -> bool {
    lines_of(text, section).any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.chars().filter(|c| !c.is_whitespace()).eq(wanted.chars())
    })
}

fn lines_of<'a>(text: &'a str, section: &str) -> impl Iterator<Item = &'a str> {
    let heading = format!("[{section}]");
    let lines = text.lines().skip_while(move |line| line.trim() != heading).skip(1);
    lines.take_while(|line| !line.trim_start().starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::findings;

    #[test]
    fn a_manifest_with_fields_of_its_own_is_found() {
        let good = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\n\
                    rust-version.workspace = true # why\nlicense.workspace = true\n\
                    publish.workspace = true\n\n[lints]\nworkspace = true\n";
        let bad = good.replace("edition.workspace = true", "edition = \"2021\"");
        let bad = bad.replace("[lints]", "[features]");
        let repo = Repo::of_files(&[
            ("Cargo.toml", "[workspace]\n"),
            ("crates/a/Cargo.toml", good),
            ("crates/b/Cargo.toml", &bad),
        ]);
        assert_eq!(
            findings(check, &repo),
            [
                "crates/b/Cargo.toml: edition is not the workspace's",
                "crates/b/Cargo.toml: lints are not the workspace's",
            ]
        );
    }
}
