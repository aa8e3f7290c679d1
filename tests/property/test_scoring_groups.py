"""Groups: the same whatever the order, of suspects alone, of a stated size, and carried from run to run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.groups import Groups, groups_of
from scoring.run import run
from tests.builders.scoring_columns import TABLES, Event, State, name32, world, write_job

NOW, PEOPLE = 5000, 40
NAMES = [name32("p", number) for number in range(200)]


def _groups(
    events: list[Event | State],
    *,
    people: int = PEOPLE,
    before: Mapping[int, frozenset[bytes]] | None = None,
    names: list[bytes] = NAMES,
    tables: Any = TABLES,
) -> Groups:
    found = world(
        [row for row in events if isinstance(row, Event)],
        [row for row in events if isinstance(row, State)],
        persons=people, as_of=NOW, tables=tables,
    )  # fmt: skip
    return groups_of(found.links, tables, names, "run-1", before or {})


def _crew(first: int, size: int, *, times: int = 4, eid: int = 0) -> list[Event]:
    """Everybody of a crew is suspected with everybody else, several times."""
    rows = []
    number = eid or first * 1000
    for _ in range(times):
        for one in range(first, first + size):
            for other in range(one + 1, first + size):
                number += 1
                rows += [Event(pid, number, "theft", "suspect", NOW - 5, 2) for pid in (one, other)]
    return rows


def _sets(found: Groups) -> set[frozenset[int]]:
    members: dict[int, set[int]] = {}
    for group, pid in zip(
        found.members["group"].tolist(), found.members["pid"].tolist(), strict=True
    ):
        members.setdefault(group, set()).add(pid)
    return {frozenset(one) for one in members.values()}


def test_two_crews_with_one_meeting_are_two_groups() -> None:
    one_meeting = [Event(pid, 900_000, "theft", "suspect", NOW - 5, 2) for pid in (2, 10)]
    found = _groups([*_crew(0, 5), *_crew(10, 6), *one_meeting])
    assert _sets(found) == {frozenset(range(5)), frozenset(range(10, 16))}
    assert (found.groups["stability"] > 900).all()
    assert not found.groups["carried"].any()


@settings(deadline=None, max_examples=20)
@given(st.randoms(use_true_random=False), st.lists(st.integers(3, 7), min_size=1, max_size=4))
def test_the_order_of_rows_and_of_people_changes_no_group(
    chance: random.Random, sizes: list[int]
) -> None:
    rows: list[Event | State] = []
    for number, size in enumerate(sizes):
        rows += _crew(number * 10, size)
    rows += [
        Event(chance.randrange(PEOPLE), 800_000 + at // 2, "asb", "suspect", NOW - 9, 2)
        for at in range(30)
    ]
    first = _groups(rows)
    shuffled = list(rows)
    chance.shuffle(shuffled)
    again = _groups(shuffled)
    for name, column in first.members.items():
        assert column.tolist() == again.members[name].tolist()
    assert _sets(first)
    for size in first.groups["size"].tolist():
        assert TABLES.group_least <= size <= TABLES.group_most


@pytest.mark.finding("SCO-T3", "SCO-T5", "SCO-T7")
def test_victims_witnesses_households_and_homes_put_nobody_into_a_group() -> None:
    crew = _crew(0, 4)
    rows: list[Event | State] = [
        *crew,
        *(Event(20 + row.pid, row.eid, "theft", "victim", row.day, 1) for row in crew),
        *(Event(30 + row.pid, row.eid, "theft", "witness", row.day, 1) for row in crew),
        *(State(pid, "household", 7) for pid in (0, 24, 25, 26)),
        *(State(pid, "registered_home", 8) for pid in (0, 27, 28, 29)),
    ]
    assert _sets(_groups(rows)) == {frozenset(range(4))}


def test_a_crowd_is_told_and_is_no_group() -> None:
    crowd = _crew(0, 35, times=2)
    found = _groups(crowd)
    assert found.too_large == (35,)
    assert not len(found.members["pid"])
    pair = _groups(_crew(0, 2))
    assert not len(pair.groups["group"])


def test_an_id_goes_on_with_most_of_its_people_and_is_never_two_groups_at_once() -> None:
    first = _groups(_crew(0, 6))
    (group,) = first.groups["group"].tolist()
    before = {group: frozenset(NAMES[pid] for pid in range(6))}
    grown = _groups(_crew(0, 7), before=before)
    assert grown.groups["group"].tolist() == [group]
    assert grown.groups["carried"].tolist() == [857]
    apart = _groups([*_crew(0, 3), *_crew(3, 3)], before=before)
    ids = apart.groups["group"].tolist()
    assert ids.count(group) == 1
    assert len(set(ids)) == 2
    gone = _groups(_crew(20, 5), before=before)
    assert group not in gone.groups["group"].tolist()


@pytest.mark.finding("SCO-P9")
def test_other_pseudonyms_make_the_same_groups_of_people() -> None:
    rows = [*_crew(0, 5), *_crew(10, 6)]
    other = [name32("q", number) for number in range(200)]
    assert _sets(_groups(rows)) == _sets(_groups(rows, names=other))


def test_strength_and_resolution_matter() -> None:
    """Weights are used, and so is the resolution: the library leaves weights out unless told."""
    rows = [*_crew(0, 6)]
    assert _sets(_groups(rows))
    none = _groups(rows, tables=replace(TABLES, group_resolution=1000))
    assert not _sets(none)
    weak = [row._replace(day=NOW - 900) for row in rows]
    assert not _sets(_groups(weak))


def test_groups_go_on_in_the_next_run_by_its_files(tmp_path: Path) -> None:
    months = dict.fromkeys(range(8), 0)
    first = write_job(tmp_path / "one", _crew(0, 5), months=months, as_of=NOW)
    told = run(first)
    assert told["groups"] == {"found": 1, "people": 5, "carried": 0, "too_large": []}
    second = write_job(tmp_path / "two", _crew(0, 6), months=months, as_of=NOW)
    second["run"] = "run-2"
    out = Path(first["out"])
    second["groups_before"] = {
        "person": str(out / "person.parquet"), "members": str(out / "group_member.parquet"),
    }  # fmt: skip
    assert run(second)["groups"]["carried"] == 1
    ids = [pq.read_table(Path(job["out"]) / "group.parquet").column("group").to_pylist()
           for job in (first, second)]  # fmt: skip
    assert ids[0] == ids[1]


def test_another_process_state_of_chance_changes_nothing() -> None:
    rows = [*_crew(0, 5), *_crew(10, 6)]
    random.seed(1)
    one = _groups(rows)
    random.seed(2)
    np.random.seed(3)
    other = _groups(rows)
    assert one.members["group"].tolist() == other.members["group"].tolist()
