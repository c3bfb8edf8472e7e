"""One small append after the other, each of which makes a job due, beside a watcher: how soon the job reads. Prints that, as JSON.

Arguments: the watcher's program, an empty place for the database, how many tables, how many triggers.

A trigger is visible from the time that the file system gives the manifest; the job's first read is the first time that anybody
opens a data file of the table afterwards, as the kernel tells it. Both are times of the wall clock, and both err on the side of
a longer wait: the first may be some milliseconds early, the second is taken when this program hears of it.
"""

import ctypes
import json
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import lance
import pyarrow as pa

program, place, tables, triggers = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
OPEN, MOVED_TO, CREATE, IS_DIR = 0x20, 0x80, 0x100, 0x40000000
# Now and then nobody has written for so long that the watcher looks only now and then.
REST_EVERY, REST = 50, 12
PATIENCE = 60
random.seed(1)


class Table:
    def __init__(self, number):
        self.name = f"t{number}"
        self.path = f"{place}/{self.name}.lance"
        self.lock = threading.Lock()
        # Whether a manifest is to come that is a trigger, when it came, and whether nobody has read since.
        self.waits, self.visible, self.is_visible = False, None, False
        self.begins, self.reads, self.done = [], [], 0
        self.rows = 1
        lance.write_dataset(pa.table({"id": [0]}), self.path)

    def append(self):
        lance.write_dataset(pa.table({"id": [self.rows]}), self.path, mode="append")
        self.rows += 1


class Kernel(threading.Thread):
    """Hears what happens in the directories of the tables."""

    def __init__(self, tables):
        super().__init__(daemon=True)
        libc = ctypes.CDLL(None, use_errno=True)
        self.file = libc.inotify_init1(0)
        self.meant = {}
        for table in tables:
            for directory, events in (("_versions", CREATE | MOVED_TO), ("data", OPEN)):
                number = libc.inotify_add_watch(self.file, f"{table.path}/{directory}".encode(), events)
                if number < 0:
                    raise OSError(ctypes.get_errno(), directory)
                self.meant[number] = (table, directory)

    def run(self):
        while True:
            content, at = os.read(self.file, 1 << 16), 0
            now = time.time_ns()
            while at < len(content):
                number, mask, _, length = struct.unpack_from("iIII", content, at)
                name = content[at + 16 : at + 16 + length].rstrip(b"\0").decode()
                at += 16 + length
                if number in self.meant and not mask & IS_DIR:
                    self.hear(*self.meant[number], name, now)

    def hear(self, table, directory, name, now):
        with table.lock:
            if directory == "data":
                if table.is_visible:
                    table.is_visible = False
                    table.reads.append((now - table.visible) / 1e6)
            elif name.endswith(".manifest") and table.waits:
                table.waits = False
                try:
                    table.visible = os.stat(f"{table.path}/_versions/{name}").st_ctime_ns
                except FileNotFoundError:
                    table.visible = now
                table.is_visible = True


def hear_lines(watcher, by_name):
    for line in watcher.stderr:
        words = line.split()
        if len(words) < 4 or words[2] not in by_name:
            continue
        table, now = by_name[words[2]], time.time_ns()
        with table.lock:
            if words[3] == "begins:" and table.visible is not None:
                table.begins.append((now - table.visible) / 1e6)
            elif words[3] in ("done:", "nothing", "failed:"):
                table.done += 1


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what} after {PATIENCE} s")
        time.sleep(0.002)


all_tables = [Table(number) for number in range(tables)]
with open(f"{place}.toml", "w") as policy:
    policy.write("[defaults]\nauto_compact = true\ncompact_threshold_files = 2\n")
watcher = subprocess.Popen(
    [program, "watch", "--policy", f"{place}.toml", place],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
)
threading.Thread(
    target=hear_lines, args=(watcher, {table.name: table for table in all_tables}), daemon=True
).start()
Kernel(all_tables).start()
time.sleep(3)
for number in range(triggers):
    table = all_tables[number % tables]
    if number % REST_EVERY == REST_EVERY - 1:
        time.sleep(REST)
    done = table.done
    with table.lock:
        table.waits = True
    table.append()
    wait_for(lambda: table.done > done, f"no job of {table.name}, trigger {number}")
    time.sleep(random.random() / 10)
watcher.send_signal(signal.SIGTERM)
code = watcher.wait(timeout=60)
whole = all(lance.dataset(table.path).count_rows() == table.rows for table in all_tables)
print(
    json.dumps(
        {
            "begins": [wait for table in all_tables for wait in table.begins],
            "reads": [wait for table in all_tables for wait in table.reads],
            "is_whole": whole,
            "code": code,
        }
    )
)
