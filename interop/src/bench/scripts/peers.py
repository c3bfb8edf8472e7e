"""The same work by the others. Prints how long the call alone took, as JSON.

Arguments: what, where, and for a sort where to.
"""

import datetime
import glob
import json
import os
import sys
import time

import lance

what, where, *to = sys.argv[1:]
if what == "lancedb_optimize":
    import lancedb

    table = lancedb.connect(os.path.dirname(where)).open_table("table")
elif what == "delta_z_order":
    import deltalake

    table = deltalake.DeltaTable(where)
elif what == "duckdb_sort":
    import duckdb

    table = duckdb.connect()
    table.execute(f"set memory_limit='1GB'; set threads=2; set temp_directory='{to[0]}.spill'")
elif what != "reencode_each":
    table = lance.dataset(where)

CALLS = {
    "reencode": lambda: table.optimize.compact_files(),
    "copy_pages": lambda: table.optimize.compact_files(compaction_mode="try_binary_copy"),
    "reencode_wide": lambda: table.optimize.compact_files(target_rows_per_fragment=2000),
    "reencode_each": lambda: [
        lance.dataset(path).optimize.compact_files() for path in glob.glob(where + "/*.lance")
    ],
    "lancedb_optimize": lambda: table.optimize(),
    "delta_z_order": lambda: table.optimize.z_order(["a", "b"]),
    "duckdb_sort": lambda: table.execute(
        f"copy (select * from read_parquet('{where}/*.parquet') order by k) to '{to[0]}'"
    ),
    "cleanup": lambda: table.cleanup_old_versions(older_than=datetime.timedelta(0)),
    "scan": lambda: sum(batch.num_rows for batch in table.to_batches()),
}
started = time.perf_counter()
CALLS[what]()
print(json.dumps({"call": time.perf_counter() - started}))
