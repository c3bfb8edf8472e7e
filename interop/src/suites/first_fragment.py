"""Makes a database whose indexes leave out the fragment with the id 0, and another one at the end.

    first_fragment.py DATABASE

Fragment 0 is the one that a rewrite without reserved ids would be mistaken for: an index that then covers
"fragment 0" answers without the rows that are really there. One table has stable row ids and one has not.
"""

import sys

import lance
import pyarrow as pa

FRAGMENTS = 5
INDEXED = [1, 2, 3]
ROWS = 120
DIMENSIONS = 8
INDEXES = [("id", "BTREE", {}), ("text", "INVERTED", {}), ("vector", "IVF_FLAT", {"num_partitions": 2})]


def rows(fragment):
    numbers = range(fragment * ROWS, (fragment + 1) * ROWS)
    # Spread over the circle, each in a place of its own.
    vectors = [[((number * 37 + place * 11) % 101) / 101 for place in range(DIMENSIONS)] for number in numbers]
    return pa.table(
        {
            "id": [f"row{number:05}" for number in numbers],
            # Every word is in every fragment.
            "text": [f"word{number % 7} of all" for number in numbers],
            "vector": pa.array(vectors, pa.list_(pa.float32(), DIMENSIONS)),
        }
    )


def make(path, stable_row_ids):
    dataset = lance.write_dataset(rows(0), path, enable_stable_row_ids=stable_row_ids)
    for fragment in range(1, FRAGMENTS):
        dataset = lance.write_dataset(rows(fragment), path, mode="append")
    for column, kind, options in INDEXES:
        name = f"{column}_idx"
        segment = dataset.create_index_uncommitted(
            column, kind, name=name, fragment_ids=INDEXED, **options
        )
        dataset = dataset.commit_existing_index_segments(name, column, [segment])
    expect(lance.dataset(path), stable_row_ids)


def expect(dataset, stable_row_ids):
    found = [fragment.fragment_id for fragment in dataset.get_fragments()]
    assert found == list(range(FRAGMENTS)), f"the fragments are {found}"
    assert dataset.has_stable_row_ids == stable_row_ids, "the row ids are of the other kind"
    indexes = dataset.describe_indices()
    assert len(indexes) == len(INDEXES), f"the indexes are {indexes}"
    for index in indexes:
        covered = sorted(id for segment in index.segments for id in segment.fragment_ids)
        assert covered == INDEXED, f"{index.name} covers {covered}"


if __name__ == "__main__":
    make(f"{sys.argv[1]}/addresses.lance", False)
    make(f"{sys.argv[1]}/stable.lance", True)
