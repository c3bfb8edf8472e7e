"""Cleans a table up to its newest version with pylance, and prints how long that call took.

Argument: where.
"""

import datetime
import sys
import time

import lance

table = lance.dataset(sys.argv[1])
started = time.perf_counter()
table.cleanup_old_versions(older_than=datetime.timedelta(0))
print(time.perf_counter() - started)
