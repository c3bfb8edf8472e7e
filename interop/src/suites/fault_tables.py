"""Makes tables of the kinds that maintenance tools have failed at.

    fault_tables.py list SEED                names of them, one per line
    fault_tables.py make NAME DIRECTORY SEED the table, or database, of that name

The seed decides how many rows there are and which of the shapes each kind of index gets; everything else
is the same every time.
"""

import random
import sys
from pathlib import Path

import lance
import lancedb
import numpy as np
import pyarrow as pa
from lance.indices import IndexConfig

DIMENSIONS = 8
POINT = pa.struct([pa.field("x", pa.float64()), pa.field("y", pa.float64())])
POINT_MARKS = {"ARROW:extension:name": "geoarrow.point", "ARROW:extension:metadata": "{}"}

# Of each kind of index: the column's type, and its value in row n.
SCALARS = {
    "BTREE": (pa.int64(), lambda n: n * 3),
    "BITMAP": (pa.string(), lambda n: f"key{n % 7}"),
    "LABEL_LIST": (pa.list_(pa.string()), lambda n: [f"label{n % 5}", f"label{n % 3}"]),
    "NGRAM": (pa.string(), lambda n: f"text {n} word{n % 9}"),
    "ZONEMAP": (pa.int64(), lambda n: n * 3),
    "BLOOMFILTER": (pa.int64(), lambda n: n * 3),
    "INVERTED": (pa.string(), lambda n: f"text {n} word{n % 9}"),
    "FM": (pa.string(), lambda n: f"text {n} word{n % 9}"),
    "RTREE": (POINT, lambda n: {"x": float(n % 50), "y": float(n % 20)}),
}
VECTORS = {
    "IVF_FLAT": {"num_partitions": 1},
    "IVF_PQ": {"num_partitions": 1, "num_sub_vectors": 2},
    "IVF_SQ": {"num_partitions": 1},
    "IVF_HNSW_SQ": {"num_partitions": 1},
}
SHAPES = ["plain", "nulls", "all null", "few", "emptied", "segments", "updated"]


class Rows:
    """Rows of `id` and of `value`, which suits a kind of index."""

    def __init__(self, kind):
        self.kind = kind
        self.type, self.value = SCALARS.get(kind) or (pa.list_(pa.float32(), DIMENSIONS), vector)

    def table(self, first, count, nulls="none"):
        numbers = range(first, first + count)
        is_null = {"none": lambda n: False, "some": lambda n: n % 3 == 0, "all": lambda n: True}[nulls]
        values = [None if is_null(n) else self.value(n) for n in numbers]
        marks = POINT_MARKS if self.kind == "RTREE" else None
        fields = [pa.field("id", pa.int64()), pa.field("value", self.type, metadata=marks)]
        columns = [pa.array(numbers, pa.int64()), pa.array(values, self.type)]
        return pa.table(columns, schema=pa.schema(fields))


def vector(n):
    return np.random.default_rng(n).normal(size=DIMENSIONS).astype("f4").tolist()


def write(path, table, **options):
    return lance.write_dataset(table, path, **options)


def append(path, table, **options):
    return lance.write_dataset(table, path, mode="append", **options)


def build_index(path, kind, **options):
    dataset = lance.dataset(path)
    if kind in VECTORS:
        dataset.create_index("value", kind, **VECTORS[kind], **options)
    else:
        how = IndexConfig("fm", {}) if kind == "FM" else kind
        dataset.create_scalar_index("value", how)


def indexed(kind, shape, stable, seed):
    def make(path):
        chance = random.Random(seed)
        rows, count = Rows(kind), 20 + chance.randrange(40)
        if kind in VECTORS and shape != "few":
            count += 300
        nulls = {"nulls": "some", "all null": "all"}.get(shape, "none")
        write(path, rows.table(0, 2 if shape == "few" else count, nulls), enable_stable_row_ids=stable)
        # On vectors that are all null an index can be defined, but not trained.
        untrained = kind in VECTORS and shape in ("few", "all null")
        build_index(path, kind, **({"train": False} if untrained else {}))
        if shape == "emptied":
            lance.dataset(path).delete("true")
        if shape == "segments":
            append(path, rows.table(1_000, 30))
            lance.dataset(path).optimize.optimize_indices(num_indices_to_merge=0)
        if shape == "updated":
            lance.dataset(path).delete("id % 5 = 0")
            lance.dataset(path).update({"id": "id + 100000"}, where="id % 7 = 1")
        for first in (2_000, 3_000):
            append(path, rows.table(first, 10 + chance.randrange(10), nulls))

    return make


def managed_blobs(path):
    fields = [pa.field("id", pa.int64()), lance.blob_field("blob")]
    for n in range(3):
        contents = [bytes([65 + n]) * size for size in (10, 90_000)]
        columns = [pa.array([2 * n, 2 * n + 1], pa.int64()), lance.blob_array(contents)]
        options = {"mode": "append"} if n else {"mode": "create", "data_storage_version": "2.2"}
        dataset = write(path, pa.table(columns, schema=pa.schema(fields)), **options)
    dataset.update_schema_metadata({"lance.blob.managed": "true"})


def nested(stable):
    """The leaf `x` twice, one name with a dot in it, and a text."""
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("a", pa.struct([("x", pa.int64()), ("note", pa.string())])),
            ("b", pa.struct([("x", pa.int64()), ("x.y", pa.int64())])),
        ]
    )

    def rows(first):
        numbers = range(first, first + 20)
        made = [{"id": n, "a": {"x": n, "note": f"word{n % 4}"}, "b": {"x": -n, "x.y": n % 3}} for n in numbers]
        return pa.Table.from_pylist(made, schema=schema)

    def make(path):
        dataset = write(path, rows(0), enable_stable_row_ids=stable)
        for column, kind in [("a.x", "BTREE"), ("b.x", "BITMAP"), ("b.`x.y`", "BTREE"), ("a.note", "INVERTED")]:
            name = "".join(letter for letter in column if letter.isalpha())
            dataset.create_scalar_index(column, kind, name=name)
        append(path, rows(20))
        append(path, rows(40))

    return make


def namespaces(path):
    """A table beside `__manifest`, which is LanceDB's here, and one in a namespace."""
    database = lancedb.connect(path)
    rows = Rows("BTREE")
    database.create_namespace(["team"])
    for place in ([], ["team"]):
        table = database.create_table("numbers", rows.table(0, 20), namespace_path=place)
        for first in (20, 40):
            table.add(rows.table(first, 20))


def clones(with_index):
    def make(path):
        rows, origin, clone = Rows("BTREE"), f"{path}/origin.lance", f"{path}/clone.lance"
        write(origin, rows.table(0, 20))
        if with_index:
            build_index(origin, "BTREE")
        dataset = append(origin, rows.table(20, 20))
        dataset.shallow_clone(clone, dataset.version)
        append(clone, rows.table(40, 20))
        lance.dataset(clone).create_branch("side")
        append(clone, rows.table(60, 20))

    return make


def bases(path):
    """Files of the table lie in a directory of another name, and some in its own."""
    rows, place = Rows("BTREE"), lance.DatasetBasePath(f"{path}-more", name="more")
    write(path, rows.table(0, 20), initial_bases=[place], target_bases=["more"])
    append(path, rows.table(20, 20), target_bases=["more"])
    append(path, rows.table(40, 20))


def deferred(path):
    """A compaction that left the index to be remapped when it is read."""
    rows = Rows("BTREE")
    write(path, rows.table(0, 50))
    append(path, rows.table(50, 50))
    build_index(path, "BTREE")
    lance.dataset(path).optimize.compact_files(defer_index_remap=True)
    for first in (100, 150):
        append(path, rows.table(first, 50))


def history(version):
    """Tags, branches, deletions, columns that come, go and are renamed, and a version restored."""

    def make(path):
        rows = Rows("BTREE")
        write(path, rows.table(0, 40), max_rows_per_file=10, data_storage_version=version)
        build_index(path, "BTREE")
        lance.dataset(path).tags.create("early", 1)
        append(lance.dataset(path).create_branch("side"), rows.table(900, 10))
        lance.dataset(path).delete("id % 4 = 0")
        before = lance.dataset(path).version
        lance.dataset(path).optimize.compact_files()
        lance.dataset(path, version=before).restore()
        lance.dataset(path).add_columns({"more": "id * 2"})
        lance.dataset(path).alter_columns({"path": "value", "name": "worth"})

    return make


def neighbours(path):
    """A database in which not everything is a table that can be read."""
    database = Path(path)
    for first in (0, 20):
        write(f"{path}/good.lance", Rows("BTREE").table(first, 20), mode="append" if first else "create")
    (database / "empty.lance").mkdir()
    (database / "file.lance").write_text("hello")


def cases(seed):
    chance, named = random.Random(seed), {}
    for kind in [*SCALARS, *VECTORS]:
        for stable in (False, True):
            # Two shapes of each kind a time; another seed takes others.
            for shape in ["plain", *chance.sample(SHAPES[1:], 2)]:
                name = f"{kind}, {shape}, {'row ids' if stable else 'addresses'}"
                named[name] = indexed(kind, shape, stable, chance.randrange(1_000))
    named |= {"managed blobs": managed_blobs, "namespaces": namespaces, "bases": bases}
    named |= {"nested, addresses": nested(False), "nested, row ids": nested(True)}
    named |= {"clone": clones(False), "clone with index": clones(True), "deferred remap": deferred}
    named |= {f"history of {version} files": history(version) for version in ("2.0", "2.1", "2.2")}
    return named | {"neighbours": neighbours}


if __name__ == "__main__":
    if sys.argv[1] == "list":
        print("\n".join(cases(int(sys.argv[2]))))
    else:
        cases(int(sys.argv[4]))[sys.argv[2]](sys.argv[3])
