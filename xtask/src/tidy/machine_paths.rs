//! No file names the machine it was written on: its own directories, hosts of registries.

use super::Finding;
use super::repo::Repo;

/// Written in two halves, so that this file does not find itself.
const DIRECTORIES: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/", "bash_jobs")];

const HOSTS: [&str; 5] = [
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("files.", "pythonhosted.org"),
    concat!("pypi.", "org/simple"),
    concat!("sparse", "+http"),
];

/// The only registry a lock file may name.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &repo.files {
        for (index, line) in text.lines().enumerate() {
            let directory =
                DIRECTORIES.into_iter().find(|directory| names_directory(line, directory));
            let host = HOSTS.into_iter().find(|host| line.contains(host));
            if let Some(found) = directory.or(host).or_else(|| other_registry(line)) {
                let message = format!("names a machine: `{found}`");
                findings.push(Finding::error(format!("{path}:{}", index + 1), message));
            }
        }
    }
    findings
}

/// Only at the beginning of a path: a branch may well be called `work`, and has a directory of that name.
fn names_directory(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, _)| {
        let before = &line[..at];
        before.ends_with("//")
            || !before.ends_with(|c: char| c.is_alphanumeric() || "/._-)}>*".contains(c))
    })
}

fn other_registry(line: &str) -> Option<&'static str> {
    let source = line.strip_prefix("source = \"")?;
    (source.starts_with("registry+") && source.trim_end_matches('"') != CRATES_IO)
        .then_some("registry+…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_hosts_of_a_machine_are_found() {
        let dir = concat!("/wo", "rk/");
        let lines = [
            format!("see {dir}shared"),
            format!("file://{dir}a"),
            format!("`__manifest/tree{dir}`, {{root}}{dir}x"),
            format!("https://{}/config.json", HOSTS[0]),
            "source = \"registry+https://mirror/index\"".to_owned(),
            format!("source = \"{CRATES_IO}\""),
        ];
        let repo = Repo::of_files(&[("docs/a.md", &lines.join("\n"))]);
        let places: Vec<_> = check(&repo).into_iter().map(|finding| finding.place).collect();
        assert_eq!(places, ["docs/a.md:1", "docs/a.md:2", "docs/a.md:4", "docs/a.md:5"]);
    }
}
