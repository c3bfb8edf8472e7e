"""Makes the tables that are measured. The data is the same every time.

Arguments: what, where, how many fragments (tables of `database`), how many rows in each.
"""

import os
import sys

import lance
import numpy as np
import pyarrow as pa

what, where, fragments, rows = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
random = np.random.default_rng(7)
TABLE = where + "/table.lance"


def texts(first, count):
    return pa.array([f"payload text {i * 2654435761 % 1000003} some words here" for i in range(first, first + count)])


def vectors(count, dimensions):
    return pa.FixedSizeListArray.from_arrays(
        pa.array(random.standard_normal(count * dimensions).astype("f4")), dimensions
    )


def append(number, columns, path=TABLE, **options):
    lance.write_dataset(pa.table(columns), path, mode="append" if number else "create", **options)


def narrow(first, count):
    return {
        "id": pa.array([f"n{i:012d}" for i in range(first, first + count)]),
        "a": random.integers(0, 1 << 40, count),
        "b": random.random(count),
        "lat": random.uniform(-90, 90, count),
        "lon": random.uniform(-180, 180, count),
        "txt": texts(first, count),
    }


def with_vectors():
    for number in range(fragments):
        columns = narrow(number * rows, rows) | {"emb": vectors(rows, 128)}
        append(number, columns, data_storage_version="2.1")


def small():
    for number in range(fragments):
        append(number, narrow(number * rows, rows), data_storage_version="2.1")
    # The same rows written at once, to compare scans with.
    lance.write_dataset(lance.dataset(TABLE).to_table(), where + "/fresh.lance", data_storage_version="2.1")


def indexed():
    """One large fragment that four indexes cover, and small ones that none does."""
    centers = random.standard_normal((1000, 64)).astype("f4") * 4

    def columns(first, count):
        near = centers[random.integers(0, len(centers), count)] + random.standard_normal((count, 64))
        return {
            "id": np.arange(first, first + count),
            "kind": pa.array([f"kind {i % 50}" for i in range(first, first + count)]),
            "txt": texts(first, count),
            "emb": pa.FixedSizeListArray.from_arrays(pa.array(near.astype("f4").ravel()), 64),
        }

    large = rows * 2000
    append(0, columns(0, large))
    table = lance.dataset(TABLE)
    table.create_index("emb", "IVF_PQ", num_partitions=64, num_sub_vectors=16)
    for column, kind in (("id", "BTREE"), ("kind", "BITMAP"), ("txt", "INVERTED")):
        table.create_scalar_index(column, kind)
    for number in range(1, fragments):
        append(number, columns(large + (number - 1) * rows, rows))


def wide():
    for number in range(fragments):
        ids = np.arange(number * rows, (number + 1) * rows)
        bodies = pa.array([random.bytes(1_000_000) for _ in ids], pa.large_binary())
        append(number, {"id": ids, "body": bodies})


def versions():
    for number in range(fragments):
        ids = range(number * rows, (number + 1) * rows)
        append(number, {"id": list(ids), "text": [f"row {id}" for id in ids]})


def database():
    for number in range(fragments):
        for part in range(4):
            append(part, {"id": np.arange(part * rows, (part + 1) * rows)}, f"{where}/t{number:03d}.lance")


def points(first=0):
    """Two columns of very different magnitude: `a` uniform in 0..1, `b` log-normal in millions."""
    return {
        "id": np.arange(first, first + rows),
        "a": random.random(rows),
        "b": np.exp(random.normal(0, 2, rows)) * 1e6,
        "s": pa.array([f"row {i % 9973:06d}" for i in range(first, first + rows)]),
    }


def make_points():
    from deltalake import write_deltalake

    for number in range(fragments):
        columns = points(number * rows)
        append(number, columns)
        write_deltalake(where + "/delta", pa.table(columns), mode="append")


def more_points():
    """Appends to a table that is there."""
    lance.write_dataset(pa.table(points(10**9)), where, mode="append")


def sortable():
    import pyarrow.parquet as parquet

    os.makedirs(where + "/parquet")
    for number in range(fragments):
        columns = {
            "id": np.arange(number * rows, (number + 1) * rows),
            "k": random.integers(0, 1 << 60, rows),
            "a": random.integers(0, 1 << 30, rows),
            "b": random.random(rows),
            "s": pa.array([f"name {i:07d}" for i in random.integers(0, 9999999, rows)]),
        }
        append(number, columns)
        parquet.write_table(pa.table(columns), f"{where}/parquet/{number}.parquet")


{"points": make_points}.get(what, globals()[what])()
