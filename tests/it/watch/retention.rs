//! Cleanup by policy: what it deletes, and what it never does.

use chrono::TimeDelta;
use lance::Dataset;
use lancekeeper_model::Policy;

use super::*;

/// Thirty versions of a table, the third of them tagged, and a branch that was cut at the fifth.
async fn history() -> World {
    let world = World::new().await;
    world.set(PolicyOption::AutoCompact, PolicyValue::Switch(false)).await;
    world.append(29).await;
    let mut table = Dataset::open(&world.table()).await.unwrap();
    table.tags().create("keep", 3).await.unwrap();
    table.create_branch("work", 5, None).await.unwrap();
    for (option, count) in [
        (PolicyOption::RetainDays, 1),
        (PolicyOption::KeepVersions, 4),
        (PolicyOption::VersionCount, 10),
    ] {
        world.set(option, PolicyValue::Count(count)).await;
    }
    world
}

async fn versions(world: &World) -> Vec<u64> {
    let table = Dataset::open(&world.table()).await.unwrap();
    table.versions().await.unwrap().into_iter().map(|version| version.version).collect()
}

/// A keeper for whom it is so many days later.
fn keeper_in(days: i64) -> Keeper {
    let clock = move || Utc::now() + TimeDelta::days(days);
    Keeper::builder().job_log(Arc::new(Recorder::default())).clock(clock).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_go_by_policy_but_for_what_is_young_tagged_or_read_by_a_branch() {
    let world = history().await;
    let all = versions(&world).await;
    assert_eq!(all.len(), 30);
    // Rules that lie beside the data delete nothing by themselves.
    let (heard, keeper) = (Heard::default(), keeper_in(2));
    let handle = heard.watch(&keeper, &world);
    heard.until(WatchEventKind::Warning, 1).await;
    end(handle).await;
    assert!(heard.texts(WatchEventKind::Warning)[0].contains("--confirm"));
    // Nor do they delete what is younger than they say: that is nearly the writer window as well.
    let heard = Heard::default();
    let confirmed = || WatchOptions { confirm: true, ..WatchOptions::default() };
    let handle = heard.watch_with(&keeper_in(0), &world, confirmed());
    heard.until(WatchEventKind::Done, 1).await;
    end(handle).await;
    assert!(heard.texts(WatchEventKind::Done)[0].contains("stay"), "{:?}", heard.0);
    assert_eq!(versions(&world).await, all);

    let heard = Heard::default();
    let handle = heard.watch_with(&keeper, &world, confirmed());
    heard.until(WatchEventKind::Done, 1).await;
    end(handle).await;
    assert_eq!(versions(&world).await, [3, 5, 27, 28, 29, 30]);
    assert_eq!(world.rows().await, 39);
    let table = Dataset::open(&world.table()).await.unwrap();
    let [tagged, of_branch] =
        [table.checkout_version("keep").await, table.checkout_version(5).await];
    assert_eq!(tagged.unwrap().scan().try_into_batch().await.unwrap().num_rows(), 12);
    assert_eq!(of_branch.unwrap().scan().try_into_batch().await.unwrap().num_rows(), 14);
    let jobs = jobs_of(&world.uri(), Utc::now()).await.unwrap().jobs;
    assert_eq!((jobs.len(), jobs[0].trigger), (1, JobTrigger::Policy));
    assert!(jobs[0].reason.contains("30 versions, more than 10"), "{jobs:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_of_the_file_need_no_second_word() {
    let world = history().await;
    let rules = [PolicyOption::RetainDays, PolicyOption::KeepVersions, PolicyOption::VersionCount];
    let policies = Policies::of(&Files::local(world.root()));
    let left: Policy = policies.reset(&TableKey::new("t"), &rules).await.unwrap();
    assert_eq!(left.retain_days, None);
    let text = "[defaults]\nretain_days = 1\nkeep_versions = 1\nversion_count = 2\n";
    fs::write(world.policy_file(), text).unwrap();
    let policies = lancekeeper_service::load_policies(&world.policy_file()).unwrap();
    let (heard, keeper) = (Heard::default(), keeper_in(2));
    let options = WatchOptions { policies, ..WatchOptions::default() };
    let handle = heard.watch_with(&keeper, &world, options);
    heard.until(WatchEventKind::Done, 1).await;
    end(handle).await;
    assert_eq!(versions(&world).await, [3, 5, 30]);
    assert_eq!(world.rows().await, 39);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_a_compaction_gets_it_though_a_cleanup_is_due_first() {
    let world = history().await;
    world.set(PolicyOption::CompactThresholdFiles, PolicyValue::Count(1_000)).await;
    let (heard, keeper) = (Heard::default(), keeper_in(40));
    let options = WatchOptions { confirm: true, ..WatchOptions::default() };
    let handle = heard.watch_with(&keeper, &world, options);
    assert!(handle.pause());
    heard.until(WatchEventKind::Watches, 1).await;
    assert!(handle.trigger(&world.uri(), "t"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(handle.resume());
    heard.until(WatchEventKind::Done, 2).await;
    end(handle).await;
    let mut began = heard.texts(WatchEventKind::Began);
    began.sort();
    assert!(began[0].starts_with("cleanup: ") && began[1].ends_with("asked for it"), "{began:?}");
    assert_eq!(world.fragments().await, 1);
}
