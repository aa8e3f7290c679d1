"""Households: the same whatever the order, and never an answer to who somebody is."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import engine.linkage
from engine.warehouse.households import Stay, bonds

STAYS = st.lists(
    st.builds(
        Stay,
        st.sampled_from([b"a" * 16, b"b" * 16, b"c" * 16]),
        st.integers(0, 2),
        st.integers(0, 12),
        st.integers(0, 12),
        st.integers(1, 2),
    ),
    max_size=8,
)


@given(STAYS, st.randoms(use_true_random=False))
def test_two_people_are_bound_on_exactly_the_days_they_shared_a_place(
    stays: list[Stay], chance: Any
) -> None:
    found = bonds(stays)
    shuffled = list(stays)
    chance.shuffle(shuffled)
    assert bonds(shuffled) == found
    days: dict[tuple[bytes, bytes], set[int]] = {}
    for one in stays:
        for other in stays:
            if one.person < other.person and one.place == other.place and one.place:
                shared = set(range(one.start, one.end + 1)) & set(range(other.start, other.end + 1))
                days.setdefault((one.person, other.person), set()).update(shared)
    assert {(bond.a, bond.b) for bond in found} == {pair for pair, held in days.items() if held}
    for bond in found:
        assert {day for day in range(13) if bond.on(day)} == days[bond.a, bond.b]
        assert list(bond.spans) == sorted(bond.spans)


def test_two_agencies_that_say_the_same_make_a_bond_surer() -> None:
    a, b = b"a" * 16, b"b" * 16
    council = [Stay(a, 7, 0, 9, 1), Stay(b, 7, 0, 9, 1)]
    housing = [Stay(a, 8, 5, 20, 2), Stay(b, 8, 5, 20, 2)]
    assert [one.confidence for one in bonds(council)] == ["one source"]
    (both,) = bonds([*council, *housing])
    assert (both.confidence, both.spans) == ("two sources", ((0, 20),))


@pytest.mark.finding("LNK-23")
def test_a_place_with_a_crowd_binds_nobody_and_one_with_many_over_the_years_does() -> None:
    crowd = [Stay(bytes([n]) * 16, 7, 0, 9, 1) for n in range(20)]
    assert bonds(crowd) == []
    years = [Stay(bytes([n]) * 16, 7, n * 10, n * 10 + 12, 1) for n in range(20)]
    assert len(bonds(years)) == 19


def test_linkage_reads_no_household() -> None:
    folder = Path(engine.linkage.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert "household" not in (node.module or ""), path


@pytest.mark.finding("B06")
def test_twins_at_two_schools_keep_each_their_own_places() -> None:
    """A place belongs to the record that says it: parted or joined, no twin is moved to the other's school."""
    home, north, south = 1, 2, 3
    one, two, first, second = (bytes([n]) * 16 for n in range(1, 5))
    stays = [Stay(one, home, 0, 10, 1), Stay(two, home, 0, 10, 1), Stay(one, north, 0, 10, 2),
             Stay(first, north, 0, 10, 2), Stay(two, south, 0, 10, 2), Stay(second, south, 0, 10, 2)]  # fmt: skip
    pairs = {frozenset((bond.a, bond.b)) for bond in bonds(stays)}
    assert pairs == {frozenset((one, two)), frozenset((one, first)), frozenset((two, second))}
