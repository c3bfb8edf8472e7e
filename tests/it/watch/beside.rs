//! The watcher beside clients of a graph: it lets them go first, and its commits are over in a moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use lancekeeper_service::load_policies;
use lancekeeper_store::strict::STEP_PROPERTY;
use lancekeeper_testkit::invariants::check_files;

use super::*;

const POLICY: &str = "[table.\"node:Person\"]\nauto_compact = true\ncompact_threshold_files = 2\n";

/// A client that is about to commit to another table, and says so.
fn sidecar(graph: &Path) -> PathBuf {
    let file = graph.join("__recovery/01JZZZZZZZZZZZZZZZZZZZZZZZ.json");
    let content = serde_json::json!({
        "schema_version": 2,
        "operation_id": "01JZZZZZZZZZZZZZZZZZZZZZZZ",
        "started_at": Utc::now().timestamp_micros().to_string(),
        "branch": null,
        "actor_id": null,
        "writer_kind": "Load",
        "tables": [],
    });
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, content.to_string()).unwrap();
    file
}

/// A client that has begun: it goes on opening files of the schema until it is gone.
fn begin(graph: &Path, is_gone: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (schema, is_gone) = (graph.join("_schema.pg"), Arc::clone(is_gone));
    let (begins, begun) = mpsc::channel();
    let opening = thread::spawn(move || {
        while !is_gone.load(Ordering::SeqCst) {
            fs::read(&schema).unwrap();
            let _ = begins.send(());
            thread::sleep(Duration::from_millis(100));
        }
    });
    begun.recv().unwrap();
    opening
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_a_graph_commits_once_clients_have_ended_and_publishes_what_it_had_prepared() {
    let fixture = Fixture::unpack("omnigraph-0.8.0-main-only").unwrap();
    let uri = fixture.uri("graph");
    let before = graph_rows(&uri).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("p.toml");
    fs::write(&file, POLICY).unwrap();
    let heard = Heard::default();
    let listened = Arc::clone(&heard.0);
    let listener = move |event: &WatchEvent| listened.lock().unwrap().push(event.clone());
    let options = WatchOptions {
        policies: load_policies(&file).unwrap(),
        listener: Some(Arc::new(listener)),
        ..WatchOptions::default()
    };
    let client = sidecar(Path::new(&uri));
    let handle = watch(&keeper(), [&uri], options);
    heard.until(WatchEventKind::Began, 1).await;
    // The work itself takes a part of that.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ended = heard.count(WatchEventKind::Done) + heard.count(WatchEventKind::NoOp);
    assert_eq!(ended, 0, "{:#?}", heard.0.lock().unwrap());
    // Another one has begun, and writes nothing yet: it is heard, where the system tells of it.
    let is_gone = Arc::new(AtomicBool::new(false));
    let second = begin(Path::new(&uri), &is_gone);
    fs::remove_file(client).unwrap();
    if cfg!(target_os = "linux") {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let ended = heard.count(WatchEventKind::Done) + heard.count(WatchEventKind::NoOp);
        assert_eq!(ended, 0, "{:#?}", heard.0.lock().unwrap());
    }
    is_gone.store(true, Ordering::SeqCst);
    second.join().unwrap();
    heard.until(WatchEventKind::Done, 1).await;
    end(handle).await;

    assert_eq!(graph_rows(&uri).await.unwrap(), before);
    check_graph(&uri).await.unwrap();
    let place = Path::new(&uri).join("__manifest");
    let manifest = lance::Dataset::open(&place.to_string_lossy()).await.unwrap();
    let version = manifest.manifest().version;
    let transaction = manifest.read_version_transaction(version).await.unwrap().transaction;
    let properties = transaction.unwrap().transaction_properties.unwrap();
    assert_eq!(properties[STEP_PROPERTY], "publish-0-0-ahead");
    // What was prepared and came too late is not left.
    check_files(&manifest, &place).await.unwrap();
}
