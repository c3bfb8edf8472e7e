"""A writer that appends all the time, alone and then beside an optimize. Prints its latencies, as JSON.

Arguments: the table, the command to run beside it.
"""

import json
import subprocess
import sys
import time
import zlib

import lance
from facts import facts

path, *command = sys.argv[1:]
before = facts(path)
row = lance.dataset(path).take([0])
refused = []


def append_while(goes_on):
    latencies = []
    while goes_on():
        started = time.perf_counter()
        try:
            lance.write_dataset(row, path, mode="append")
            latencies.append(time.perf_counter() - started)
        except OSError as error:
            refused.append(str(error))
        time.sleep(0.02)
    return latencies


end = time.perf_counter() + 3
alone = append_while(lambda: time.perf_counter() < end)
report = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
beside = append_while(lambda: report.poll() is None)
said = report.stdout.read()
if report.returncode:
    sys.exit(f"{command[0]} ended with {report.returncode}")

# The first row's id, once more for each append.

each = zlib.crc32(str(row["id"][0].as_py()).encode())
expected = before["checksum"] + each * (len(alone) + len(beside))
after = facts(path)
print(
    json.dumps(
        {
            "alone": alone,
            "beside": beside,
            "refused": refused,
            "is_whole": after["checksum"] == expected,
            "fragments": after["fragments"],
            "report": json.loads(said),
        }
    )
)
