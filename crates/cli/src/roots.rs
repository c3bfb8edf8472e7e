//! From how roots are named to the roots: reads the file that names a set, searches below
//! directories, and keeps one spelling of each root. What a root is, is decided in `store`.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use lancekeeper::{SearchTrouble, find_roots, root_identity};
use lancekeeper_model::{Report, VerbBody};

use crate::args::Roots;

/// A file that names roots is read up to this size: some hundred thousand long paths. What is
/// larger is another kind of file. 64 MiB.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The roots of a run.
#[derive(Debug, Default)]
pub(crate) struct RootSet {
    /// What to work on: one spelling of each, in the order in which they were named.
    pub(crate) uris: Vec<String>,
    /// Where those stand that a file names; as many as there are roots.
    origins: Vec<Option<String>>,
    /// Places below which there may be roots that were not found.
    troubles: Vec<SearchTrouble>,
    /// Things to know that are no errors.
    pub(crate) warnings: Vec<String>,
}

/// A set of roots that cannot be made out. The command line makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SetError(String);

impl std::fmt::Display for SetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A root as it was named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    uri: String,
    origin: Option<String>,
}

impl RootSet {
    /// Makes out the roots that a command line names. Blocks.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or a line of it cannot be a root.
    pub(crate) fn gather(roots: &Roots) -> Result<Self, SetError> {
        let typed = roots.roots.iter().map(|uri| Named { uri: uri.clone(), origin: None });
        let mut named: Vec<Named> = typed.collect();
        if let Some(file) = &roots.file {
            named.extend(read_file(file)?);
        }
        let mut set = Self::default();
        let mut seen = HashSet::new();
        for Named { uri, origin } in named {
            let found = if roots.recursive { set.search(&uri) } else { vec![uri] };
            for uri in found {
                if seen.insert(root_identity(&uri)) {
                    set.uris.push(uri);
                    set.origins.push(origin.clone());
                }
            }
        }
        Ok(set)
    }

    fn search(&mut self, uri: &str) -> Vec<String> {
        let found = find_roots(uri);
        self.troubles.extend(found.troubles);
        self.warnings.extend(found.warnings);
        found.roots
    }

    /// Adds to a report what was not found, and to what failed where it was named.
    pub(crate) fn complete<Body: VerbBody>(&self, report: &mut Report<Body>) {
        for (root, origin) in report.roots.iter_mut().zip(&self.origins) {
            add_origin(root.error.is_some(), &mut root.hint, origin.as_deref());
        }
        self.troubles.iter().for_each(|trouble| report.push(trouble.to_report()));
    }
}

fn add_origin(has_failed: bool, hint: &mut Option<String>, origin: Option<&str>) {
    if let (true, Some(origin)) = (has_failed, origin) {
        let named = format!("it is named at {origin}");
        *hint = Some(hint.take().map_or_else(|| named.clone(), |hint| format!("{hint}; {named}")));
    }
}

fn read_file(file: &Path) -> Result<Vec<Named>, SetError> {
    let (name, content) = if file == Path::new("-") {
        ("standard input".to_owned(), read_bounded(io::stdin().lock()))
    } else {
        (file.display().to_string(), File::open(file).and_then(read_bounded))
    };
    let content =
        content.map_err(|error| SetError(format!("cannot read roots from {name}: {error}")))?;
    let named = parse(&name, &content)?;
    if named.is_empty() {
        return Err(SetError(format!("{name} names no root: expected one per line")));
    }
    Ok(named)
}

fn read_bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = from.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
    if read as u64 > FILE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than 64 MiB"));
    }
    Ok(content)
}

/// One root per line. Blanks around it do not count, nor do empty lines and those that start
/// with `#`.
fn parse(name: &str, content: &[u8]) -> Result<Vec<Named>, SetError> {
    // As some editors begin a file.
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let mut named = Vec::new();
    for (line, number) in content.split(|byte| *byte == b'\n').zip(1_usize..) {
        let refused = |why: &str| SetError(format!("{name}, line {number}: {why}"));
        let text = std::str::from_utf8(line).map_err(|_| refused("not UTF-8"))?.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if text.contains('\0') {
            return Err(refused("a NUL byte: no path has one"));
        }
        named.push(Named { uri: text.to_owned(), origin: Some(format!("{name}, line {number}")) });
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn uris(content: &[u8]) -> Vec<String> {
        parse("set", content).unwrap().into_iter().map(|named| named.uri).collect()
    }

    fn of(roots: &[&str], file: Option<PathBuf>, recursive: bool) -> Result<RootSet, SetError> {
        let roots = roots.iter().map(|root| (*root).to_owned()).collect();
        RootSet::gather(&Roots { roots, file, recursive })
    }

    #[test]
    fn a_line_is_a_root_unless_it_is_blank_or_a_comment() {
        let content = b"# all of them\n\n /data/a b \r\n\t# none\n/data/c#d\ns3://bucket/x\n/last";
        assert_eq!(uris(content), ["/data/a b", "/data/c#d", "s3://bucket/x", "/last"]);
        assert_eq!(uris(b"\xef\xbb\xbf/a\n"), ["/a"]);
        assert!(uris(b"").is_empty() && uris(b"\n# x\n").is_empty());
    }

    #[test]
    fn what_cannot_be_a_root_is_refused_with_its_line() {
        for (content, why) in [
            (&b"/a\n/b\xff\n"[..], "set, line 2: not UTF-8"),
            (&b"\n\n/a\0b\n"[..], "set, line 3: a NUL byte: no path has one"),
            (&b"\xff\xfe/\0a\0"[..], "set, line 1: not UTF-8"),
        ] {
            assert_eq!(parse("set", content), Err(SetError(why.to_owned())));
        }
    }

    #[test]
    fn files_that_name_nothing_or_cannot_be_read_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &str| of(&[], Some(dir.path().join(name)), false).unwrap_err().0;
        let at = |name: &str| dir.path().join(name).display().to_string();
        assert!(
            refused("absent")
                .starts_with(&format!("cannot read roots from {}: No such", at("absent")))
        );
        fs::create_dir(dir.path().join("sub")).unwrap();
        assert!(refused("sub").starts_with(&format!("cannot read roots from {}: ", at("sub"))));
        fs::write(dir.path().join("empty"), "# nothing\n").unwrap();
        assert_eq!(
            refused("empty"),
            format!("{} names no root: expected one per line", at("empty"))
        );
    }

    #[test]
    fn a_file_without_end_is_not_read_for_ever() {
        let error = read_bounded(io::repeat(b'x')).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[cfg(unix)]
    #[test]
    fn spellings_of_one_root_are_one_and_the_first_counts() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("real").display().to_string();
        let link = dir.path().join("link").display().to_string();
        fs::create_dir_all(dir.path().join("real/x.lance/_versions")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let file = dir.path().join("set");
        fs::write(
            &file,
            format!("{real}/\n{link}\nfile://{real}\n/absent\n/absent\n{real}/../real\n"),
        )
        .unwrap();
        let set = of(&[&link], Some(file.clone()), false).unwrap();
        assert_eq!(set.uris, [link.clone(), "/absent".to_owned()]);
        assert_eq!(set.origins, [None, Some(format!("{}, line 4", file.display()))]);
        let below = dir.path().display().to_string();
        let set = of(&[&link, &below], None, true).unwrap();
        assert_eq!(set.uris, [link]);
    }

    #[test]
    fn what_was_not_found_is_counted_among_the_roots() {
        let dir = tempfile::tempdir().unwrap();
        let set = of(&[&dir.path().display().to_string()], None, true).unwrap();
        let mut report = lancekeeper_model::StatusReport::new(false, Vec::new(), 0);
        set.complete(&mut report);
        assert_eq!((report.roots.len(), report.totals.roots), (1, 1));
        assert_eq!(report.exit_code().number(), 10);
    }

    #[test]
    fn a_root_that_failed_says_where_it_was_named() {
        let mut hint = Some("check the path".to_owned());
        add_origin(true, &mut hint, Some("set, line 4"));
        assert_eq!(hint.as_deref(), Some("check the path; it is named at set, line 4"));
        let mut none = None;
        add_origin(false, &mut none, Some("set, line 4"));
        add_origin(true, &mut none, None);
        assert_eq!(none, None);
    }
}
