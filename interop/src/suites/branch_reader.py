"""Reads every branch of a graph once, and writes nothing.

    branch_reader.py GRAPH

Prints one JSON object: the rows of each branch, each table at the version of the Lance branch that the
branch's __manifest pins. It trusts pins and files alone: what a client cannot read for reasons of its own
is read here.
"""

import json
import sys

import lance


def pins(rows):
    """Location, version and Lance branch of each table."""
    locations = {row["table_key"]: row["location"] for row in rows if row["object_type"] == "table"}
    newest, gone = {}, {}
    for row in rows:
        key, version = row["table_key"], row["table_version"]
        if row["object_type"] == "table_version" and version >= newest.get(key, (0,))[0]:
            newest[key] = (version, row["table_branch"])
        elif row["object_type"] == "table_tombstone":
            gone[key] = max(version, gone.get(key, version))
    return {
        key: (locations[key], version, branch)
        for key, (version, branch) in newest.items()
        if gone.get(key, -1) < version
    }


def read(graph, rows):
    lines = []
    for key, (location, version, branch) in sorted(pins(rows).items()):
        dataset = lance.dataset(f"{graph}/{location}")
        pinned = dataset.checkout_version((branch, version) if branch else version)
        names = [field.name for field in pinned.schema]
        for row in pinned.to_table(columns=names).to_pylist():
            lines.append(json.dumps([key, row], default=str, sort_keys=True))
    return sorted(lines)


if __name__ == "__main__":
    graph = sys.argv[1]
    manifest = lance.dataset(f"{graph}/__manifest")
    branches = {"main": manifest}
    for name in manifest.branches.list():
        if not name.startswith("__"):
            branches[name] = manifest.checkout_version((name, None))
    answer = {name: read(graph, at.to_table().to_pylist()) for name, at in branches.items()}
    print(json.dumps(answer))
