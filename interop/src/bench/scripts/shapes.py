"""Which share of the files a query touches after ours and after delta-rs, for columns of decisive shapes.

Arguments: our binary, where to work, how many rows. Prints for each shape and layout the mean shares of ranges of
1 % of `a`, of ranges of 1 % of `b`, and of boxes of 10 % x 10 %, as JSON.
"""

import json
import os
import shutil
import subprocess
import sys

import deltalake
import lance
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as parquet

ours, place, rows = sys.argv[1], sys.argv[2], int(sys.argv[3])
FILES = 60
QUERIES = 200


def shapes():
    random = np.random.default_rng(13)
    a, b = random.random(rows), random.random(rows)
    words = random.integers(0, 10**9, rows)
    skewed = np.where(random.random(rows) < 0.9, 7, random.integers(0, 1_000_000, rows))
    return {
        "mixed magnitude": (a, np.exp(random.normal(0, 2, rows)) * 1e6),
        "common prefix": (a, [f"https://example.org/a/long/path/of/items/{word:09d}" for word in words]),
        "heavy skew": (skewed, b),
        "correlated": (a, a + random.normal(0, 0.01, rows)),
        "nulls": (pa.array(a, mask=random.random(rows) < 0.5), pa.array(b, mask=random.random(rows) < 0.3)),
    }


def sides(parts):
    """Of each file the least and the greatest value of both columns; a file of nulls alone is touched by no range."""
    return [{name: pc.min_max(part[name]).as_py() for name in "ab"} for part in parts]


def shares(parts, columns):
    found = sides(parts)
    values = {name: sorted(v for v in pa.array(column).to_pylist() if v is not None) for name, column in columns.items()}
    random = np.random.default_rng(5)

    def hit(name, share):
        known = values[name]
        start = int(random.integers(0, int(len(known) * (1 - share))))
        low, high = known[start], known[start + int(len(known) * share)]
        bounds = [side[name] for side in found]
        return np.array([b["min"] is not None and b["min"] <= high and b["max"] >= low for b in bounds])

    one = [float(np.mean([hit(name, 0.01).mean() for _ in range(QUERIES)])) for name in "ab"]
    return one + [float(np.mean([(hit("a", 0.1) & hit("b", 0.1)).mean() for _ in range(QUERIES)]))]


def by_ours(table, layout):
    path = place + "/shape.lance"
    shutil.rmtree(path, ignore_errors=True)
    for number in range(10):
        lance.write_dataset(table.slice(number * rows // 10, rows // 10), path, mode="append" if number else "create")
    words = ["optimize", path, "--layout", layout, "--target-rows", str(rows // FILES), "--quiet"]
    subprocess.run([ours, *words], check=True, stdout=subprocess.DEVNULL)
    return [fragment.to_table(columns=["a", "b"]) for fragment in lance.dataset(path).get_fragments()]


def by_delta(table):
    path = place + "/shape.delta"
    shutil.rmtree(path, ignore_errors=True)
    for number in range(10):
        deltalake.write_deltalake(path, table.slice(number * rows // 10, rows // 10), mode="append")
    delta = deltalake.DeltaTable(path)
    size = sum(os.path.getsize(file.removeprefix("file://")) for file in delta.file_uris())
    delta.optimize.z_order(["a", "b"], target_size=size // FILES)
    return [parquet.read_table(file.removeprefix("file://"), columns=["a", "b"]) for file in delta.file_uris()]


report = {}
for shape, (a, b) in shapes().items():
    columns = {"a": a, "b": b}
    table = pa.table({"id": np.arange(rows), **columns})
    report[shape] = {}
    for layout in ("sort:a,b", "zorder:a,b", "hilbert:a,b"):
        report[shape][layout] = shares(by_ours(table, layout), columns)
    parts = by_delta(table)
    report[shape][f"delta-rs, {len(parts)} files"] = shares(parts, columns)
print(json.dumps(report))
