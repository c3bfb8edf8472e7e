"""Reads main of a graph as often as it is asked to, and writes nothing.

    graph_reader.py GRAPH

Every line on stdin is answered by one line of JSON on stdout: the rows of all tables, each table at the
version that one version of __manifest pins. The clients' own commands cannot do that beside a writer: even
their export opens for writing, and takes what another process is just doing for what a dead one left.
"""

import json
import sys

import lance


def pins(graph):
    """Location and version of each table of main, at one version of __manifest."""
    rows = lance.dataset(f"{graph}/__manifest").to_table().to_pylist()
    locations = {row["table_key"]: row["location"] for row in rows if row["object_type"] == "table"}
    versions = newest(rows, "table_version")
    gone = newest(rows, "table_tombstone")
    return {
        key: (locations[key], version)
        for key, version in versions.items()
        if gone.get(key, -1) < version
    }


def newest(rows, kind):
    versions = {}
    for row in rows:
        if row["object_type"] == kind:
            key, version = row["table_key"], row["table_version"]
            versions[key] = max(version, versions.get(key, version))
    return versions


def read(graph):
    lines = []
    for key, (location, version) in sorted(pins(graph).items()):
        dataset = lance.dataset(f"{graph}/{location}", version=version)
        columns = [name for name in ("id", "src", "dst") if name in dataset.schema.names]
        for row in dataset.to_table(columns=columns).to_pylist():
            lines.append(json.dumps([key, *row.values()]))
    return sorted(lines)


if __name__ == "__main__":
    for _ in sys.stdin:
        print(json.dumps(read(sys.argv[1])), flush=True)
