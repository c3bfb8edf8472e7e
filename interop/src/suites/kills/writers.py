# Writers of a database that say what they were told, one JSON line each; see database.rs.
import json
import os
import random
import shutil
import sys
import time

import lance
import pyarrow as pa

OLD = "old.lance"
TABLES = ["stable.lance", "indexed.lance"]
SCHEMA = pa.schema([("id", pa.string()), ("note", pa.string())])


def rows(ids):
    return pa.table({"id": ids, "note": ["of " + i for i in ids]}, schema=SCHEMA)


def prepare(root):
    for name in TABLES:
        table = os.path.join(root, name)
        stable = name.startswith("stable")
        lance.write_dataset(rows([]), table, enable_stable_row_ids=stable)
    lance.dataset(os.path.join(root, "indexed.lance")).create_scalar_index("id", "BTREE")


def say(*what):
    print(json.dumps(what), flush=True)


def write(root, writer, seed):
    dice = random.Random(seed)
    certain = {name: [] for name in TABLES}
    number = 0
    while True:
        number += 1
        name = dice.choice(TABLES)
        table, own = os.path.join(root, name), certain[name]
        deletes = len(own) > 8 and dice.random() < 0.4
        if deletes:
            ids = dice.sample(own, dice.randint(1, 3))
        else:
            ids = [f"{name}/{writer}{number}r{n}" for n in range(dice.randint(1, 4))]
        say("begin", "delete" if deletes else "append", ids)
        try:
            if deletes:
                own[:] = [i for i in own if i not in ids]
                lance.dataset(table).delete("id in (" + ", ".join(f"'{i}'" for i in ids) + ")")
            else:
                lance.write_dataset(rows(ids), table, mode="append")
                own.extend(ids)
            say("done")
        except Exception as error:
            if not any(word in str(error).lower() for word in ("conflict", "contention")):
                raise
            say("refused", str(error))
        time.sleep(dice.random() * 0.2)


def read(root):
    found = []
    for name in TABLES:
        table = lance.dataset(os.path.join(root, name))
        found += table.to_table(columns=["id"]).column("id").to_pylist()
    print(json.dumps(found))


def old(root):
    """A table with names of the old kind, eight versions of it, which nobody else knows."""
    table = os.path.join(root, OLD)
    shutil.rmtree(table, ignore_errors=True)
    lance.write_dataset(rows(["v1"]), table, enable_v2_manifest_paths=False)
    for version in range(2, 9):
        lance.write_dataset(rows([f"v{version}"]), table, mode="append")
    names = os.listdir(os.path.join(table, "_versions"))
    assert "8.manifest" in names, names


def renamed(root):
    """All eight versions are there under their new names, each with its rows."""
    table = os.path.join(root, OLD)
    names = [name for name in os.listdir(os.path.join(table, "_versions")) if name.endswith(".manifest")]
    assert len(names) == 8 and all(len(name) > 20 for name in names), names
    for version in range(1, 9):
        assert lance.dataset(table, version=version).count_rows() == version, version
    shutil.rmtree(table)


if __name__ == "__main__":
    verb, root, *rest = sys.argv[1:]
    {"prepare": prepare, "write": write, "read": read, "old": old, "renamed": renamed}[verb](root, *rest)
