"""What LanceDB reads from a database, before and after an optimize of ours.

    lancedb_check.py record DATABASE FILE    write down what is read now
    lancedb_check.py compare DATABASE FILE   check that the same is read now
    lancedb_check.py write DATABASE FILE     add rows and optimize with LanceDB itself

Each check is printed as one line of JSON: {"check": ..., "failure": null or why}.
"""

import json
import os
import sys
from pathlib import Path

# Read when lancedb is imported: it would warn of a deprecation on each of our queries.
os.environ.setdefault("LANCEDB_LOG", "error")

import lance
import lancedb

EVERYTHING = 1_000_000
# All tables are small. An optimize, ours or LanceDB's, leaves one fragment, or a few where fragments
# that an index covers are not merged with others.
FEW_FRAGMENTS = 3
NEW_ROWS = 7
SCALAR_INDEXES = {"BTREE", "BITMAP"}


def tables(database):
    connection = lancedb.connect(database)
    names = sorted(path.stem for path in Path(database).glob("*.lance"))
    return {name: connection.open_table(name) for name in names}


def indexes(table):
    """Pairs of (kind, column), with FTS and vector kinds as in FTS and IVF_PQ."""
    return sorted(
        (table.index_stats(index.name).index_type, index.columns[0])
        for index in table.list_indices()
    )


def rows(table):
    return sorted(repr(row) for row in table.to_arrow().to_pylist())


def ids(query):
    return sorted(row["id"] for row in query.select(["id"]).limit(EVERYTHING).to_list())


def scalar_filters(table, column):
    values = sorted(set(table.to_arrow()[column].to_pylist()))
    low, middle, high = values[0], values[len(values) // 2], values[-1]
    return [
        f"{column} = '{low}'",
        f"{column} = '{high}'",
        f"{column} > '{middle}'",
        f"{column} IN ('{low}', '{middle}') AND id IS NOT NULL",
        f"{column} = 'no such value'",
    ]


def filter_answers(table, column):
    return {f: ids(table.search().where(f)) for f in scalar_filters(table, column)}


def text_answers(table, column):
    words = sorted({w for text in table.to_arrow()[column].to_pylist() for w in text.split()})
    return {
        word: ids(table.search(word, query_type="fts", fts_columns=column)) for word in words[:8]
    }


def vector_answers(table, column):
    """The nearest rows by the index. Every partition is probed and every hit is measured again, so that
    a right index answers as a scan does."""
    stored = table.search().select(["id", column]).limit(EVERYTHING).to_list()
    answers = {}
    for row in sorted(stored, key=lambda row: row["id"])[::100]:
        query = table.search(row[column], vector_column_name=column).limit(10)
        exact = query.bypass_vector_index().select(["id"]).to_list()
        query = table.search(row[column], vector_column_name=column).limit(10)
        found = query.nprobes(1_000).refine_factor(50).select(["id"]).to_list()
        expect_equal(ids_of(exact), ids_of(found), f"the nearest of {row['id']}")
        answers[row["id"]] = ids_of(found)
    return answers


def ids_of(found):
    return sorted(row["id"] for row in found)


def answers(table, kind, column):
    if kind in SCALAR_INDEXES:
        return filter_answers(table, column)
    if kind == "FTS":
        return text_answers(table, column)
    return vector_answers(table, column)


def fragments(table):
    return len(lance.dataset(table.uri).get_fragments())


def expect_few_fragments(table):
    assert fragments(table) <= FEW_FRAGMENTS, f"it still has {fragments(table)}"


def expect_equal(expected, found, what):
    if expected == found:
        return
    if isinstance(expected, list) and isinstance(found, list):
        lost = [item for item in expected if item not in set(found)]
        gained = [item for item in found if item not in set(expected)]
        raise AssertionError(f"{what}: {len(lost)} lost {lost[:1]}, {len(gained)} gained {gained[:1]}")
    if isinstance(expected, dict):
        for key in expected:
            expect_equal(expected[key], found.get(key), f"{what}: {key}")
    raise AssertionError(f"{what}: {expected} before, {found} now")


def check(name, run):
    failure = None
    try:
        run()
    except BaseException as error:  # Lance panics are no Exception.
        failure = f"{type(error).__name__}: {error}"
    print(json.dumps({"check": name, "failure": failure}), flush=True)


def observe(table):
    found = {"rows": rows(table), "indexes": [list(index) for index in indexes(table)]}
    for kind, column in indexes(table):
        found[f"{kind} on {column}"] = answers(table, kind, column)
    return found


def record(database, file):
    facts = {name: observe(table) for name, table in tables(database).items()}
    Path(file).write_text(json.dumps(facts))


def compare(database, file):
    before = json.loads(Path(file).read_text())
    check("the same tables", lambda: expect_equal(sorted(before), sorted(tables(database)), "tables"))
    for name, table in tables(database).items():
        facts = before[name]
        check(f"{name}: few fragments", lambda: expect_few_fragments(table))
        check(f"{name}: the dataset is valid", lance.dataset(table.uri).validate)
        check(f"{name}: rows", lambda: expect_equal(facts["rows"], rows(table), "rows"))
        check(f"{name}: indexes", lambda: expect_covering(table, facts["indexes"]))
        for kind, column in indexes(table):
            label = f"{kind} on {column}"
            # LanceDB 0.40 does not see the B-trees that pylance 14 builds over stable row ids, so that there
            # may be nothing to compare ours with but a scan.
            known = facts.get(label)
            check(f"{name}: {label}", lambda: expect_answers(table, kind, column, known))


def expect_covering(table, expected):
    """No index is gone, and each covers every row."""
    found = [list(index) for index in indexes(table)]
    gone = [index for index in expected if index not in found]
    assert not gone, f"the indexes {gone} are gone, of {expected}"
    for index in table.list_indices():
        missing = table.index_stats(index.name).num_unindexed_rows
        assert missing == 0, f"{index.name} leaves out {missing} rows"


def expect_answers(table, kind, column, known):
    found = answers(table, kind, column)
    if known is not None:
        expect_equal(known, found, "answers")
    if kind in SCALAR_INDEXES:
        for text in found:
            expect_equal(scan(table, text), found[text], f"{text} against a scan")
            plan = table.search().where(text).explain_plan()
            assert "ScalarIndex" in plan, f"{text} does not use the index: {plan}"


def scan(table, text):
    """The answer without any index."""
    found = lance.dataset(table.uri).scanner(columns=["id"], filter=text, use_scalar_index=False)
    return sorted(row["id"] for row in found.to_table().to_pylist())


def write(database, _file):
    for name in tables(database):
        check(f"{name}: LanceDB adds, deletes and optimizes", lambda: write_table(database, name))


def write_table(database, name):
    table = tables(database)[name]
    before = table.to_arrow()
    new = before.slice(0, NEW_ROWS).to_pylist()
    for number, row in enumerate(new):
        row["id"] = f"interop-{number}"
    table.add(new, mode="append")
    gone = before["id"][-1].as_py()
    table.delete(f"id = '{gone}'")
    expected = sorted(
        [repr(row) for row in before.to_pylist() if row["id"] != gone] + [repr(row) for row in new]
    )
    expect_equal(expected, rows(table), "rows before LanceDB's optimize")
    table.optimize()
    table = tables(database)[name]
    expect_equal(expected, rows(table), "rows after LanceDB's optimize")
    expect_covering(table, [list(index) for index in indexes(table)])
    for kind, column in indexes(table):
        found = answers(table, kind, column)
        if kind in SCALAR_INDEXES:
            for text in found:
                expect_equal(scan(table, text), found[text], f"{text} against a scan")


if __name__ == "__main__":
    {"record": record, "compare": compare, "write": write}[sys.argv[1]](*sys.argv[2:])
