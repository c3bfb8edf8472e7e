//! The indexes of a version: their files, whether they open, and whether they answer as a scan does. An
//! index that several versions share, with the same coverage, is asked in the newest of them.

use std::collections::{BTreeMap, HashMap};

use lance::Dataset;
use lance::index::DatasetIndexExt;
use lance_table::format::{Fragment, IndexMetadata};
use lance_table::io::manifest::read_manifest_indexes;
use lance_table::system_index::is_system_index;
use lancekeeper_model::{Finding, FindingKind, TableVerification};
use lancekeeper_rewrite::index::answers::{Asked, Verdict, ask};
use lancekeeper_rewrite::index::{cannot_be_opened, is_definition, name_of_details};
use lancekeeper_store::failure::text_with_hint;
use lancekeeper_store::presence::{Looked, files_of_segment};
use roaring::RoaringBitmap;

use super::fragments::{Files, faulty};
use super::ledger::{At, Entry, Ledger, unreadable};
use super::run::Run;

/// What an index is known by: the ids of its segments, and what each covers.
type Shape = Vec<(String, Option<RoaringBitmap>)>;

/// The indexes that were looked at.
#[derive(Debug, Default)]
pub(super) struct Indexes {
    /// What is wrong with the files of a segment, by its id.
    segments: HashMap<String, Vec<Entry>>,
    /// What is wrong with an index, by its name and shape.
    known: HashMap<String, Vec<(Shape, Vec<Entry>)>>,
    files: Files,
}

/// A version whose indexes are looked at.
struct Version<'a> {
    run: Run<'a>,
    table: &'a Dataset,
    at: &'a At,
    healthy: &'a [Fragment],
}

impl Indexes {
    /// Looks at the indexes of a version that are not known yet.
    pub(super) async fn check(
        &mut self,
        run: Run<'_>,
        table: &Dataset,
        at: &At,
        healthy: &[Fragment],
        ledger: &mut Ledger,
        row: &mut TableVerification,
    ) {
        let (stored, shown) = match segments(table).await {
            Ok(segments) => segments,
            Err(error) => {
                let hint = "restore the manifest of the version from a backup";
                ledger.found(at, unreadable(at, FindingKind::IndexUnreadable, &error, hint));
                return;
            }
        };
        let version = Version { run, table, at, healthy };
        let mut by_name: BTreeMap<&str, Vec<&IndexMetadata>> = BTreeMap::new();
        let mut broken: BTreeMap<&str, ()> = BTreeMap::new();
        for segment in &stored {
            if !self.has_its_files(&version, segment, ledger, row).await {
                broken.insert(&segment.name, ());
            }
            if is_system_index(segment) {
                continue;
            }
            match shown.iter().find(|shown| shown.uuid == segment.uuid) {
                Some(shown) => by_name.entry(&shown.name).or_default().push(shown),
                None => self.hidden(at, segment, ledger),
            }
        }
        for (name, segments) in by_name {
            if run.options.quick || broken.contains_key(name) {
                continue;
            }
            let shape: Shape = segments
                .iter()
                .map(|segment| (segment.uuid.to_string(), segment.fragment_bitmap.clone()))
                .collect();
            let known = self.known.entry(name.to_owned()).or_default();
            if let Some((_, entries)) = known.iter().find(|(known, _)| *known == shape) {
                ledger.also(entries);
                continue;
            }
            row.indexes += 1;
            let entries = version.index(name, &segments, ledger, row).await;
            known.push((shape, entries));
        }
    }

    /// Whether the files of a segment are there.
    async fn has_its_files(
        &mut self,
        version: &Version<'_>,
        segment: &IndexMetadata,
        ledger: &mut Ledger,
        row: &mut TableVerification,
    ) -> bool {
        let id = segment.uuid.to_string();
        if let Some(entries) = self.segments.get(&id) {
            ledger.also(entries);
            return entries.is_empty();
        }
        let at = version.at;
        let mut entries = Vec::new();
        let is_there = !is_definition(segment) && !is_system_index(segment);
        match files_of_segment(version.table, segment).await {
            Err(error) => {
                let finding = unreadable(at, FindingKind::IndexUnreadable, &error, REBUILD);
                entries.push(ledger.found(at, of(&segment.name, finding)));
            }
            Ok(files) if is_there => {
                for file in files {
                    match self.files.look(&file, row).await {
                        Err(error) => ledger.unchecked(at, file.name(), text_with_hint(&error)),
                        Ok(Looked { fault: None, .. }) => {}
                        Ok(Looked { fault: Some(fault), .. }) => {
                            let mut finding = faulty(at, &file, &fault);
                            finding.hint = Some(REBUILD.to_owned());
                            entries.push(ledger.found(at, of(&segment.name, finding)));
                        }
                    }
                }
            }
            Ok(_) => {}
        }
        let is_whole = entries.is_empty();
        self.segments.insert(id, entries);
        is_whole
    }

    /// An index that this Lance cannot read.
    fn hidden(&mut self, at: &At, segment: &IndexMetadata, ledger: &mut Ledger) {
        let known = self.known.entry(segment.name.clone()).or_default();
        let shape = vec![(segment.uuid.to_string(), None)];
        if known.iter().any(|(known, _)| *known == shape) {
            return;
        }
        known.push((shape, Vec::new()));
        let kind = match name_of_details(segment) {
            kind if kind.is_empty() => "unknown".to_owned(),
            kind => kind,
        };
        let format = segment.index_version;
        let why = format!("this version cannot read it (kind {kind}, format {format})");
        ledger.unchecked(at, format!("index {}", segment.name), why);
    }
}

const REBUILD: &str = "make it anew: `optimize --index rebuild --index-name NAME`, \
                       or drop it and create it again";

/// All segments as they are stored, and those that Lance shows to readers.
async fn segments(table: &Dataset) -> lance::Result<(Vec<IndexMetadata>, Vec<IndexMetadata>)> {
    let store = table.object_store(None).await?;
    let stored = read_manifest_indexes(&store, table.manifest_location(), table.manifest()).await?;
    let shown = table.load_indices().await?;
    Ok((stored, shown.to_vec()))
}

impl Version<'_> {
    /// Opens an index and asks it; what is wrong with it.
    async fn index(
        &self,
        name: &str,
        segments: &[&IndexMetadata],
        ledger: &mut Ledger,
        row: &mut TableVerification,
    ) -> Vec<Entry> {
        let at = self.at;
        let not_asked = |ledger: &mut Ledger, why: &str| {
            ledger.unchecked(at, format!("the answers of index {name}"), why);
            Vec::new()
        };
        let fields = segments.first().map(|first| first.fields.as_slice()).unwrap_or_default();
        let &[field] = fields else { return not_asked(ledger, "it is over several columns") };
        let Ok(column) = self.table.schema().field_path(field) else {
            return not_asked(ledger, "its column is not there any more");
        };
        if segments.iter().all(|segment| is_definition(segment)) {
            return not_asked(ledger, "it is defined, and not made of any rows yet");
        }
        if let Some(why) = cannot_be_opened(self.table, &column, segments).await {
            return vec![self.wrong(ledger, FindingKind::IndexUnreadable, name, why)];
        }
        let (healthy, samples) = (self.healthy, self.run.options.samples);
        let asked = Asked { table: self.table, name, field, segments, samples, healthy };
        let outcome = Box::pin(ask(&asked)).await;
        let is_whole = healthy.len() == self.table.fragments().len();
        match outcome {
            Ok(Verdict::Agrees { questions }) => {
                row.questions += questions;
                Vec::new()
            }
            Ok(Verdict::Differs { questions, why }) => {
                row.questions += questions;
                vec![self.wrong(ledger, FindingKind::IndexWrong, name, why)]
            }
            Ok(Verdict::NotAsked(why)) => not_asked(ledger, &why),
            Err(error) if is_whole => {
                let finding = unreadable(at, FindingKind::IndexUnreadable, &error, REBUILD);
                vec![ledger.found(at, of(name, finding))]
            }
            Err(error) => {
                let why = text_with_hint(&error);
                not_asked(ledger, &format!("some rows of its table cannot be read: {why}"))
            }
        }
    }

    fn wrong(&self, ledger: &mut Ledger, what: FindingKind, name: &str, why: String) -> Entry {
        let mut finding = Finding::new(&self.at.table, what, why);
        finding.hint = Some(REBUILD.to_owned());
        ledger.found(self.at, of(name, finding))
    }
}

fn of(name: &str, mut finding: Finding) -> Finding {
    finding.message = format!("index {name}: {}", finding.message);
    finding.hint = finding.hint.map(|hint| hint.replace("NAME", name));
    finding.index = Some(name.to_owned());
    finding
}
