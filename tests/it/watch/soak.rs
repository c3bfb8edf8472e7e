//! Half a minute of four writers, two readers and a watcher over five tables; then the watcher is killed again and again.
//!
//! The long form, with real clients, is `cargo xtask soak`. What is held against the outcome here holds on any machine,
//! however slow: rows, versions that were read before, fragments that are a matter of counts and not of time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use lance::Dataset;
use lance::dataset::UpdateBuilder;
use lancekeeper::ExitCode;
use lancekeeper_service::load_policies;

use super::*;

const TABLES: usize = 5;
const WRITERS: i64 = 4;
const READERS: usize = 2;
/// How long everybody works beside a watcher that lives, and beside one that is killed.
const WORK: Duration = Duration::from_secs(12);
const KILLS: u64 = 5;
/// Twice what a watcher lets come together before it merges: as much may come while it does.
const FRAGMENTS_MOST: usize = 128;
/// What the size tiers let stand of small appends, and what is below the trigger.
const FRAGMENTS_AT_REST: usize = 16;

/// Cleanup is on, and has to leave everything: all of it is younger than any rule.
const POLICY: &str =
    "[defaults]\nauto_compact = true\nretain_days = 1\nkeep_versions = 2\nversion_count = 10\n";

/// Numbers that look random and come back with their seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % most
    }
}

/// Of each row of a table which texts it may have; `None` stands for no row.
type Rows = BTreeMap<i64, Vec<Option<String>>>;

/// A writer, whose rows nobody else touches.
struct Writer {
    number: i64,
    dice: Dice,
    known: Vec<Rows>,
    writes: u64,
    refused: u64,
}

impl Writer {
    fn new(number: i64) -> Self {
        let known = (0..TABLES).map(|_| Rows::new()).collect();
        Self { number, dice: Dice(number as u64), known, writes: 0, refused: 0 }
    }

    async fn work(mut self, root: PathBuf, over: Arc<AtomicBool>) -> Self {
        let mut next = self.number * 1_000_000_000;
        while !over.load(Ordering::SeqCst) {
            let table = self.dice.below(TABLES as u64) as usize;
            let uri = root.join(format!("t{table}.lance")).to_string_lossy().into_owned();
            let live = |values: &Vec<Option<String>>| values.iter().all(Option::is_some);
            let rows = self.known[table].iter().filter(|(_, values)| live(values));
            let ids: Vec<i64> = rows.map(|(id, _)| *id).collect();
            let picked = (!ids.is_empty()).then(|| ids[self.dice.below(ids.len() as u64) as usize]);
            self.writes += 1;
            let text = format!("write {} of {}", self.writes, self.number);
            let (touched, after, done) = match (self.dice.below(10), picked) {
                (0..=2, Some(id)) => (vec![id], Some(text.clone()), update(&uri, id, &text).await),
                (3..=4, Some(id)) => (vec![id], None, delete(&uri, id).await),
                _ => {
                    let ids: Vec<i64> = (next..next + 1 + self.dice.below(5) as i64).collect();
                    let done = tables::append(&uri, next, ids.len()).await.is_ok();
                    next += ids.len() as i64;
                    let of = |id: i64| (id, Some(format!("row {id}")), done);
                    ids.into_iter().for_each(|id| self.note(table, of(id)));
                    (Vec::new(), None, done)
                }
            };
            touched.into_iter().for_each(|id| self.note(table, (id, after.clone(), done)));
            self.refused += u64::from(!done);
            tokio::time::sleep(Duration::from_millis(5 + self.dice.below(20))).await;
        }
        self
    }

    /// What was acknowledged is there; what was refused may be.
    fn note(&mut self, table: usize, (id, after, done): (i64, Option<String>, bool)) {
        let values = self.known[table].entry(id).or_insert_with(|| vec![None]);
        if done {
            values.clear();
        }
        values.push(after);
    }
}

async fn update(uri: &str, id: i64, text: &str) -> bool {
    let Ok(table) = Dataset::open(uri).await else { return false };
    let update = UpdateBuilder::new(Arc::new(table)).update_where(&format!("id = {id}")).unwrap();
    let update = update.set("text", &format!("'{text}'")).unwrap().build().unwrap();
    update.execute().await.is_ok()
}

async fn delete(uri: &str, id: i64) -> bool {
    let Ok(mut table) = Dataset::open(uri).await else { return false };
    table.delete(&format!("id = {id}")).await.is_ok()
}

/// The rows of a table at a version, or now.
async fn read(uri: &str, version: Option<u64>) -> BTreeMap<i64, Option<String>> {
    let mut table = Dataset::open(uri).await.unwrap();
    if let Some(version) = version {
        table = table.checkout_version(version).await.unwrap();
    }
    let batch = table.scan().try_into_batch().await.unwrap();
    let texts = batch["text"].as_string::<i32>();
    let texts = texts.iter().map(|text| text.map(ToOwned::to_owned));
    let rows: Vec<_> = batch["id"].as_primitive::<Int64Type>().values().to_vec();
    let found: BTreeMap<_, _> = rows.iter().copied().zip(texts).collect();
    assert_eq!(found.len(), rows.len(), "{uri}: a row is there twice");
    found
}

/// Stays at a version for a while and reads it again and again. Returns how often.
async fn look_back(root: PathBuf, number: usize, over: Arc<AtomicBool>) -> usize {
    let (mut dice, mut reads) = (Dice(number as u64 + 99), 0);
    while !over.load(Ordering::SeqCst) {
        let table = dice.below(TABLES as u64);
        let uri = root.join(format!("t{table}.lance")).to_string_lossy().into_owned();
        let version = Dataset::open(&uri).await.unwrap().manifest().version;
        let first = read(&uri, Some(version)).await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert!(read(&uri, Some(version)).await == first, "version {version} of {uri} changed");
            reads += 1;
        }
    }
    reads
}

/// Five empty tables.
async fn database() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("db");
    for table in 0..TABLES {
        tables::create(&uri_of(&root, table), 1, 0, false).await.unwrap();
    }
    (directory, root)
}

fn uri_of(root: &Path, table: usize) -> String {
    root.join(format!("t{table}.lance")).to_string_lossy().into_owned()
}

async fn most_fragments(root: &Path) -> usize {
    let mut most = 0;
    for table in 0..TABLES {
        most = most.max(Dataset::open(&uri_of(root, table)).await.unwrap().get_fragments().len());
    }
    most
}

/// Lets writers and readers work until `during` ends; returns the writers.
async fn work(root: &Path, first: i64, during: impl Future<Output = ()>) -> Vec<Writer> {
    let over = Arc::new(AtomicBool::new(false));
    let writers = (first..first + WRITERS)
        .map(|number| tokio::spawn(Writer::new(number).work(root.to_owned(), Arc::clone(&over))));
    let readers = (0..READERS)
        .map(|number| tokio::spawn(look_back(root.to_owned(), number, Arc::clone(&over))));
    let (writers, readers): (Vec<_>, Vec<_>) = (writers.collect(), readers.collect());
    during.await;
    over.store(true, Ordering::SeqCst);
    let mut done = Vec::new();
    for writer in writers {
        done.push(writer.await.unwrap());
    }
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    done
}

/// Every row that was acknowledged is there as it was written, and no other row is.
async fn nothing_is_lost(root: &Path, writers: &[Writer]) {
    for table in 0..TABLES {
        let mut found = read(&uri_of(root, table), None).await;
        for (id, values) in writers.iter().flat_map(|writer| &writer.known[table]) {
            let here = found.remove(id);
            let is_known = values.iter().any(|value| here == value.clone().map(Some));
            assert!(is_known, "table {table}, row {id}: {here:?}, written {values:?}");
        }
        assert!(found.is_empty(), "table {table}: nobody wrote {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_writers_and_readers_fragments_stay_few_and_nothing_is_lost() {
    let (directory, root) = database().await;
    let file = directory.path().join("p.toml");
    fs::write(&file, POLICY).unwrap();
    let (heard, keeper, uri) = (Heard::default(), keeper(), root.to_string_lossy().into_owned());
    let told = Arc::clone(&heard.0);
    let options = WatchOptions {
        policies: load_policies(&file).unwrap(),
        listener: Some(Arc::new(move |event: &WatchEvent| {
            told.lock().unwrap().push(event.clone())
        })),
        ..WatchOptions::default()
    };
    let handle = watch(&keeper, [&uri], options);
    heard.until(WatchEventKind::Watches, 1).await;
    let mut most = 0;
    let looking = async {
        let end = Instant::now() + WORK;
        while Instant::now() < end {
            most = most.max(most_fragments(&root).await);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let mut writers = work(&root, 1, looking).await;
    end(handle).await;
    assert!(most <= FRAGMENTS_MOST, "{most} fragments");
    let (runs, failed) = (heard.count(WatchEventKind::Done), heard.texts(WatchEventKind::Failed));
    assert!(runs > 0 && failed.is_empty(), "{runs} runs, failed {failed:?}");
    nothing_is_lost(&root, &writers).await;

    let file = file.to_string_lossy().into_owned();
    let start = || Process::run(lancekeeper(["watch", "--policy", &file, &uri]));
    let killing = async {
        let mut dice = Dice(7);
        for _ in 0..KILLS {
            let mut process = start();
            tokio::time::sleep(Duration::from_millis(300 + dice.below(1_200))).await;
            process.child.kill().unwrap();
            process.child.wait().unwrap();
        }
    };
    writers.extend(work(&root, 1 + WRITERS, killing).await);
    nothing_is_lost(&root, &writers).await;

    // The last one finishes what the others left.
    let mut process = start();
    process.until("watches: looks begin");
    let until = Instant::now() + PATIENCE * 2;
    while most_fragments(&root).await > FRAGMENTS_AT_REST {
        assert!(Instant::now() < until, "{} fragments are left", most_fragments(&root).await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (code, said) = process.end();
    assert_eq!(code, Some(0), "{said}");
    nothing_is_lost(&root, &writers).await;
    let jobs = jobs_of(&uri, Utc::now()).await.unwrap().jobs;
    let open = jobs.iter().filter(|job| !job.compaction_status.is_over()).count();
    assert_eq!(open, 0, "{jobs:#?}");
    assert_eq!(
        keeper.verify([&uri], &lancekeeper::VerifyOptions::default()).await.exit_code(),
        ExitCode::Done
    );
    let refused: u64 = writers.iter().map(|writer| writer.refused).sum();
    let writes: u64 = writers.iter().map(|writer| writer.writes).sum();
    assert!(writes > refused * 2, "{refused} of {writes} writes were refused");
}
