//! When directories changed: the cheapest way to learn that somebody wrote.

use chrono::{DateTime, Utc};

use super::{Files, FilesError, Place, blocking, check_is_below, local};

impl Files {
    /// When a file or directory was last changed, or for an empty name this directory: of a directory, when a name in
    /// it came or went. `None` when it is not there, and in a store that has no directories.
    ///
    /// # Errors
    ///
    /// When it cannot be looked at.
    pub async fn changed(&self, name: &str) -> Result<Option<DateTime<Utc>>, FilesError> {
        let Place::Local(directory) = &self.place else { return Ok(None) };
        if !name.is_empty() {
            check_is_below(name)?;
        }
        let place = directory.join(name);
        blocking(move || local::changed(&place)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_changes_with_the_names_in_it_and_what_is_gone_has_no_time() {
        let directory = tempfile::tempdir().unwrap();
        let files = Files::local(directory.path());
        let before = files.changed("").await.unwrap();
        assert!(before.is_some());
        std::thread::sleep(std::time::Duration::from_millis(20));
        files.put("a", "1").await.unwrap();
        let after = files.changed("").await.unwrap();
        assert!(after > before, "{after:?}");
        assert_eq!(files.changed("b").await.unwrap(), None);
        assert!(files.changed("../a").await.is_err());
        assert_eq!(Files::in_memory().changed("").await.unwrap(), None);
    }
}
