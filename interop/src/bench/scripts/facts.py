"""What is in a table, as JSON: what a run must not change, and what it should.

Arguments: where, and what is asked besides: `recall` compares its vector index with a look at every row.
"""

import json
import os
import sys
import time
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


def is_sorted(path):
    last = None
    for batch in lance.dataset(path).to_batches(columns=["k"]):
        keys = batch["k"].to_numpy()
        if len(keys) and ((np.diff(keys) < 0).any() or (last is not None and keys[0] < last)):
            return {"is_sorted": False}
        last = keys[-1] if len(keys) else last
    return {"is_sorted": True}


def touched(path, queries=200):
    """Which share of the fragments ranges of 1 % and boxes of 10 % x 10 % reach, by a look at every row."""
    parts = [fragment.to_table(columns=["a", "b"]) for fragment in lance.dataset(path).get_fragments()]
    columns = {name: [part[name].to_numpy() for part in parts] for name in "ab"}
    sides = {name: (np.array([c.min() for c in cs]), np.array([c.max() for c in cs])) for name, cs in columns.items()}
    sorted_ = {name: np.sort(np.concatenate(cs)) for name, cs in columns.items()}
    random = np.random.default_rng(5)

    def hit(name, share):
        values = sorted_[name]
        start = int(random.integers(0, int(len(values) * (1 - share))))
        low, high = sides[name]
        return (low <= values[start + int(len(values) * share)]) & (high >= values[start])

    ranges = {name: float(np.mean([hit(name, 0.01).mean() for _ in range(queries)])) for name in "ab"}
    boxes = float(np.mean([(hit("a", 0.1) & hit("b", 0.1)).mean() for _ in range(queries)]))
    return {"touched": ranges | {"boxes": boxes}}


def query(path, column="k", queries=20):
    """What LanceDB reads from files, and how long it takes, for a range of 1 % of a column, by its own plan.

    Bytes and calls are those that the kernel counted for this process, the first query, which opens what all of
    them need, left out.
    """
    import lancedb

    def counted():
        with open("/proc/self/io") as io:
            return {name: int(count) for name, count in (line.split(":") for line in io)}

    keys = np.sort(lance.dataset(path).to_table(columns=[column])[column].to_numpy())
    where, name = os.path.split(path)
    table = lancedb.connect(where).open_table(name.removesuffix(".lance"))
    random, share = np.random.default_rng(9), len(keys) // 100
    starts = [int(random.integers(0, len(keys) - share)) for _ in range(queries + 1)]
    seconds, read, calls = [], [], []
    for start in starts:
        low, high = keys[start], keys[start + share]
        before, began = counted(), time.perf_counter()
        found = table.search().where(f"{column} >= {low} AND {column} < {high}").limit(len(keys)).to_arrow()
        seconds.append(time.perf_counter() - began)
        after = counted()
        assert found.num_rows == share, (found.num_rows, share)
        read.append(after["rchar"] - before["rchar"])
        calls.append(after["syscr"] - before["syscr"])
    middle = {"seconds": seconds, "bytes": read, "calls": calls}
    return {"query": {name: float(np.median(counts[1:])) for name, counts in middle.items()}}


def files(path):
    found = [file for fragment in lance.dataset(path).get_fragments() for file in fragment.data_files()]
    return {"files": {file.path: os.path.getsize(f"{path}/data/{file.path}") for file in found}}


if __name__ == "__main__":
    path, *more = sys.argv[1:]
    asked = [{"recall": recall, "is_sorted": is_sorted, "touched": touched, "files": files, "query": query}[name] for name in more]
    report = facts(path)
    for ask in asked:
        report |= ask(path)
    print(json.dumps(report))
