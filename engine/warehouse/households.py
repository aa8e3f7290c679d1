"""Who lives or lived with whom: a second graph beside identity, with dates, sources and how sure it is.

A household is what one agency calls one. It never says who somebody is, and linkage never reads it. A
stay ends by what is delivered and not by silence; two agencies that say the same make a bond surer. A
place with more people at once than live in a home is a hostel or a school and binds nobody.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

CROWD = 15
"""People at one place on one day from which it is no home (linkage.md 4.1, case 23)."""
Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Stay:
    """Somebody at a place, as one source says: days since 1970-01-01, the last one included."""

    person: bytes = field(repr=False)
    place: int
    start: int
    end: int
    source: int


@dataclass(frozen=True, slots=True)
class Bond:
    """Two people of one household.

    Attributes:
        a, b: The people, in order.
        spans: When, without overlaps, the earliest first.
        sources: Sources that say so.
    """

    a: bytes = field(repr=False)
    b: bytes = field(repr=False)
    spans: tuple[Interval, ...]
    sources: frozenset[int]

    @property
    def confidence(self) -> str:
        """``two sources`` when more than one says so, else ``one source``."""
        return "two sources" if len(self.sources) > 1 else "one source"

    def on(self, day: int) -> bool:
        """Say whether they were of one household on a day."""
        return any(start <= day <= end for start, end in self.spans)


def bonds(stays: Iterable[Stay], crowd: int = CROWD) -> list[Bond]:
    """Return every two people who were at one place at one time, whatever the order of the stays.

    Args:
        stays: Stays of people.
        crowd: People at one place on one day from which it binds nobody.
    """
    held: dict[int, dict[bytes, list[tuple[Interval, int]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for stay in stays:
        if stay.place and stay.start <= stay.end:
            held[stay.place][stay.person].append(((stay.start, stay.end), stay.source))
    found: dict[tuple[bytes, bytes], tuple[list[Interval], set[int]]] = {}
    for people in held.values():
        if _most_at_once(people) > crowd:
            continue
        names = sorted(people)
        for place, a in enumerate(names):
            for b in names[place + 1 :]:
                _meet(people[a], people[b], found.setdefault((a, b), ([], set())))
    return [
        Bond(a, b, tuple(_joined(spans)), frozenset(sources))
        for (a, b), (spans, sources) in sorted(found.items())
        if spans
    ]


def _meet(
    ones: list[tuple[Interval, int]],
    others: list[tuple[Interval, int]],
    into: tuple[list[Interval], set[int]],
) -> None:
    for one, source in ones:
        for other, its in others:
            start, end = max(one[0], other[0]), min(one[1], other[1])
            if start <= end:
                into[0].append((start, end))
                into[1].update((source, its))


def _joined(spans: list[Interval]) -> list[Interval]:
    """Join spans that overlap or follow each other without a day between them."""
    made: list[Interval] = []
    for start, end in sorted(spans):
        if made and start <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], end))
        else:
            made.append((start, end))
    return made


def _most_at_once(people: Mapping[bytes, list[tuple[Interval, int]]]) -> int:
    """Return the largest number of different people at a place on one day."""
    steps: list[tuple[int, int]] = []
    for stays in people.values():
        for start, end in _joined([span for span, _ in stays]):
            steps += [(start, 1), (end + 1, -1)]
    most = now = 0
    for _, change in sorted(steps):
        now += change
        most = max(most, now)
    return most
