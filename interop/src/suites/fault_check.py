"""What pylance reads from tables, before and after our runs.

    fault_check.py record DIRECTORY FILE    write down what is read now, of every table, branch and tag
    fault_check.py compare DIRECTORY FILE   check that the same is read now, and that indexes answer as scans do
    fault_check.py covered DIRECTORY FILE   check that every index covers every row; FILE lists those that need not

Each check is printed as one line of JSON: {"check": ..., "failure": null or why}.
"""

import json
import os
import sys
from pathlib import Path

# Statistics of an index may commit otherwise, and we only look.
os.environ.setdefault("LANCE_AUTO_MIGRATION", "false")
# It would warn of a deprecation on each of our queries.
os.environ.setdefault("LANCE_LOG", "error")

import lance

INSIDE_A_TABLE = {"_versions", "_indices", "_transactions", "_deletions", "_refs", "data", "tree"}
NEAREST = 10
# Approximate answers vary a little with how an index was trained.
RECALL_MARGIN = 0.1


def tables(directory):
    found = []
    for place, below, _ in os.walk(directory):
        versions = Path(place, "_versions")
        if any(versions.glob("*.manifest")):
            found.append(place)
            below[:] = [name for name in below if name not in INSIDE_A_TABLE]
    return {os.path.relpath(place, directory): place for place in sorted(found)}


def readers(place):
    """Everything that can be opened: name to dataset."""
    dataset = lance.dataset(place)
    found = {"main": dataset}
    for branch in dataset.branches.list():
        found[f"branch {branch}"] = dataset.checkout_version((branch, None))
    for tag in dataset.tags.list():
        found[f"tag {tag}"] = dataset.checkout_version(tag)
    return found


def rows(dataset):
    found = dataset.scanner(blob_handling="all_binary").to_table().to_pylist()
    return sorted(repr(row) for row in found)


def paths(dataset):
    """The parts of each field's path, by the field's id."""
    found = {}

    def walk(field, above):
        found[field.id()] = [*above, field.name()]
        for child in field.children():
            walk(child, found[field.id()])

    for field in dataset.lance_schema.fields():
        walk(field, [])
    return found


def values(dataset, path):
    found = []
    for row in dataset.to_table().to_pylist():
        for part in path:
            row = None if row is None else row.get(part)
        found.append(row)
    return [value for value in found if value is not None]


def filters(kind, column, known):
    if kind == "RTree":
        return [f"st_intersects({column}, st_geomfromtext('POINT({v['x']} {v['y']})'))" for v in known[:3]]
    if kind == "LabelList":
        return [f"array_has({column}, '{label}')" for label in sorted({label for v in known for label in v})]
    if kind in ("NGram", "Fm"):
        return [f"contains({column}, '{text[-4:]}')" for text in sorted(set(known))[:3]]
    picked = [repr(value) for value in sorted(set(known))[:3]]
    texts = [f"{column} IS NULL"] + [f"{column} = {value}" for value in picked]
    return texts + ([f"{column} IN ({', '.join(picked)})", f"{column} > {picked[0]}"] if picked else [])


def addresses(dataset, **how):
    return sorted(dataset.scanner(columns=[], with_row_id=True, **how).to_table()["_rowid"].to_pylist())


def recall(dataset, column, known):
    shares = []
    for point in known[:: max(1, len(known) // 5)][:5]:
        near = {"column": column, "q": point, "k": NEAREST}
        exact = set(addresses(dataset, nearest={**near, "use_index": False}))
        shares.append(len(exact & set(addresses(dataset, nearest=near))) / max(1, len(exact)))
    return sum(shares) / len(shares) if shares else None


def answers(dataset):
    """What is wrong about each index's answers, or how near they are."""
    found = {}
    for index in dataset.describe_indices():
        path = paths(dataset).get(index.fields[0]) if index.fields else None
        if path is None or index.name.startswith("__"):
            continue
        column = ".".join(part if part.isalpha() else f"`{part}`" for part in path)
        known = values(dataset, path)
        if "Vector" in index.type_url:
            found[index.name] = {"recall": recall(dataset, column, known)}
        elif index.index_type == "Inverted":
            found[index.name] = {"wrong": wrong_words(dataset, column, path, known)}
        else:
            texts = filters(index.index_type, column, known)
            wrong = [t for t in texts if addresses(dataset, filter=t) != addresses(dataset, filter=t, use_scalar_index=False)]
            found[index.name] = {"wrong": wrong}
    return found


def wrong_words(dataset, column, path, known):
    """Words that are not found in each row that has them."""
    wrong = []
    for word in sorted({word for text in known for word in text.split()})[-3:]:
        query = {"query": word, "columns": [column]}
        found = len(dataset.scanner(full_text_query=query, limit=1_000_000).to_table())
        if found != sum(word in text.split() for text in known):
            wrong.append(word)
    return wrong


def observe(directory):
    facts = {}
    for table, place in tables(directory).items():
        for reader, dataset in readers(place).items():
            facts[f"{table} {reader}"] = {"rows": rows(dataset), "answers": answers(dataset)}
    return facts


def check(name, run):
    failure = None
    try:
        run()
    except BaseException as error:  # Lance panics are no Exception.
        failure = f"{type(error).__name__}: {error}"
    print(json.dumps({"check": name, "failure": failure}), flush=True)


def compare(before, directory):
    found = observe(directory)
    for reader, facts in before.items():
        assert reader in found, f"{reader} is gone"
        now = found[reader]
        lost = [row for row in facts["rows"] if row not in set(now["rows"])]
        assert facts["rows"] == now["rows"], f"{reader}: {len(facts['rows'])} rows, now {len(now['rows'])}; lost {lost[:1]}"
        gone = set(facts["answers"]) - set(now["answers"])
        assert not gone, f"{reader}: the indexes {sorted(gone)} are gone"
        for index, known in facts["answers"].items():
            expect_answers(f"{reader}: {index}", known, now["answers"][index])


def expect_answers(what, known, now):
    # What was wrong before was Lance's own doing.
    new = [text for text in now.get("wrong", []) if text not in known.get("wrong", [])]
    assert not new, f"{what} does not answer as a scan does: {new}"
    if known.get("recall") is not None and now.get("recall") is not None:
        assert now["recall"] >= known["recall"] - RECALL_MARGIN, f"{what}: recall {known['recall']}, now {now['recall']}"


def covered(pending, directory):
    for table, place in tables(directory).items():
        dataset = lance.dataset(place)
        fragments = {f.fragment_id for f in dataset.get_fragments()}
        for index in dataset.describe_indices():
            inside = {id for segment in index.segments for id in segment.fragment_ids}
            path = ".".join(paths(dataset).get(index.fields[0], ["?"])) if index.fields else "?"
            told = index.name in pending or path in pending
            assert told or fragments <= inside, f"{table}: {index.name} leaves out {sorted(fragments - inside)}, and no report says so"


if __name__ == "__main__":
    verb, directory, file = sys.argv[1:4]
    if verb == "record":
        Path(file).write_text(json.dumps(observe(directory)))
    else:
        known = json.loads(Path(file).read_text())
        check(verb, lambda: {"compare": compare, "covered": covered}[verb](known, directory))
