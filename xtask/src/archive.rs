//! The fixtures: archives of graphs and databases that real clients wrote.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::read::GzDecoder;

/// Where they lie, from the root.
pub const FIXTURES: &str = "tests/fixtures";

/// Unpacks `NAME.tar.gz` into `parent`, which is emptied first: a leftover file would be an orphan to
/// everything that looks at the root.
pub fn unpack(fixtures: &Path, name: &str, parent: &Path) -> Result<()> {
    let archive: PathBuf = fixtures.join(format!("{name}.tar.gz"));
    let file =
        File::open(&archive).with_context(|| format!("failed to open {}", archive.display()))?;
    remove(parent)?;
    fs::create_dir_all(parent)?;
    tar::Archive::new(GzDecoder::new(file))
        .unpack(parent)
        .with_context(|| format!("failed to unpack {}", archive.display()))
}

/// Removes a directory with all that is below it; one that is not there is no error.
pub fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    #[test]
    fn unpacking_leaves_nothing_of_an_earlier_run() {
        let temp = tempfile::tempdir().unwrap();
        let encoder = GzEncoder::new(
            File::create(temp.path().join("a.tar.gz")).unwrap(),
            Compression::fast(),
        );
        let mut builder = tar::Builder::new(encoder);
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        builder.append_data(&mut header, "graph/new", &b"hi"[..]).unwrap();
        builder.into_inner().unwrap().finish().unwrap();

        let target = temp.path().join("target");
        fs::create_dir_all(target.join("graph")).unwrap();
        fs::write(target.join("graph/old"), "left over").unwrap();
        unpack(temp.path(), "a", &target).unwrap();
        assert_eq!(fs::read_to_string(target.join("graph/new")).unwrap(), "hi");
        assert!(!target.join("graph/old").exists());
    }
}
