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

    /// When any of these was last changed, as [`Files::changed`] tells it of one.
    ///
    /// # Errors
    ///
    /// When one cannot be looked at.
    pub async fn last_change<'n>(
        &self,
        names: impl IntoIterator<Item = &'n String>,
    ) -> Result<Option<DateTime<Utc>>, FilesError> {
        let Place::Local(directory) = &self.place else { return Ok(None) };
        let place = |name: &String| {
            check_is_below(name)?;
            Ok::<_, FilesError>(directory.join(name))
        };
        let places = names.into_iter().map(place).collect::<Result<Vec<_>, _>>()?;
        let newest = move || {
            let mut changes = places.iter().map(|place| local::changed(place));
            changes.try_fold(None, |newest: Option<DateTime<Utc>>, changed| {
                Ok::<_, FilesError>(newest.max(changed?))
            })
        };
        blocking(newest).await
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
        std::fs::create_dir(directory.path().join("d")).unwrap();
        let (a, b, d) = ("a".to_owned(), "b".to_owned(), "d".to_owned());
        assert_eq!(
            files.last_change([&a, &b, &d]).await.unwrap(),
            files.changed("d").await.unwrap()
        );
        assert_eq!(files.last_change([&b]).await.unwrap(), None);
        assert!(files.changed("../a").await.is_err());
        assert_eq!(Files::in_memory().changed("").await.unwrap(), None);
    }
}
