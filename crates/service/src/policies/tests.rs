//! Documents in a store of memory.

use super::*;

fn orders() -> TableKey {
    TableKey::new("orders/2")
}

#[tokio::test]
async fn options_are_set_and_taken_back_one_by_one() {
    let policies = Policies::of(&Files::in_memory());
    let on = (PolicyOption::AutoCompact, PolicyValue::Switch(true));
    let files = (PolicyOption::CompactThresholdFiles, PolicyValue::Count(20));
    assert_eq!(policies.read(&orders()).await.unwrap(), None);
    policies.set(&orders(), &[on]).await.unwrap();
    let policy = policies.set(&orders(), &[files]).await.unwrap();
    assert_eq!((policy.auto_compact, policy.compact_threshold_files), (Some(true), Some(20)));
    assert_eq!(policies.read(&orders()).await.unwrap(), Some(policy.clone()));
    let list = policies.list().await.unwrap();
    assert_eq!(list.policies, BTreeMap::from([(orders(), policy)]));
    let left = policies.reset(&orders(), &[PolicyOption::AutoCompact]).await.unwrap();
    assert_eq!((left.auto_compact, left.compact_threshold_files), (None, Some(20)));
    assert!(policies.reset(&orders(), &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_makes_no_sense_together_changes_nothing() {
    let policies = Policies::of(&Files::in_memory());
    let target = (PolicyOption::CompactTargetFileSizeMb, PolicyValue::Count(32));
    policies.set(&orders(), &[target]).await.unwrap();
    let small = (PolicyOption::MinFileSizeMb, PolicyValue::Count(64));
    let error = policies.set(&orders(), &[small]).await.unwrap_err();
    assert_eq!(error.kind(), lancekeeper_model::ErrorKind::Invalid);
    assert_eq!(policies.read(&orders()).await.unwrap().unwrap().min_file_size_mb, None);
}

#[tokio::test]
async fn damaged_documents_are_moved_aside_and_newer_ones_are_left() {
    let root = Files::in_memory();
    let (policies, files) = (Policies::of(&root), root.below(POLICIES_DIRECTORY));
    let newer = r#"{"format": 99, "table": "b", "policy": {"who": "knows"}}"#;
    let typo = r#"{"format": 1, "table": "c", "policy": {"auto_compct": true}}"#;
    let renamed = r#"{"format": 1, "table": "e", "policy": {}}"#;
    for (name, content) in [("a", "not JSON"), ("b", newer), ("c", typo), ("d", renamed)] {
        files.put(&format!("{name}.json"), content.as_bytes().to_vec()).await.unwrap();
    }
    let list = policies.list().await.unwrap();
    assert!(list.policies.is_empty());
    assert_eq!(list.warnings.len(), 4, "{:?}", list.warnings);
    assert!(list.warnings[1].contains("format 99"), "{:?}", list.warnings);
    assert_eq!(files.names(".json").await.unwrap(), ["b.json"]);
    assert_eq!(files.below(DAMAGED).names(".json").await.unwrap(), ["a.json", "c.json", "d.json"]);
    let on = (PolicyOption::AutoCompact, PolicyValue::Switch(true));
    assert!(policies.set(&TableKey::new("a"), std::slice::from_ref(&on)).await.is_ok());
    assert!(policies.set(&TableKey::new("b"), &[on]).await.is_err());
    assert_eq!(files.read("b.json").await.unwrap().unwrap(), newer.as_bytes());
}
