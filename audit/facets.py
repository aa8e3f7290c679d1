"""The acts of a log by column: filtered by facets, counted, and found by what they are about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from audit.act import Act

FACETS = ("actor", "agency", "role", "purpose", "action", "kind", "outcome")
"""Facets of which an act has one value each."""
MANY = ("source", "field")
"""Facets of which an act may have several values."""
NONE = 0xFFFFFFFF
COLUMNS: dict[str, str] = {
    "seq": "<u4",
    "ended": "<u4",
    "moment": "<u4",
    "touched": "<u4",
    **dict.fromkeys(FACETS, "<u4"),
    "case": "<u8",
}
"""Column to the form of its numbers; those of `FACETS` and ``touched`` are places in the list of words."""
PEOPLE = np.dtype([("row", "<u4"), ("name", "<u8")])
"""Which act names whom."""

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Named:
    """A pseudonym of the audit domain, and the moments between which it meant the person asked about."""

    name: str = field(repr=False)
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the log. What is left out limits nothing.

    Attributes:
        chosen: Facet to the values of which one must be there.
        people: Names of one person; None for everybody.
        case: Token of a case.
        first: First day, UTC.
        last: Last day, UTC.
        below: Only acts whose intent stands before this place.
    """

    chosen: Mapping[str, Collection[str]] = field(default_factory=dict)
    people: Sequence[Named] | None = None
    case: str = ""
    first: date | None = None
    last: date | None = None
    below: int | None = None


@dataclass
class Index:
    """The acts of a log by column, in the order of their intents."""

    columns: dict[str, Numbers]
    people: Numbers
    words: dict[str, dict[str, int]]
    names: list[str]

    def __len__(self) -> int:
        """Return how many acts there are."""
        return len(self.columns["seq"])

    def mask(self, question: Question) -> Mask:
        """Return which acts a question is about."""
        found: Mask = self._fails(question)[0] == 0
        return found

    def ask(self, question: Question) -> tuple[Mask, dict[str, dict[str, int]]]:
        """Return which acts a question is about, and by facet how many acts each value would give.

        The counts of a facet leave its own choice aside, so that a second value can be added to it.
        """
        fails, own = self._fails(question)
        found: dict[str, dict[str, int]] = {}
        whole = fails == 0
        for facet in (*FACETS, *MANY):
            other = fails == own[facet] if facet in own else whole
            found[facet] = self.counts(facet, other)
        return whole, found

    def counts(self, facet: str, mask: Mask) -> dict[str, int]:
        """Return by value of a facet how many acts of a mask have it, most first."""
        column = self.columns["touched" if facet in MANY else facet]
        # Most questions leave all or little: neither is copied for nothing.
        some = column if mask.all() else column[mask]
        counted = np.bincount(some, minlength=len(self.names))
        found: dict[str, int] = {}
        for word in np.flatnonzero(counted).tolist():
            for text in self._told(facet, word):
                found[text] = found.get(text, 0) + int(counted[word])
        return dict(sorted(found.items(), key=lambda one: (-one[1], one[0])))

    def page(self, mask: Mask, page: int, size: int) -> list[tuple[int, int | None]]:
        """Return the places of intent and outcome of the acts of a page, the newest first."""
        rows = np.flatnonzero(mask)[::-1][(page - 1) * size : page * size]
        return self.places(rows)

    def places(self, rows: Numbers) -> list[tuple[int, int | None]]:
        """Return the places of intent and outcome of some acts."""
        pairs = zip(
            self.columns["seq"][rows].tolist(), self.columns["ended"][rows].tolist(), strict=True
        )
        return [(seq, None if ended == NONE else ended) for seq, ended in pairs]

    def _told(self, facet: str, word: int) -> list[str]:
        text = self.names[word]
        if facet not in MANY:
            return [text] if text else []
        dots = 1 if facet == "source" else 2
        return [one for one in json.loads(text) if one.count(".") == dots]

    def _fails(self, question: Question) -> tuple[npt.NDArray[np.uint16], dict[str, Mask]]:
        """Return by act how many limits it misses, and by chosen facet which acts miss that one."""
        fails = np.zeros(len(self), np.uint16)
        own: dict[str, Mask] = {}
        for facet, values in question.chosen.items():
            column = self.columns["touched" if facet in MANY else facet]
            wanted = np.zeros(len(self.names), bool)
            wanted[self._words(facet, values)] = True
            own[facet] = ~wanted[column] if len(self) else np.zeros(0, bool)
            fails += own[facet]
        moment = self.columns["moment"]
        if question.first is not None:
            fails += moment < _seconds_of(question.first)
        if question.last is not None:
            fails += moment >= _seconds_of(question.last) + 86_400
        if question.below is not None:
            fails += self.columns["seq"] >= question.below
        if question.case:
            fails += self.columns["case"] != number_of(question.case)
        if question.people is not None:
            fails += ~self._about(question.people)
        return fails, own

    def _words(self, facet: str, values: Collection[str]) -> list[int]:
        if facet not in MANY:
            known = self.words.get(facet, {})
            return [known[value] for value in values if value in known]
        sets = self.words.get("touched", {})
        return [word for text, word in sets.items() if not set(values).isdisjoint(json.loads(text))]

    def _about(self, people: Sequence[Named]) -> Mask:
        found = np.zeros(len(self), bool)
        moment = self.columns["moment"]
        for one in people:
            rows = self.people["row"][self.people["name"] == np.uint64(number_of(one.name))]
            if one.since is not None:
                rows = rows[moment[rows] >= int(one.since.timestamp())]
            if one.until is not None:
                rows = rows[moment[rows] <= int(one.until.timestamp())]
            found[rows] = True
        return found


def number_of(name: str) -> int:
    """Return the number that stands in the index for a pseudonym or a token; 0 for none."""
    if not name:
        return 0
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")


def _seconds_of(day: date) -> int:
    return (day - date(1970, 1, 1)).days * 86_400


def empty_index() -> Index:
    """Return an index of nothing."""
    columns: dict[str, Numbers] = {name: np.zeros(0, kind) for name, kind in COLUMNS.items()}
    return Index(columns, np.zeros(0, PEOPLE), {}, [])


def word_of(index: Index, facet: str, text: str) -> int:
    """Return the number of a word of a facet; it is added when it is new."""
    known = index.words.setdefault(facet, {})
    if text not in known:
        known[text] = len(index.names)
        index.names.append(text)
    return known[text]


def put(index: Index, rows: Mapping[int, Act], size: int) -> None:
    """Write some rows of an index that has `size` of them from now on."""
    more = size - len(index)
    index.columns = {
        name: np.concatenate([column, np.zeros(more, column.dtype)])
        for name, column in index.columns.items()
    }
    made: dict[str, list[int]] = {name: [] for name in COLUMNS}
    people = []
    for row, act in rows.items():
        for name, value in _numbers(index, act).items():
            made[name].append(value)
        people += [(row, number_of(name)) for name in dict.fromkeys(act.subjects)]
    places = np.fromiter(rows, np.int64, len(rows))
    for name, values in made.items():
        index.columns[name][places] = np.array(values, index.columns[name].dtype)
    kept = index.people[~np.isin(index.people["row"], places)]
    added = np.array(people, PEOPLE)
    both = np.concatenate([kept, added])
    index.people = both[np.argsort(both["row"], kind="stable")]


def _numbers(index: Index, act: Act) -> dict[str, int]:
    values = {
        "actor": act.actor,
        "agency": act.agency,
        "role": act.role,
        "purpose": act.text("purpose"),
        "action": act.flow,
        "kind": act.kind,
        "outcome": act.outcome,
        "touched": json.dumps(act.touched),
    }
    return {
        "seq": act.seq,
        "ended": NONE if act.ended is None else act.ended,
        "moment": int(act.when.timestamp()),
        "case": number_of(act.text("case")),
        **{facet: word_of(index, facet, text) for facet, text in values.items()},
    }
