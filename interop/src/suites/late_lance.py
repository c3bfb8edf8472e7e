"""A database with everything whose files a careless cleanup takes.

    late_lance.py make ROOT     makes ROOT/db, ROOT/elsewhere and the link ROOT/link
    late_lance.py read ROOT     prints as JSON what every table, clone, branch and tag reads
    late_lance.py commit ROOT   commits what `make` staged, and goes on writing with LanceDB
"""

import json
import os
import sys
import time

import lance
import lancedb
import pyarrow as pa

MONTH = 30 * 86400
VERSIONS = 8
STAGED = [{"id": 1000 + number, "text": "staged"} for number in range(5)]


def rows(first, count):
    return pa.table(
        {
            "id": pa.array(range(first, first + count), pa.int64()),
            "text": [f"row {number}" for number in range(first, first + count)],
        }
    )


def make(root):
    db = f"{root}/db"
    os.makedirs(f"{root}/elsewhere")
    os.makedirs(db)
    os.symlink(db, f"{root}/link")
    events = f"{db}/events.lance"
    for number in range(VERSIONS):
        mode = "append" if number else "create"
        dataset = lance.write_dataset(rows(10 * number, 10), events, mode=mode)
    # Clones in the database: of an old version, of a clone that was written itself, of a branch.
    dataset.shallow_clone(f"{db}/old.lance", 4)
    clone = lance.write_dataset(rows(500, 5), f"{db}/old.lance", mode="append")
    clone.shallow_clone(f"{db}/again.lance", clone.version)
    side = dataset.create_branch("side/way", 6)
    lance.write_dataset(rows(600, 5), side.uri, mode="append")
    dataset = lance.dataset(events)
    dataset.shallow_clone(f"{db}/side.lance", ("side/way", None))
    # And elsewhere, where only a tag protects it.
    dataset.tags.create("copied", 5)
    dataset.shallow_clone(f"{root}/elsewhere/tagged.lance", "copied")
    # Nothing of the first rows is in the newest version.
    dataset.delete("id < 70")
    lance.write_dataset(rows(70, 10), events, mode="append")
    # A table in a table's directory, a sibling that begins with its name, and a file of a kind
    # nobody knows: all of them old.
    lance.write_dataset(rows(0, 3), f"{events}/inner.lance")
    lance.write_dataset(rows(0, 3), f"{db}/events2.lance")
    os.makedirs(f"{events}/_unheard_of")
    with open(f"{events}/_unheard_of/x.bin", "w") as file:
        file.write("x")
    for directory, _, names in os.walk(db):
        for name in names:
            os.utime(f"{directory}/{name}", (time.time() - MONTH,) * 2)
    # A hint that lags.
    with open(f"{events}/_versions/latest_version_hint.json", "w") as file:
        json.dump({"version": 2}, file)
    # A writer that has not committed yet.
    dataset = lance.dataset(events)
    table = pa.Table.from_pylist(STAGED, schema=dataset.schema)
    staged = lance.fragment.write_fragments(table, dataset)
    with open(f"{root}/staged.json", "w") as file:
        json.dump([dataset.version, [fragment.to_json() for fragment in staged]], file)


def tables(directory):
    return sorted(name for name in os.listdir(directory) if name.endswith(".lance"))


def contents(dataset):
    return sorted(json.dumps(row, sort_keys=True) for row in dataset.to_table().to_pylist())


def read(root):
    found = {}
    for place in ("db", "link", "elsewhere"):
        for name in tables(f"{root}/{place}"):
            found[f"{place}/{name}"] = contents(lance.dataset(f"{root}/{place}/{name}"))
    events = lance.dataset(f"{root}/db/events.lance")
    found["side"] = contents(events.checkout_version(("side/way", None)))
    found["copied"] = contents(events.checkout_version("copied"))
    found["inner"] = contents(lance.dataset(f"{root}/db/events.lance/inner.lance"))
    with open(f"{root}/db/events.lance/_unheard_of/x.bin") as file:
        found["unheard of"] = [file.read()]
    database = lancedb.connect(f"{root}/db")
    for name in (name.removesuffix(".lance") for name in tables(f"{root}/db")):
        rows = database.open_table(name).to_arrow().to_pylist()
        found[f"lancedb {name}"] = sorted(json.dumps(row, sort_keys=True) for row in rows)
    return found


def commit(root):
    events = f"{root}/db/events.lance"
    before = contents(lance.dataset(events))
    with open(f"{root}/staged.json") as file:
        version, staged = json.load(file)
    fragments = [lance.fragment.FragmentMetadata.from_json(json.dumps(one)) for one in staged]
    operation = lance.LanceOperation.Append(fragments)
    lance.LanceDataset.commit(events, operation, read_version=version)
    staged = [json.dumps(row, sort_keys=True) for row in STAGED]
    assert contents(lance.dataset(events)) == sorted(before + staged), "staged rows"
    database = lancedb.connect(f"{root}/db")
    for name in (name.removesuffix(".lance") for name in tables(f"{root}/db")):
        table = database.open_table(name)
        count = table.count_rows()
        table.add([{"id": 9000, "text": "added"}])
        merged = [{"id": 9000, "text": "changed"}, {"id": 9001, "text": "new"}]
        insert = table.merge_insert("id").when_matched_update_all()
        insert.when_not_matched_insert_all().execute(merged)
        table.optimize()
        assert table.count_rows() == count + 2, name
        assert table.count_rows("text = 'changed'") == 1, name


if __name__ == "__main__":
    verb, root = sys.argv[1:]
    if verb == "read":
        print(json.dumps(read(root)))
    else:
        {"make": make, "commit": commit}[verb](root)
