//! The handle that a program has which watches in its own process.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_watcher_looks_and_begins_nothing_until_it_is_resumed() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Policies, 1).await;
    assert!(handle.pause());
    world.append(12).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!((heard.count(WatchEventKind::Began), world.fragments().await), (0, 13));
    let mut events = handle.events();
    assert!(handle.resume());
    world.compacted_below(9).await;
    heard.until(WatchEventKind::Done, 1).await;
    // Whoever subscribes hears the same, in the same order.
    let began = tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert_eq!((began.kind, began.table), (WatchEventKind::Began, Some(TableKey::new("t"))));
    assert_eq!(began.text, heard.texts(WatchEventKind::Began)[0]);
    end(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_compacts_below_every_threshold_and_says_where_there_is_nothing_to_do() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    world.set(PolicyOption::AutoCompact, PolicyValue::Switch(false)).await;
    world.set(PolicyOption::CompactThresholdFiles, PolicyValue::Count(1_000)).await;
    world.append(3).await;
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Watches, 1).await;
    assert!(handle.trigger(&world.uri(), "t"));
    heard.until(WatchEventKind::Done, 1).await;
    assert_eq!(world.fragments().await, 1);
    let jobs = jobs_of(&world.uri(), Utc::now()).await.unwrap().jobs;
    assert_eq!((jobs.len(), &*jobs[0].reason), (1, "somebody asked for it"));
    assert!(handle.trigger(&world.uri(), "t"));
    heard.until(WatchEventKind::NoOp, 1).await;
    assert!(handle.trigger(&world.uri(), "zebra"));
    heard.until(WatchEventKind::NoOp, 2).await;
    assert!(handle.trigger("/nowhere", "t"));
    heard.until(WatchEventKind::Warning, 1).await;
    let said = [heard.texts(WatchEventKind::NoOp), heard.texts(WatchEventKind::Warning)].concat();
    assert_eq!(
        said,
        [
            "somebody asked for it, and there is nothing to do",
            "there is no such table",
            "is not watched"
        ]
    );
    end(handle).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_is_shut_down_at_work_ends_soon_and_leaves_the_keeper_to_others() {
    let (world, heard, keeper) = (World::new().await, Heard::default(), keeper());
    let mut handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Watches, 1).await;
    world.append(16).await;
    heard.until(WatchEventKind::Began, 1).await;
    handle.shutdown();
    let summary = tokio::time::timeout(PATIENCE, handle.finished()).await.unwrap();
    assert_eq!((summary.dropped, &summary.broken), (0, &None), "{summary:?}");
    assert_eq!(summary.roots[0].error, None);
    assert_eq!((heard.count(WatchEventKind::Stops), world.rows().await), (1, 26));
    // Nobody hears what is said to one that has ended.
    assert!(!handle.pause() && !handle.trigger(&world.uri(), "t"));
    let options = lancekeeper::OptimizeOptions::default();
    let report = keeper.optimize([world.uri()], &options, Arc::new(lancekeeper::NoProgress)).await;
    assert_eq!((report.exit_code().number(), world.fragments().await), (0, 1), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_read_again_when_told_and_a_wrong_file_changes_nothing() {
    let world = World::new().await;
    let path = world.policy_file();
    fs::write(&path, "[defaults]\nauto_compact = false\n").unwrap();
    Policies::of(&Files::local(world.root()))
        .reset(&TableKey::new("t"), &[PolicyOption::AutoCompact])
        .await
        .unwrap();
    let file = path.to_string_lossy().into_owned();
    let mut process = Process::run(lancekeeper(["watch", "--policy", &file, &world.uri()]));
    process.until("watches: looks begin");
    world.append(12).await;
    fs::write(&path, "[defaults]\nauto_compact = maybe\n").unwrap();
    process.signal("-HUP");
    process.until("policies stay as they were");
    assert_eq!(world.fragments().await, 13);
    fs::write(&path, "[defaults]\nauto_compact = true\n").unwrap();
    process.signal("-HUP");
    process.until("was read again");
    process.until("done: compact:");
    assert_eq!((process.end().0, world.rows().await), (Some(0), 22));
}

/// Whoever asks for the end at the first word, or before: nothing has begun then, and the end is one like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_is_told_to_end_in_its_first_moments_ends_with_0() {
    let world = World::new().await;
    for _ in 0..5 {
        let mut process = Process::start(&world);
        // Said before the watcher itself is begun.
        process.until("lancekeeper watch");
        let (code, said) = process.end();
        assert_eq!(code, Some(0), "{said}");
    }
    for millis in [0, 5, 20, 100, 300] {
        let mut process = Process::start(&world);
        thread::sleep(Duration::from_millis(millis));
        process.signal("-TERM");
        process.stderr.read_to_string(&mut process.said).unwrap();
        let status = process.child.wait().unwrap();
        // Before a program has come to its first line, nobody can hear for it.
        let is_unborn = status.code().is_none() && process.said.is_empty();
        assert!(status.code() == Some(0) || is_unborn, "{millis} ms: {status}: {}", process.said);
    }
    assert_eq!(world.rows().await, 10);
}
