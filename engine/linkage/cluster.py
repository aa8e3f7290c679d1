"""Constraint clustering: join by descending weight, and refuse a join that would merge two people.

Connected components join A and C through B; here every join is held against what the two groups
already know: NHS numbers, age bands and given names (linkage.md 4.1, cases 1 to 3, 21, 25).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.linkage.encode import COLUMNS, Words
from engine.linkage.linker import Edges

_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_GIVEN_WORDS = [_PLACE[f"bf_given_{number}"] for number in range(4)]
_LARGEST = 60


@dataclass
class Clusters:
    """The result: a cluster number per record, and the joins that were refused.

    Attributes:
        cluster: int64 per record; the number is the lowest row in the cluster.
        refused: (left row, right row, reason) of joins that go to a reviewer.
    """

    cluster: Words
    refused: list[tuple[int, int, str]] = field(default_factory=list)


def cluster(words: Words, certain: list[tuple[int, int]], edges: Edges) -> Clusters:
    """Cluster records.

    Args:
        words: Encoded records.
        certain: Pairs that are one person by an agency's own id.
        edges: Pairs that may link, by descending weight.
    """
    groups = _Groups(words)
    refused: list[tuple[int, int, str]] = []
    for left, right in certain:
        reason = groups.join(left, right)
        if reason:
            refused.append((left, right, reason))
    for left, right in zip(edges.left.tolist(), edges.right.tolist(), strict=True):
        reason = groups.join(left, right)
        if reason:
            refused.append((left, right, reason))
    roots = np.array([groups.root(row) for row in range(len(words))], np.int64)
    return Clusters(roots, refused)


class _Groups:
    """Union-find whose groups carry what would contradict another group."""

    def __init__(self, words: Words) -> None:
        self._words = words
        self._parent = list(range(len(words)))
        self._rows: dict[int, list[int]] = {}
        self._nhs = words[:, _PLACE["nhs"]].tolist()
        self._band = words[:, _PLACE["band"]].tolist()

    def root(self, row: int) -> int:
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(self, left: int, right: int) -> str:
        """Join the groups of two rows; return why not when they contradict."""
        first, second = self.root(left), self.root(right)
        if first == second:
            return ""
        rows = self._rows.get(first, [first]), self._rows.get(second, [second])
        reason = self._contradiction(*rows)
        if reason:
            return reason
        low, high = min(first, second), max(first, second)
        self._parent[high] = low
        self._rows[low] = rows[0] + rows[1]
        self._rows.pop(high, None)
        return ""

    def _contradiction(self, first: list[int], second: list[int]) -> str:
        if len(first) + len(second) > _LARGEST:
            return "too_many_records"
        numbers = {self._nhs[row] for row in first + second} - {0}
        if len(numbers) > 1:
            return "two_nhs_numbers"
        bands = {self._band[row] for row in first + second} - {0}
        if len(bands) > 1:
            return "child_and_adult"
        if self._names_clash(first, second):
            return "given_names_differ"
        return ""

    def _names_clash(self, first: list[int], second: list[int]) -> bool:
        """True when a given name of one group is unlike every given name of the other."""
        ones, others = self._named(first), self._named(second)
        if not ones or not others:
            return False
        return any(not any(self._like(one, other) for other in others) for one in ones) or any(
            not any(self._like(one, other) for one in ones) for other in others
        )

    def _named(self, rows: list[int]) -> list[int]:
        """One row per distinct given name; a single letter is no name to clash with."""
        found: dict[int, int] = {}
        for row in rows:
            token = int(self._words[row, _PLACE["given"]])
            if token and not self._words[row, _PLACE["given_is_initial"]]:
                found.setdefault(token, row)
        return list(found.values())

    def _like(self, one: int, other: int) -> bool:
        a, b = self._words[one], self._words[other]
        nick, pref, skel = _PLACE["nick"], _PLACE["pref"], _PLACE["skel"]
        if a[nick] in (b[nick], b[pref]) or (a[pref] and a[pref] == b[nick]):
            return True
        if a[skel] and a[skel] == b[skel]:
            return True
        if a[_PLACE["name_pair"]] and a[_PLACE["name_pair"]] == b[_PLACE["name_pair"]]:
            return True  # The same two names in the other order.
        shared = sum(int(a[word] & b[word]).bit_count() if a[word] & b[word] >= 0 else
                     (int(a[word] & b[word]) & (2**64 - 1)).bit_count()
                     for word in _GIVEN_WORDS)  # fmt: skip
        total = int(a[_PLACE["pc_given"]] + b[_PLACE["pc_given"]])
        return total > 0 and 2 * shared * 100 >= 70 * total


def enough_to_identify(words: Words) -> Words:
    """Return 1 where a record can be compared with others at all, else 0.

    A given name and a surname, with a birth date or a postcode; or a valid NHS number. Anything less
    is the state "not enough to identify", never a forced person (linkage.md 2.1).
    """
    has = {
        name: words[:, _PLACE[name]] != 0 for name in ("given", "surname", "dob", "postcode", "nhs")
    }
    named = has["given"] & has["surname"]
    enough = (named & (has["dob"] | has["postcode"])) | has["nhs"]
    return np.asarray(enough, np.int64)


def same_local_id(words: Words) -> list[tuple[int, int]]:
    """Return pairs of records with one agency's own id: the agency says it is one person."""
    tokens = words[:, _PLACE["local"]]
    order = np.argsort(tokens, kind="stable")
    ordered = tokens[order]
    same = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0))
    return [(int(order[at]), int(order[at + 1])) for at in same]
