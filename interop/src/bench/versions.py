"""Makes a table of many versions, each with one more fragment, as a writer of small batches does.

Arguments: where, how many.
"""

import sys

import lance
import pyarrow as pa

uri, count = sys.argv[1], int(sys.argv[2])
ROWS = 10
for number in range(count):
    ids = range(number * ROWS, (number + 1) * ROWS)
    rows = pa.table({"id": list(ids), "text": [f"row {id}" for id in ids]})
    lance.write_dataset(rows, uri, mode="append" if number else "create")
