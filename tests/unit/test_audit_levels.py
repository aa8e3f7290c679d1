"""Proofs from complete subtrees are those of the tree, and an index that lies is found out."""

import hashlib
import random
import sqlite3

import pytest

from audit.levels import SCHEMA, Stored, consistency, inclusion, keep_roots, root_at
from audit.merkle import (
    EMPTY_ROOT,
    consistency_proof,
    inclusion_proof,
    root_of,
    verify_consistency,
    verify_inclusion,
)


def stored(size: int, *, batch: int = 1000, roots: bool = True) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE leaf (seq INTEGER PRIMARY KEY, hash BLOB)")
    connection.execute(SCHEMA)
    for start in range(0, size, batch):
        end = min(size, start + batch)
        rows = [(seq, hashlib.sha256(b"%d" % seq).digest()) for seq in range(start, end)]
        connection.executemany("INSERT INTO leaf VALUES (?, ?)", rows)
        if roots:
            keep_roots(connection, end)
    return connection


def leaves(size: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % seq).digest() for seq in range(size)]


@pytest.mark.parametrize("size", [*range(1, 20), 255, 256, 257, 511, 513, 700])
def test_every_proof_is_that_of_the_tree(size):
    node, all_leaves = Stored(stored(size)), leaves(size)
    assert root_at(node, size) == root_of(all_leaves)
    for index in range(0, size, max(1, size // 40)):
        assert inclusion(node, index, size) == inclusion_proof(all_leaves, index)
    for old in range(1, size + 1, max(1, size // 40)):
        assert consistency(node, old, size) == consistency_proof(all_leaves, old)


def test_proofs_hold_across_three_levels_and_any_batches():
    size = 66_000
    node, all_leaves = Stored(stored(size, batch=777)), leaves(size)
    root = root_of(all_leaves)
    assert root_at(node, size) == root
    chance = random.Random(4)
    for index in [0, 255, 256, 65_535, 65_536, size - 1, *chance.choices(range(size), k=20)]:
        assert verify_inclusion(all_leaves[index], index, size, inclusion(node, index, size), root)
    for old in [1, 256, 257, 65_536, size - 1, *chance.choices(range(1, size), k=20)]:
        proof = consistency(node, old, size)
        assert verify_consistency(old, size, proof, root_at(node, old), root)


def test_a_log_from_before_there_were_roots_proves_the_same_and_catches_up():
    size = 1_000
    connection = stored(size, roots=False)
    assert inclusion(Stored(connection), 7, size) == inclusion_proof(leaves(size), 7)
    keep_roots(connection, size)
    assert connection.execute("SELECT place FROM tile ORDER BY place").fetchall() == [
        (0,),
        (1,),
        (2,),
    ]
    assert inclusion(Stored(connection), 7, size) == inclusion_proof(leaves(size), 7)


def test_a_missing_root_is_computed_from_the_leaves():
    size = 66_000
    connection = stored(size)
    connection.execute("DELETE FROM tile WHERE place % 3 = 0")
    assert root_at(Stored(connection), size) == root_of(leaves(size))


def test_a_missing_leaf_is_no_proof():
    connection = stored(300)
    connection.execute("DELETE FROM leaf WHERE seq = 270")
    with pytest.raises(LookupError):
        inclusion(Stored(connection), 280, 300)


def test_a_wrong_root_gives_a_proof_that_does_not_verify():
    connection = stored(600)
    connection.execute("UPDATE tile SET root = zeroblob(32) WHERE place = 1")
    node = Stored(connection)
    proof = inclusion(node, 3, 600)
    assert not verify_inclusion(leaves(600)[3], 3, 600, proof, root_of(leaves(600)))


def test_nothing_is_read_twice_until_it_is_cleared():
    connection = stored(600)
    node = Stored(connection)
    first = inclusion(node, 5, 600)
    connection.execute("DELETE FROM leaf")
    connection.execute("DELETE FROM tile")
    assert inclusion(node, 5, 600) == first
    node.clear()
    with pytest.raises(LookupError):
        inclusion(node, 5, 600)


def test_an_empty_tree_has_the_root_of_nothing():
    assert root_at(Stored(stored(0)), 0) == EMPTY_ROOT
    assert consistency(Stored(stored(0)), 0, 0) == []
