# The commits that a graph of before v4 keeps in a dataset of their own, by branch, as JSON.
import json
import os
import sys

import lance

dataset = os.path.join(sys.argv[1], "_graph_commits.lance")
history = {}
if os.path.exists(dataset):
    commits = lance.dataset(dataset)
    for branch in [None, *commits.branches.list()]:
        at = commits if branch is None else commits.checkout_version((branch, None))
        rows = at.to_table().to_pylist()
        for row in rows:
            row["created_at"] = round(row["created_at"].timestamp() * 1e6)
        history[branch or "main"] = rows
print(json.dumps(history))
