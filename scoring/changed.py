"""What differs between a run and an earlier one: the events, places and people that must be computed again.

Everything that a run gives is about two people at the most, and of two people nothing changes unless one of
them changed. Somebody changed when a row of theirs came, went, or stands for another person; when anybody in
one of their events or places did; when they are new, gone, of another age band or matched with another
certainty. Where the day moved on, every row that could count on either day is a change: its points differ.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from scoring.asked import Asked
from scoring.base import Base
from scoring.hashes import file_hash
from scoring.inputs import (
    EVENTS,
    STATES,
    bands_of,
    membership_of,
    newest_states,
    persons_of,
    read_columns,
)
from scoring.tables import Ints, Tables
from scoring.visible import EVENT_COLUMNS, Columns, Visible, admit, arranged, visible_states

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Difference:
    """What differs.

    Numbers of people are those of the run; whoever the earlier run had besides comes after them.

    Attributes:
        persons: Persons of the run, in the order of their numbers.
        of_base: Number of each person of the earlier run.
        people: Who changed, those who are gone among them.
        events: Events with a row that differs, sorted.
        places: Places with a row that differs, sorted.
        rows: Every row of an event that the run may look at.
        dropped: How many others there are, by reason.
        states: What holds on the day of the run.
        superseded: Rows that a newer delivery replaced.
        before: Every row that may be compared with, where there is a run to compare with.
    """

    persons: pa.Table
    of_base: Ints
    people: Mask
    events: Ints
    places: Ints
    rows: Columns
    dropped: dict[str, int]
    states: Visible
    superseded: int
    before: Columns | None


@dataclass(frozen=True)
class _Records:
    """Whom a record stood for and stands for; -1 nobody, -2 may not be used. The last entry is nobody."""

    table: pa.Table
    now: Ints
    then: Ints
    known_now: Mask
    known_then: Mask


def difference(job: dict[str, Any], asked: Asked, base: Base, tables: Tables) -> Difference:
    """Compare the inputs of a run with those of an earlier one.

    Args:
        job: The job of the run.
        asked: The same, read.
        base: The earlier run.
        tables: The versioned tables.
    """
    persons = persons_of(Path(job["persons"]))
    of_base, everybody = _numbers(persons, base.persons)
    records = _records(job, base, persons, of_base)
    people = np.zeros(everybody, dtype=bool)
    people[len(persons) :] = True
    sure = _persons_changed(persons, base, of_base, asked, people)
    longest = max((len(table) for table in tables.decay.values()), default=0)
    seen = _Rows(job["events"], base.job["events"], base, records, asked, longest)
    states, superseded, places = _places(job, asked, base, records, sure, people)
    events = np.union1d(
        seen.changed_events(), seen.now["eid"][seen.open_now & np.isin(seen.now["pid"], sure)]
    )
    dropped = dict(seen.dropped)
    now, then = seen.inside(events)
    people[now["pid"]] = True
    people[then["pid"]] = True
    told_twice = int(base.manifest["events"]["dropped"]["duplicate"])
    dropped["duplicate"] = told_twice - arranged(then)[1] + arranged(now)[1]
    before = None
    if job.get("before"):
        before = _before(job, base, records, asked, longest, people)
    rows = {name: seen.now[name][seen.open_now] for name in EVENT_COLUMNS}
    return Difference(
        persons, of_base, people, events, places, rows, dropped, states, superseded, before
    )


def _numbers(persons: pa.Table, before: pa.Table) -> tuple[Ints, int]:
    """Return the number of everybody of an earlier run, and how many numbers there are."""
    at = pc.index_in(before.column("person"), value_set=persons.column("person").combine_chunks())
    found = pc.fill_null(at, -1).to_numpy().astype(np.int64)
    gone = np.flatnonzero(found < 0)
    found[gone] = len(persons) + np.arange(len(gone))
    return found, len(persons) + len(gone)


def _records(job: dict[str, Any], base: Base, persons: pa.Table, of_base: Ints) -> _Records:
    now = membership_of(Path(job["membership"]), persons, job["restricted"])
    then = membership_of(Path(base.job["membership"]), base.persons, base.job["restricted"])
    mine = now.column("record").combine_chunks()
    theirs = then.column("record").combine_chunks()
    at = pc.fill_null(pc.index_in(theirs, value_set=mine), -1).to_numpy().astype(np.int64)
    extra = np.flatnonzero(at < 0)
    at[extra] = len(mine) + np.arange(len(extra))
    table = pa.table({"record": pa.concat_arrays([mine, theirs.take(pa.array(extra))])})
    size = len(table) + 1
    who_now, who_then = np.full(size, -1, np.int64), np.full(size, -1, np.int64)
    who_now[: len(mine)] = now.column("pid").to_numpy()
    pid = then.column("pid").to_numpy().astype(np.int64)
    who_then[at] = np.where(pid < 0, pid, of_base[np.maximum(pid, 0)])
    known_now, known_then = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
    known_now[: len(mine)] = True
    known_then[at] = True
    table = table.append_column("pid", pa.array(who_now[:-1]))
    return _Records(table, who_now, who_then, known_now, known_then)


def _persons_changed(
    persons: pa.Table, base: Base, of_base: Ints, asked: Asked, people: Mask
) -> Ints:
    """Mark who is new or of another age band; return whose certainty of the match is another."""
    known = np.full(len(people), -1, np.int64)
    known[of_base] = np.arange(len(of_base))
    known = known[: len(persons)]
    people[: len(persons)] |= known < 0
    both = np.flatnonzero(known >= 0)
    old = known[both]
    band = bands_of(persons, asked.as_of)[both]
    people[both[band != bands_of(base.persons, base.asked.as_of)[old]]] = True
    sure = persons.column("link_p").to_numpy().astype(np.int64)[both]
    other: Ints = both[sure != base.persons.column("link_p").to_numpy().astype(np.int64)[old]]
    return other


class _Rows:
    """Rows of events now and then: files that both runs read are read once, and compared row by row."""

    def __init__(
        self, paths: list[str], earlier: list[str], base: Base, records: _Records,
        asked: Asked, longest: int,
    ) -> None:  # fmt: skip
        left = Counter(base.hashes[path] for path in earlier)
        common = []
        for path in paths:
            known = file_hash(path)
            common.append(left[known] > 0)
            left[known] -= common[-1]
        alone = []
        for path in earlier:
            if left[base.hashes[path]] > 0:
                alone.append(path)
                left[base.hashes[path]] -= 1
        self.now = read_columns(paths, records.table, EVENTS)
        self.common = np.array([*common, False], dtype=bool)[self.now["file"]]
        self.open_now, self.dropped = admit(self.now, asked.as_of, asked.admitted, asked.retention)
        self.pid_then = records.then[self.now["record"]]
        self.open_then = _open_then(self.now, self.open_now, self.pid_then, asked, base.asked)
        self.open_then &= self.common
        gone = read_columns(alone, records.table, EVENTS)
        gone["pid"] = records.then[gone["record"]]
        open_gone, _ = admit(gone, base.asked.as_of, base.asked.admitted, base.asked.retention)
        self.gone = {name: gone[name][open_gone] for name in EVENT_COLUMNS}
        self.live_since = _live_since(asked, base.asked, longest)

    def changed_events(self) -> Ints:
        """Return the events of rows that came, went, or count for somebody else or otherwise."""
        both = self.open_now & self.open_then
        differ = self.open_now ^ self.open_then
        differ |= both & (self.now["pid"] != self.pid_then)
        differ &= self.common
        if self.live_since is not None:
            differ |= both & (self.now["day"] > self.live_since)
        came = self.open_now & ~self.common
        new = {name: self.now[name][came] for name in EVENT_COLUMNS}
        if self.live_since is None:
            return np.union1d(self.now["eid"][differ], _unequal(new, self.gone)["eid"])
        return np.unique(np.concatenate([self.now["eid"][differ], new["eid"], self.gone["eid"]]))

    def inside(self, events: Ints) -> tuple[Columns, Columns]:
        """Return the rows of some events that are seen now, and those that were seen then."""
        mine = np.isin(self.now["eid"], events)
        now, then = mine & self.open_now, mine & self.open_then
        gone = np.isin(self.gone["eid"], events)
        earlier = {**self.now, "pid": self.pid_then}
        return (
            {name: self.now[name][now] for name in EVENT_COLUMNS},
            {
                name: np.concatenate([earlier[name][then], self.gone[name][gone]])
                for name in EVENT_COLUMNS
            },
        )


def _live_since(asked: Asked, theirs: Asked, longest: int) -> int | None:
    """Return the last day whose rows count on neither day, or none where the day is the same."""
    return None if asked.as_of == theirs.as_of else min(asked.as_of, theirs.as_of) - longest


def _open_then(rows: Columns, open_now: Mask, pid_then: Ints, asked: Asked, theirs: Asked) -> Mask:
    if (asked.as_of, asked.admitted) == (theirs.as_of, theirs.admitted):
        other = np.flatnonzero(rows["pid"] != pid_then)
        found = open_now.copy()
        some = {name: rows[name][other] for name in EVENT_COLUMNS}
        some["pid"] = pid_then[other]
        found[other] = admit(some, theirs.as_of, theirs.admitted, theirs.retention)[0]
        return found
    then = {**rows, "pid": pid_then}
    return admit(then, theirs.as_of, theirs.admitted, theirs.retention)[0]


def _unequal(one: Columns, other: Columns) -> Columns:
    """Return the rows that stand more often on one side than on the other."""
    names = list(one)
    both = {name: np.concatenate([one[name], other[name]]) for name in names}
    size = len(both[names[0]])
    if not size:
        return both
    sign = np.ones(size, np.int64)
    sign[len(one[names[0]]) :] = -1
    order = np.lexsort([both[name] for name in names])
    new = np.zeros(size, dtype=bool)
    new[0] = True
    for name in names:
        ordered = both[name][order]
        new[1:] |= ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(new)
    kept = order[starts[np.add.reduceat(sign[order], starts) != 0]]
    return {name: column[kept] for name, column in both.items()}


def _places(
    job: dict[str, Any], asked: Asked, base: Base, records: _Records, sure: Ints, people: Mask
) -> tuple[Visible, int, Ints]:
    """Return what holds now, the rows replaced, and the places that differ; mark who is in those."""
    raw = read_columns(job["states"], records.table, STATES)
    same = [file_hash(path) for path in job["states"]] == [
        base.hashes[path] for path in base.job["states"]
    ]
    earlier = raw if same else read_columns(base.job["states"], records.table, STATES)
    now, superseded = _holding(raw, records.now, records.known_now, asked)
    then, _ = _holding(earlier, records.then, records.known_then, base.asked)
    names = ("pid", "kind", "place", "start")
    mine, theirs = ({name: one.columns[name] for name in names} for one in (now, then))
    moved = mine["place"][np.isin(mine["pid"], sure)]
    places = np.union1d(_unequal(mine, theirs)["place"], moved)
    places = places[places != 0]
    for one in (mine, theirs):
        people[one["pid"][np.isin(one["place"], places)]] = True
    return now, superseded, places


def _holding(raw: Columns, who: Ints, known: Mask, asked: Asked) -> tuple[Visible, int]:
    record = np.where(known[raw["record"]], raw["record"], -1)
    stated, superseded = newest_states({**raw, "pid": who[raw["record"]], "record": record})
    return visible_states(stated, asked.as_of, asked.admitted), superseded


def _before(
    job: dict[str, Any], base: Base, records: _Records, asked: Asked, longest: int, people: Mask
) -> Columns:
    """Return the rows to compare with, and mark of whom they differ."""
    told = job["before"]
    rows = read_columns(told["events"], records.table, EVENTS)
    then = {**rows, "pid": records.then[rows["record"]]}
    day = int(told["as_of"])
    opened = [
        admit(columns, day, one.admitted, np.maximum(one.retention - (one.as_of - day), 0))[0]
        for columns, one in ((rows, asked), (then, base.asked))
    ]
    differ = (opened[0] ^ opened[1]) | (opened[0] & (rows["pid"] != then["pid"]))
    if (since := _live_since(asked, base.asked, longest)) is not None:
        differ |= opened[0] & (rows["day"] > since)
    for columns, seen in zip((rows, then), opened, strict=True):
        people[columns["pid"][differ & seen]] = True
    return {name: rows[name][opened[0]] for name in EVENT_COLUMNS}
