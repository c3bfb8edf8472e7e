"""What is in a table, as JSON: what a run must not change, and what it should.

Arguments: where, and `recall` to compare its vector index with a look at every row.
"""

import json
import sys
import zlib

import lance
import numpy as np


def facts(path):
    table = lance.dataset(path)
    ids = (id for batch in table.to_batches(columns=["id"]) for id in batch["id"].to_pylist())
    checksum = sum(zlib.crc32(str(id).encode()) for id in ids)
    return {"rows": table.count_rows(), "checksum": checksum, "fragments": len(table.get_fragments())}


def recall(path, queries=100, k=10):
    table = lance.dataset(path)
    rows = table.to_table(columns=["id", "emb"])
    ids = rows["id"].to_numpy()
    vectors = rows["emb"].combine_chunks().flatten().to_numpy().reshape(len(ids), -1)
    # Places differ between two layouts of one table, so the queries are made, not taken from it.
    chosen = np.random.default_rng(11).choice(np.sort(ids), queries, replace=False)
    by_id = vectors[np.argsort(ids)]
    found = 0
    for id in chosen:
        query = by_id[id] + 0.1
        nearest = set(ids[np.argpartition(((vectors - query) ** 2).sum(axis=1), k)[:k]])
        search = {"column": "emb", "q": query, "k": k, "nprobes": 8, "refine_factor": 5}
        found += len(nearest & set(table.to_table(columns=["id", "_distance"], nearest=search)["id"].to_pylist()))
    names = {index["name"] for index in table.list_indices()}
    unindexed = sum(table.stats.index_stats(name)["num_unindexed_rows"] for name in names)
    return {"recall": found / (queries * k), "indexes": len(names), "unindexed": unindexed}


if __name__ == "__main__":
    path, *more = sys.argv[1:]
    print(json.dumps(facts(path) | (recall(path) if more else {})))
