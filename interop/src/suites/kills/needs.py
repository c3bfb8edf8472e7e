"""What others do to a table of a graph, past the graph.

    needs.py append|configure|fork TABLE
"""

import sys

import lance

verb, table = sys.argv[1:]
dataset = lance.dataset(table)
if verb == "append":
    lance.write_dataset(dataset.to_table(limit=1), table, mode="append")
elif verb == "configure":
    # As clients of before 0.6 make their tables; nothing is ever old enough.
    dataset.update_config(
        {"lance.auto_cleanup.interval": "1000000", "lance.auto_cleanup.older_than": "3650d"}
    )
elif verb == "fork":
    names = dataset.branches.list()
    number = 1
    while f"nobody{number}" in names:
        number += 1
    dataset.create_branch(f"nobody{number}")
