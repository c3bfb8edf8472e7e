"""Writers and readers of five tables for minutes: alone, beside a watcher, and beside one that is killed again and again.

Arguments: the watcher's program, an empty place, the client that writes, the seconds beside the watcher, how often the watcher is
killed, a seed. Prints what was measured, as JSON; what went wrong is in `wrong`.
"""

import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time

import lance
import pyarrow as pa

program, place, client = sys.argv[1], sys.argv[2], sys.argv[3]
seconds, kills, seed = float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6])
TABLES, WRITERS, READERS = 5, 4, 2
here = os.path.dirname(os.path.abspath(__file__))
random.seed(seed)
wrong, numbers = [], iter(range(1, 10_000))


def say(text):
    print(text, file=sys.stderr, flush=True)


def database(name):
    path = f"{place}/{name}"
    os.mkdir(path)
    schema = pa.schema([("id", pa.int64()), ("value", pa.int64()), ("text", pa.string())])
    for number in range(TABLES):
        lance.write_dataset(schema.empty_table(), f"{path}/t{number}.lance")
    return path


def tables(path):
    return [f"{path}/t{number}.lance" for number in range(TABLES)]


def start(script, *arguments):
    command = [sys.executable, f"{here}/{script}.py", *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def end(process):
    said, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{process.args} ended with {process.returncode}")
    return json.loads(said)


class Watch:
    def __init__(self, path):
        self.log = open(f"{path}.log", "a")
        command = [program, "watch", "--policy", f"{place}/policies.toml", path]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log)

    def peak(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            lines = dict(line.split(":", 1) for line in status if ":" in line)
        return int(lines["VmHWM"].split()[0]) / 1024

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=90)
        if code:
            wrong.append(f"the watcher ended with {code}")


class Samples(threading.Thread):
    """How many fragments the tables have, again and again."""

    def __init__(self, path, watch=None):
        super().__init__(daemon=True)
        self.path, self.watch, self.over = path, watch, threading.Event()
        self.fragments, self.memory = [], 0
        self.start()

    def run(self):
        while not self.over.wait(0.5):
            self.fragments += [len(lance.dataset(table).get_fragments()) for table in tables(self.path)]
            if self.watch:
                self.memory = max(self.memory, self.watch.peak())

    def end(self):
        self.over.set()
        self.join()
        self.fragments.sort()


def work(path, during, watch=None):
    """Lets everybody work while `during` runs; returns what they did."""
    samples = Samples(path, watch)
    writers = [start("writer", client, path, next(numbers), seed) for _ in range(WRITERS)]
    readers = [start("reader", path, seed + number) for number in range(READERS)]
    during()
    writers, readers = [end(writer) for writer in writers], [end(reader) for reader in readers]
    samples.end()
    for reader in readers:
        wrong.extend(f"a reader: {error}" for error in reader["errors"])
    latencies = sorted(latency for writer in writers for latency in writer["latencies"])
    refused = {}
    for writer in writers:
        for kind, count in writer["refused"].items():
            refused[kind] = refused.get(kind, 0) + count
    return {
        "writes": len(latencies),
        "refused": refused,
        "middle_ms": percentile(latencies, 0.5) * 1e3,
        "p99_ms": percentile(latencies, 0.99) * 1e3,
        "most_fragments": samples.fragments[-1] if samples.fragments else 0,
        "usual_fragments": percentile(samples.fragments, 0.5),
        "memory_mib": samples.memory,
        "reads_of_old_versions": sum(reader["reads"] for reader in readers),
    }, writers


def percentile(ordered, share):
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)] if ordered else 0


def check(path, writers):
    """Every row that was acknowledged is there, with its last value, and no other row is."""
    rows = 0
    for table in tables(path):
        name = os.path.basename(table).removesuffix(".lance")
        found = lance.dataset(table).to_table(columns=["id", "value"])
        found = list(zip(found["id"].to_pylist(), found["value"].to_pylist()))
        here = dict(found)
        if len(here) < len(found):
            wrong.append(f"{name}: {len(found) - len(here)} rows are there twice")
        known = {int(i): values for writer in writers for i, values in writer["rows"][name].items()}
        lost = [i for i, values in known.items() if here.get(i) not in values]
        strange = [i for i in here if i not in known]
        if lost or strange:
            wrong.append(f"{name}: {len(lost)} rows are not as written, as {lost[:3]}, {len(strange)} were never written")
        rows += len(here)
    return rows


def jobs(path):
    listed = subprocess.run([program, "jobs", "list", path, "--json", "-q"], stdout=subprocess.PIPE, check=True, text=True)
    counts = {}
    for job in json.loads(listed.stdout)["roots"][0]["jobs"]:
        counts[job["compaction_status"]] = counts.get(job["compaction_status"], 0) + 1
    return counts


def be_killed(path):
    for kill in range(kills):
        watch = Watch(path)
        time.sleep(0.3 + 2.2 * random.random())
        watch.kill()
    say(f"  killed {kills} times")


# What deletes is on, and may not touch what is younger than its floors: that is all there is.
with open(f"{place}/policies.toml", "w") as policies:
    policies.write("[defaults]\nauto_compact = true\nretain_days = 1\nkeep_versions = 10\nversion_count = 20\n")

say(f"  {seconds / 2:.0f} s alone")
alone, _ = work(database("alone"), lambda: time.sleep(seconds / 2))
say(f"  {seconds:.0f} s beside the watcher")
path = database("watched")
watch = Watch(path)
time.sleep(1)
beside, all_writers = work(path, lambda: time.sleep(seconds), watch)
watch.stop()
say(f"  {seconds / 2:.0f} s alone")
alone_again, _ = work(database("alone_again"), lambda: time.sleep(seconds / 2))
check(path, all_writers)
versions = {"all": sum(len(os.listdir(f"{table}/_versions")) for table in tables(path)), "of_writers": beside["writes"] + TABLES}
say("  beside a watcher that is killed")
killed, more = work(path, lambda: be_killed(path))
all_writers += more
died = jobs(path)
watch = Watch(path)
time.sleep(20)
left = max(len(lance.dataset(table).get_fragments()) for table in tables(path))
watch.stop()
rows = check(path, all_writers)
verified = subprocess.run([program, "verify", path, "-q"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
if verified.returncode:
    wrong.append(f"verify ended with {verified.returncode}: {verified.stdout[-500:]}")
after = jobs(path)
if after.get("running") or after.get("queued"):
    wrong.append(f"jobs are left open: {after}")
print(
    json.dumps(
        {
            "alone": alone,
            "alone_again": alone_again,
            "beside": beside,
            "killed": killed,
            "rows": rows,
            "versions": versions,
            "jobs_after_kills": died,
            "jobs": after,
            "fragments_at_rest": left,
            "wrong": wrong,
        }
    )
)
