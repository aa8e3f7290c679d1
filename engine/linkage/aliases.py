"""Numbers that took the place of others: a superseded NHS number, a pupil number that was changed.

A record that names a former number beside its present one says that both are one person's. Before pairs
are made, the former number is read as the present one, in every record that carries it; no other
number joins two people (linkage.md 4.1, cases 20 and 22). What was followed is kept with the run, so
that anybody can see by which word two numbers became one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.linkage.encode import COLUMNS, Words

KINDS = ("nhs", "upn")
_PLACE = {name: number for number, name in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Aliases:
    """Numbers that became others.

    Attributes:
        followed: Kind to former token to the present one, chains followed to their end.
        unclear: Kind to former tokens that are followed nowhere: two present numbers claim one, or
            numbers lead in a circle. Such records stay apart, and the run says how many.
    """

    followed: dict[str, dict[int, int]] = field(repr=False)
    unclear: dict[str, list[int]] = field(repr=False)

    def counts(self) -> dict[str, int]:
        """Return how many numbers were followed and how many were not."""
        return {
            **{f"{kind}_followed": len(self.followed[kind]) for kind in KINDS},
            **{f"{kind}_unclear": len(self.unclear[kind]) for kind in KINDS},
        }


def aliases(words: Words) -> Aliases:
    """Return what the records say of former numbers.

    Args:
        words: Encoded records; their order does not matter.
    """
    followed, unclear = {}, {}
    for kind in KINDS:
        present, former = words[:, _PLACE[kind]], words[:, _PLACE[f"{kind}_former"]]
        says = np.flatnonzero((present != 0) & (former != 0) & (present != former))
        stated: dict[int, set[int]] = {}
        for row in says.tolist():
            stated.setdefault(int(former[row]), set()).add(int(present[row]))
        ends = {old: _end(old, stated) for old in stated}
        followed[kind] = {old: end for old, end in sorted(ends.items()) if end}
        unclear[kind] = sorted(old for old, end in ends.items() if not end)
    return Aliases(followed, unclear)


def _end(old: int, stated: dict[int, set[int]]) -> int:
    """Return the number that a chain ends with; 0 where it forks or turns in a circle."""
    seen = {old}
    while old in stated:
        if len(stated[old]) > 1:
            return 0
        (old,) = stated[old]
        if old in seen:
            return 0
        seen.add(old)
    return old


def with_present_numbers(words: Words, found: Aliases) -> Words:
    """Return the records with every former number read as the present one."""
    result = words
    for kind in KINDS:
        table = found.followed[kind]
        if not table:
            continue
        old = np.array(sorted(table), np.int64)
        new = np.array([table[one] for one in old.tolist()], np.int64)
        column = words[:, _PLACE[kind]]
        places = np.clip(np.searchsorted(old, column), 0, len(old) - 1)
        hit = old[places] == column
        if hit.any():
            if result is words:
                result = words.copy(order="K")
            result[hit, _PLACE[kind]] = new[places[hit]]
    return result
