"""Runs a program to its end and writes what it took to a file, as JSON.

A small program of its own: the peak memory of a child counts what it was forked from.

Arguments: the file, the program, its arguments.
"""

import json
import os
import sys
import time

file, *command = sys.argv[1:]
started = time.perf_counter()
child = os.spawnvp(os.P_NOWAIT, command[0], command)
os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
wall = time.perf_counter() - started
# A process that has ended keeps its counters until it is waited for, with those of its own children.
with open(f"/proc/{child}/io") as counters:
    io = {name: int(count) for name, count in (line.split(": ") for line in counters)}
_, status, used = os.wait4(child, 0)
with open(file, "w") as out:
    json.dump(
        {"wall": wall, "peak": used.ru_maxrss * 1024, "read": io["rchar"], "written": io["wchar"]}, out
    )
sys.exit(os.waitstatus_to_exitcode(status) != 0)
