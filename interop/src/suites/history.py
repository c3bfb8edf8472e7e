# The commits that a graph of before v4 keeps in a dataset of their own, with who made them, by branch, as JSON.
import json
import os
import sys

import lance

dataset = os.path.join(sys.argv[1], "_graph_commits.lance")
history = {}


def actors():
    """Who made which commit: that lies on main for all branches."""
    dataset = os.path.join(sys.argv[1], "_graph_commit_actors.lance")
    if not os.path.exists(dataset):
        return {}
    rows = lance.dataset(dataset).to_table().to_pylist()
    return {row["graph_commit_id"]: row["actor_id"] for row in rows}


if os.path.exists(dataset):
    commits = lance.dataset(dataset)
    made_by = actors()
    for branch in [None, *commits.branches.list()]:
        at = commits if branch is None else commits.checkout_version((branch, None))
        rows = at.to_table().to_pylist()
        for row in rows:
            row["created_at"] = round(row["created_at"].timestamp() * 1e6)
            row["actor_id"] = made_by.get(row["graph_commit_id"])
        history[branch or "main"] = rows
print(json.dumps(history))
