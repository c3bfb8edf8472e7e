//! The document of `--json`: the report as it is, in an envelope that every verb shares.
//! Field names are those of `lancekeeper_model`; errors and warnings are in the document,
//! not on stderr.

use lancekeeper_model::{CacheStats, Report, StoreRequests};
use serde::Serialize;

use super::view::View;

/// Grows when a field is removed or changes its meaning, not when one is added.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a, Root, Totals> {
    schema: u32,
    command: &'a str,
    /// Only of verbs that write.
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    roots: &'a [Root],
    totals: &'a Totals,
    /// Only where somebody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    caches: Option<CacheStats>,
    /// The same.
    #[serde(skip_serializing_if = "Option::is_none")]
    requests: Option<StoreRequests>,
}

/// The document of a report.
pub(super) fn document<Body: View>(
    command: &str,
    report: &Report<Body>,
) -> serde_json::Result<String> {
    let document = Document {
        schema: SCHEMA,
        command,
        dry_run: Body::dry_run(report),
        roots: &report.roots,
        totals: &report.totals,
        caches: report.caches,
        requests: report.requests,
    };
    serde_json::to_string(&document).map(|text| text + "\n")
}

#[cfg(test)]
mod tests {
    use lancekeeper_model::CacheUse;
    use serde_json::Value;

    use super::*;
    use crate::output::samples;

    /// The names scripts rely on.
    const TABLE_FIELDS: [&str; 19] = [
        "table_key",
        "branch",
        "fragments_removed",
        "fragments_added",
        "committed",
        "skipped",
        "manifest_version",
        "lance_head_version",
        "pending_indexes",
        "rows_before",
        "rows_after",
        "fragments_before",
        "fragments_after",
        "files_before",
        "files_after",
        "bytes_before",
        "bytes_after",
        "duration_ms",
        "error",
    ];

    fn parsed(document: &str) -> Value {
        let body = document.strip_suffix('\n').unwrap();
        assert!(!body.ends_with('\n'), "exactly one newline");
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn optimize_has_every_field_scripts_know() {
        let found = parsed(&document("optimize", &samples::optimized()).unwrap());
        assert_eq!(found["schema"], 1);
        assert_eq!(found["command"], "optimize");
        assert_eq!(found["dry_run"], false);
        let root = &found["roots"][0];
        for field in ["count", "p50_ms", "p99_ms", "p999_ms", "max_ms"] {
            assert!(root["queue_holds"][field].is_number(), "queue_holds.{field}");
        }
        assert_eq!(root["uri"], "/data/people");
        assert_eq!(root["kind"], "graph");
        assert_eq!(root["published"], 1);
        assert!(root["error"].is_null());
        for table in root["tables"].as_array().unwrap() {
            for field in TABLE_FIELDS {
                assert!(table.get(field).is_some(), "{field} in {table}");
            }
        }
        let drifted = &root["tables"][2];
        assert_eq!(drifted["skipped"], "drift_needs_repair");
        assert_eq!(drifted["manifest_version"], 5);
        assert_eq!(drifted["lance_head_version"], 7);
        assert_eq!(found["totals"]["tables_failed"], 1);
        assert_eq!(found["totals"]["sizes_after"]["blob_bytes"], 0);
        let moved = &root["recovery"]["sidecars"][0]["moved"];
        assert_eq!((&moved["table_key"], &moved["to"]), (&"node:Person".into(), &8.into()));
    }

    #[test]
    fn what_a_budget_left_is_told_per_table_and_in_total() {
        let found = parsed(&document("optimize", &samples::budgeted()).unwrap());
        let tables = &found["roots"][0]["tables"];
        let left = |of: &Value| {
            let fields = ["left_by", "groups_left", "fragments_left", "bytes_left", "indexes_left"];
            fields.map(|field| of[field].clone())
        };
        let mib = |n: u64| Value::from(n << 20);
        let [by_bytes, by_time] = ["max_bytes", "max_time"].map(Value::from);
        assert_eq!(left(&tables[0]), [by_bytes, 2.into(), 12.into(), mib(30), 0.into()]);
        assert_eq!(tables[0]["skipped"], Value::Null);
        assert_eq!(left(&tables[1]), [by_time.clone(), 1.into(), 6.into(), mib(45), 2.into()]);
        assert_eq!(tables[1]["skipped"], "budget_spent");
        assert_eq!(left(&tables[2]), [Value::Null, 0.into(), 0.into(), 0.into(), 0.into()]);
        assert_eq!(tables[2]["skipped"], "already_compact");
        let totals = &found["totals"];
        assert_eq!(left(totals), [by_time, 3.into(), 18.into(), mib(75), 2.into()]);
        assert_eq!(totals["tables_left"], 2);
    }

    #[test]
    fn counts_are_numbers_or_null_with_the_reason() {
        let found = parsed(&document("count-rows", &samples::counts()).unwrap());
        assert_eq!(found["command"], "count-rows");
        let tables = &found["roots"][0]["tables"];
        assert_eq!((&tables[0]["rows"], &tables[0]["error"]), (&1_234_567.into(), &Value::Null));
        assert_eq!((&tables[1]["branch"], &tables[1]["rows"]), (&"review".into(), &12.into()));
        assert!(tables[2]["rows"].is_null() && tables[2]["error"].is_string(), "{tables}");
        assert_eq!(found["totals"]["rows"], 1_234_579);
        assert_eq!(found["totals"]["tables_failed"], 1);
    }

    #[test]
    fn a_migration_names_stamps_branches_and_clients() {
        let found = parsed(&document("migrate", &samples::migrated(true)).unwrap());
        let root = &found["roots"][0];
        assert_eq!((&root["from"], &root["to"]), (&"v2".into(), &4.into()));
        let main = &root["branches"][0];
        assert_eq!(
            (&main["name"], &main["from"], &main["to"]),
            (&"main".into(), &"v2".into(), &4.into())
        );
        assert_eq!((&main["commits"], &main["rebuilt"]), (&21.into(), &1.into()));
        assert_eq!(root["locked_out"].as_array().unwrap().len(), 2);
        assert_eq!(root["run_branches"].as_array().unwrap().len(), 1);
        assert_eq!(root["recovery"]["migrated"]["to"], 3);
    }

    #[test]
    fn what_is_wrong_is_listed_with_its_place() {
        let found = parsed(&document("verify", &samples::verified()).unwrap());
        assert_eq!(found["command"], "verify");
        let root = &found["roots"][0];
        let expected = serde_json::json!({
            "table_key": "node:Person", "branch": "main", "version": 17, "versions": 5,
            "what": "file_missing", "fragment": 3, "index": null,
            "file": "data/0f1e2d3c-4b5a-6978-8a9b-acbdcedfe0f1.lance",
            "message": "fragment 3: data/0f1e2d3c-4b5a-6978-8a9b-acbdcedfe0f1.lance is missing",
            "hint": "restore the file from a backup",
        });
        assert_eq!(root["findings"][0], expected);
        assert_eq!(root["findings"][1]["what"], "index_wrong");
        assert_eq!(root["unchecked"][0]["what"], "the answers of index about");
        let counts = ["versions", "fragments", "files", "rows", "indexes", "questions", "findings"];
        for part in counts.into_iter().chain(["unchecked", "duration_ms"]) {
            assert!(root["tables"][0][part].is_u64() && found["totals"][part].is_u64(), "{part}");
        }
    }

    #[test]
    fn a_missing_root_is_still_a_document() {
        let found = parsed(&document("optimize", &samples::missing()).unwrap());
        assert_eq!(found["roots"][0]["error"], "no root at /nowhere");
        assert!(found["roots"][0]["kind"].is_null());
        assert_eq!(found["roots"][0]["tables"], serde_json::json!([]));
        assert_eq!(found["totals"]["fragments_before"], 0);
    }

    #[test]
    fn status_counts_roots_and_tables() {
        let found = parsed(&document("status", &samples::graph_status()).unwrap());
        assert_eq!(found["command"], "status");
        assert_eq!(found["totals"], serde_json::json!({"roots": 1, "tables": 4}));
        let root = &found["roots"][0];
        assert_eq!(root["sidecars"][0]["ours"], false);
        assert_eq!(root["internal"][0]["versions"], 23);
        assert_eq!(root["reclaimable"]["bytes"], 33 << 20);
        for part in ["bytes", "data_bytes", "blob_bytes", "index_bytes", "deletion_bytes"] {
            assert!(root["tables"][0][part].is_u64(), "{part}");
        }
        assert!(found.get("dry_run").is_none() && found.get("caches").is_none());
    }

    #[test]
    fn what_the_caches_did_is_told_to_whoever_asked() {
        let mut report = samples::graph_status();
        let used = CacheUse { hits: 12, misses: 3, entries: 2, bytes: 4096 };
        report.caches = Some(CacheStats { index: used, metadata: CacheUse::default() });
        let found = parsed(&document("status", &report).unwrap());
        let expected = serde_json::json!({
            "index": {"hits": 12, "misses": 3, "entries": 2, "bytes": 4096},
            "metadata": {"hits": 0, "misses": 0, "entries": 0, "bytes": 0},
        });
        assert_eq!(found["caches"], expected);
    }
}
