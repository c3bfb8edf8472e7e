"""A reader that stays at a version for a while and reads it again and again, until its input ends. Prints what it saw, as JSON.

Arguments: the database, a seed.
"""

import glob
import json
import random
import sys
import threading
import time

import lance
import pyarrow.compute as pc

place, seed = sys.argv[1], int(sys.argv[2])
random.seed(seed)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
PINNED = 20


def read(path, version):
    # Opened anew: what is in the memory of a handle says nothing about the disk.
    table = lance.dataset(path, version=version).to_table(columns=["id", "value"])
    return len(table), pc.sum(table["id"]).as_py(), pc.sum(table["value"]).as_py()


pins, reads, errors = 0, 0, []
while not over.is_set():
    path = random.choice(sorted(glob.glob(f"{place}/*.lance")))
    until = time.monotonic() + PINNED
    try:
        version = lance.dataset(path).version
        first = read(path, version)
        pins += 1
        while time.monotonic() < until and not over.is_set():
            again = read(path, version)
            reads += 1
            if again != first:
                errors.append(f"version {version} of {path} was {first} and is {again}")
            time.sleep(0.3)
    except Exception as error:  # Whatever it is, a reader must not see it.
        errors.append(str(error).splitlines()[0][:200])
        time.sleep(1)
print(json.dumps({"pins": pins, "reads": reads, "errors": errors}))
