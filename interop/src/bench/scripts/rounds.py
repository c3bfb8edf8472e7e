"""Many rounds of writing beside one watcher: what it does to its memory. Prints that, as JSON.

Arguments: the watcher's program, an empty place for the database, how many tables, how many rounds.
"""

import json
import os
import signal
import subprocess
import sys
import time

import lance
import numpy as np
import pyarrow as pa

program, place, tables, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
APPENDED, MERGED = 20_000, 2_000
random = np.random.default_rng(3)


def rows(ids):
    return pa.table(
        {
            "id": ids,
            "v": random.random(len(ids)),
            "txt": pa.array([f"payload text {i * 2654435761 % 1000003} some words here" for i in ids]),
            "emb": pa.FixedSizeListArray.from_arrays(pa.array(random.random(len(ids) * 32).astype("f4")), 32),
        }
    )


def resident(process):
    """Mebibytes now, and at most so far."""
    with open(f"/proc/{process.pid}/status") as status:
        sizes = dict(line.split(":", 1) for line in status)
    return tuple(int(sizes[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))


paths = [f"{place}/t{number}.lance" for number in range(tables)]
for path in paths:
    lance.write_dataset(rows(np.arange(APPENDED)), path)
    lance.dataset(path).create_scalar_index("id", "BTREE")
    name = os.path.basename(path).removesuffix(".lance")
    subprocess.run([program, "sql", place, f"ALTER TABLE {name} SET (auto_compact = true)"], check=True, stdout=subprocess.DEVNULL)
watcher = subprocess.Popen([program, "watch", place], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
time.sleep(5)
idle, _ = resident(watcher)
after_round, most = [], 0
for number in range(rounds):
    for path in paths:
        first = (number + 1) * APPENDED
        lance.write_dataset(rows(np.arange(first, first + APPENDED)), path, mode="append")
        merged = random.choice(first, MERGED, replace=False)
        table = lance.dataset(path)
        table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all().execute(rows(merged))
    after_round.append(resident(watcher)[0])
    most = max(most, *(len(lance.dataset(path).get_fragments()) for path in paths))
time.sleep(30)
rest, peak = resident(watcher)
watcher.send_signal(signal.SIGTERM)
code = watcher.wait(timeout=60)
expected = (rounds + 1) * APPENDED
whole = all(lance.dataset(path).count_rows() == expected for path in paths)
half = len(after_round) // 2
print(
    json.dumps(
        {
            "idle": idle,
            "peak": peak,
            "rest": rest,
            "first_half": max(after_round[min(10, half) : half] or after_round),
            "second_half": max(after_round[half:]),
            "fragments": most,
            "is_whole": whole,
            "code": code,
        }
    )
)
