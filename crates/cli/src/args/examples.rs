//! What `--help` says after the verbs: examples, what a root is, and the exit codes.

pub(super) const AFTER_HELP: &str = "\
Examples:
  lancekeeper status ./graph              what is there and would be done
  lancekeeper optimize --dry-run ./graph  the plan; writes nothing
  lancekeeper optimize ./graph            merge small fragments, drop deletions
  lancekeeper optimize --max-time 1h ./g  a part; run again for the rest
  lancekeeper optimize --recursive /data  every graph, database and table below
  lancekeeper cleanup --keep 10 ./graph   what would go, and why the rest stays
  lancekeeper cleanup --keep 10 --confirm ./graph
  lancekeeper repair ./graph              what readers do not see, and what that is
  lancekeeper recover ./graph             what crashes left, and what would become of it
  lancekeeper recover ./graph --confirm   finishes or takes back what dead writers left
  lancekeeper branch create ./graph feat  a branch of main; no table is copied
  lancekeeper branch delete ./graph feat  what would be lost; --confirm deletes
  lancekeeper migrate ./graph --to 4      to the format of omnigraph 0.8; a preview
  lancekeeper migrate ./db                which forms of Lance's its tables have
  lancekeeper --db-path ./db optimize events --prune-now
  lancekeeper --db-path ./db count-rows events
  lancekeeper verify ./graph              reads everything, asks every index
  lancekeeper jobs list ./graph           what was done, why, and what became of it
  lancekeeper watch ./db                  by policy: ALTER TABLE t SET (auto_compact = true)
  lancekeeper config ./graph              every setting, and who says so
  lancekeeper sql ./db 'SHOW JOBS'        statements: COMPACT TABLE t, SELECT ...

A ROOT is a graph (has __manifest/), a LanceDB database (has NAME.lance/) or one Lance table.

Exit codes:
  0 done, or nothing to do    10 no such root
  1 failed                    11 another keeper holds the lock
  2 usage error               12 recovery needed first
  3 some tables failed,       13 refused by a safety rule
    the rest is done         130 interrupted";
