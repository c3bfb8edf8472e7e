"""A writer that appends, updates and deletes all the time until its input ends. Prints what it did and what must be there, as JSON.

Arguments: the client (`pylance` or `lancedb`), the database, its number, a seed. Rows with an id from its number times a thousand
million on are its own. What was acknowledged must be there; what was refused may be.
"""

import glob
import json
import os
import random
import sys
import threading
import time

import pyarrow as pa

client, place, number, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
random.seed(seed * 1000 + number)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
PAUSE = 0.02


def rows(ids, value):
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "value": pa.array([value] * len(ids), pa.int64()),
            "text": [f"row {i} of writer {number}" for i in ids],
        }
    )


class Pylance:
    def __init__(self, path):
        import lance

        self.lance, self.path = lance, path

    def append(self, ids, value):
        self.lance.write_dataset(rows(ids, value), self.path, mode="append")

    def update(self, ids, value):
        self.lance.dataset(self.path).update({"value": str(value)}, where=among(ids))

    def delete(self, ids):
        self.lance.dataset(self.path).delete(among(ids))


class LanceDb:
    def __init__(self, path):
        import lancedb

        database = lancedb.connect(os.path.dirname(path))
        self.table = database.open_table(os.path.basename(path).removesuffix(".lance"))

    def append(self, ids, value):
        self.table.add(rows(ids, value))

    def update(self, ids, value):
        self.table.update(where=among(ids), values={"value": value})

    def delete(self, ids):
        self.table.delete(among(ids))


def among(ids):
    return f"id IN ({', '.join(map(str, ids))})"


class Table:
    def __init__(self, path):
        self.name = os.path.basename(path).removesuffix(".lance")
        self.client = {"pylance": Pylance, "lancedb": LanceDb}[client](path)
        self.next = number * 1_000_000_000
        # Of each row what its value may be; `None` stands for no row.
        self.rows = {}

    def some(self, most):
        live = [i for i, values in self.rows.items() if None not in values]
        return random.sample(live, min(len(live), random.randint(1, most)))

    def write(self, value):
        what = random.choices(("append", "update", "delete"), (60, 25, 15))[0]
        if what == "append":
            ids = list(range(self.next, self.next + random.randint(1, 20)))
            self.next = ids[-1] + 1
            after = value
        else:
            ids = self.some(5)
            after = value if what == "update" else None
        if not ids:
            return None
        before = {i: self.rows.get(i, [None]) for i in ids}
        started = time.perf_counter()
        try:
            self.client.append(ids, value) if what == "append" else (
                self.client.update(ids, value) if what == "update" else self.client.delete(ids)
            )
        except Exception as error:  # Whatever a client says when somebody else was faster.
            for i in ids:
                self.rows[i] = before[i] + [after]
            kind = f"{what}: {str(error).splitlines()[0][:100]}"
            refused[kind] = refused.get(kind, 0) + 1
            return None
        for i in ids:
            self.rows[i] = [after]
        return time.perf_counter() - started


refused, latencies = {}, []
tables = [Table(path) for path in sorted(glob.glob(f"{place}/*.lance"))]
value = 0
while not over.is_set():
    value += 1
    latency = random.choice(tables).write(value)
    if latency is not None:
        latencies.append(latency)
    time.sleep(PAUSE * random.random() * 2)
print(
    json.dumps(
        {
            "latencies": latencies,
            "refused": refused,
            "rows": {table.name: table.rows for table in tables},
        }
    )
)
