"""Constraint clustering: join by descending weight, and refuse a join that would merge two people.

Connected components join A and C through B; here every join is held against what the two groups
already know: what people decided, NHS numbers, age bands, given names, and sources that hold nobody
twice (linkage.md 4.1, cases 1 to 3, 21, 25).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.linkage.contradict import FAILED, LARGEST, Contradictions
from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Words

_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_FEW = 20


@dataclass
class Clusters:
    """The result: a cluster number per record, and the joins that were refused.

    Attributes:
        cluster: int64 per record; the number is the lowest row in the cluster.
        refused: (left row, right row, reason) of joins that go to a reviewer.
    """

    cluster: Words
    refused: list[tuple[int, int, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Memory:
    """What is known besides the records: what people decided, and which sources hold nobody twice.

    Attributes:
        must: Pairs of rows that a person decided are one person.
        cannot: Pairs of rows that a person decided are two.
        once: Per row, the number of its source if that holds nobody twice, else 0; None for none.
    """

    must: Sequence[tuple[int, int]] = ()
    cannot: Sequence[tuple[int, int]] = ()
    once: npt.NDArray[np.int64] | None = None


NOTHING = Memory()


def cluster(
    words: Words, certain: list[tuple[int, int]], edges: Edges, memory: Memory = NOTHING
) -> Clusters:
    """Cluster records.

    Args:
        words: Encoded records.
        certain: Pairs that are one person by an agency's own id.
        edges: Pairs that may link, by descending weight.
        memory: What people decided. That two records are two people holds against everything; that
            they are one holds against what only looks like a contradiction.
    """
    groups = Groups(words, memory)
    refused: list[tuple[int, int, str]] = []
    for left, right in memory.must:
        if reason := groups.join(left, right, decided=True):
            refused.append((left, right, reason))
    if certain:
        refused += groups.join_together(certain)
    # Pairs of one weight are settled together, so that no row comes first by its place.
    starts = np.flatnonzero(np.append(True, edges.weight[1:] != edges.weight[:-1]))
    if len(edges.left):
        for start, stop in zip(starts, np.append(starts[1:], len(edges.left)), strict=True):
            refused += groups.join_pairs(edges.left[start:stop], edges.right[start:stop])
    return Clusters(groups.roots(), refused)


class Groups:
    """Union-find whose groups carry what would contradict another group."""

    def __init__(self, words: Words, memory: Memory) -> None:
        self._words = words
        # Groups that a decision joined: their names were accepted as one person's.
        self._decided: set[int] = set()
        self._apart: dict[int, set[int]] = {}
        for left, right in memory.cannot:
            self._apart.setdefault(left, set()).add(right)
            self._apart.setdefault(right, set()).add(left)
        self._speak = Contradictions(words, memory.once)
        self._parent = np.arange(len(words), dtype=np.int64)
        self._above = self._parent.data
        # Records of which no decision speaks and that nothing has joined yet.
        self._alone = np.ones(len(words), dtype=bool)
        self._alone[list(self._apart)] = False
        # Most groups are two records that agree in everything: the lower has its other here, or -1.
        self._other = np.full(len(words), -1, np.int64)
        self._rows: dict[int, list[int]] = {}

    def join_pairs(self, left: Words, right: Words) -> list[tuple[int, int, str]]:
        """Join pairs of one weight, first those that need no look at anything else."""
        plain = self._join_plain(left, right)
        rest = left[~plain].tolist(), right[~plain].tolist()
        return self.join_together(list(zip(*rest, strict=True)))

    def _join_plain(self, left: Words, right: Words) -> npt.NDArray[np.bool_]:
        """Join pairs of two records that stand alone and agree in all that could contradict.

        Most pairs of a run are such; they are found column by column. Returns which pairs they are.
        """
        rows, counts = np.unique(np.concatenate([left, right]), return_counts=True)
        once_met = np.zeros(len(self._words), dtype=bool)
        once_met[rows[counts == 1]] = True
        once_met &= self._alone

        plain = once_met[left] & once_met[right] & self._speak.nothing_against(left, right)
        low, high = np.minimum(left, right)[plain], np.maximum(left, right)[plain]
        self._parent[high] = low
        self._other[low] = high
        self._alone[low] = self._alone[high] = False
        return np.asarray(plain, dtype=bool)

    def root(self, row: int) -> int:
        """Return the row that stands for the group of a row."""
        above = self._above
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    def roots(self) -> Words:
        """Return for each row the row that stands for its group."""
        found = self._parent
        while not np.array_equal(above := found[found], found):
            found = above
        return found.copy()

    def rows(self, root: int) -> list[int]:
        """Return the rows of the group that a row stands for."""
        if known := self._rows.get(root):
            return known
        other = self._other.item(root)
        return [root] if other < 0 else [root, other]

    def join(self, left: int, right: int, *, decided: bool = False) -> str:
        """Join the groups of two rows; return why not when they contradict.

        What a person decided (`decided`) holds against all but another decision.
        """
        first, second = self.root(left), self.root(right)
        if first == second:
            return ""
        rows = self.rows(first), self.rows(second)
        if self._apart and self._kept_apart(first, rows[1]):
            return "decided_apart"
        if not decided and (reason := self.contradiction(*rows)):
            return reason
        low, high = min(first, second), max(first, second)
        self._parent[high] = low
        self._alone[[first, second]] = False
        self._rows[low] = rows[0] + rows[1]
        self._rows.pop(high, None)
        if decided or first in self._decided or second in self._decided:
            self._decided.add(low)
        if high in self._apart:
            self._apart.setdefault(low, set()).update(self._apart.pop(high))
        return ""

    def join_together(self, pairs: list[tuple[int, int]]) -> list[tuple[int, int, str]]:
        """Join pairs of one weight; return those refused.

        Where the groups that such pairs would join contradict each other, none of these pairs is taken:
        which of them came first would decide who is whose (LNK-14, splink 2562).
        """
        roots = [(self.root(left), self.root(right)) for left, right in pairs]
        met = Counter(one for both in roots for one in both)
        tied, refused = [], []
        for pair, (first, second) in zip(pairs, roots, strict=True):
            if met[first] > 1 or met[second] > 1:
                tied.append(pair)
            elif reason := self.join(*pair):
                refused.append((*pair, reason))
        return refused + self._join_tied(tied) if tied else refused

    def _join_tied(self, pairs: list[tuple[int, int]]) -> list[tuple[int, int, str]]:
        # A mistyped number keeps its own record out and parts nobody else: such records come last.
        mistyped = [pair for pair in pairs if any(map(self._mistyped, pair))]
        if mistyped and len(mistyped) < len(pairs):
            rest = [pair for pair in pairs if not any(map(self._mistyped, pair))]
            return self.join_together(rest) + self.join_together(mistyped)
        links: dict[int, set[int]] = {}
        for left, right in pairs:
            first, second = self.root(left), self.root(right)
            if first != second:
                links.setdefault(first, set()).add(second)
                links.setdefault(second, set()).add(first)
        clash: dict[int, str] = {}
        seen: set[int] = set()
        for start in sorted(links):
            if start in seen:
                continue
            part = self._reached(start, links)
            seen |= part
            # Of two groups the join itself says whether they contradict.
            clash |= dict.fromkeys(part, self._clash(sorted(part)) if len(part) > 2 else "")
        refused = []
        for left, right in pairs:
            first, second = self.root(left), self.root(right)
            if first == second:
                continue
            if reason := clash[first] or self.join(left, right):
                refused.append((left, right, reason))
            else:
                clash[self.root(left)] = ""
        return refused

    def _mistyped(self, row: int) -> bool:
        return self._speak.mistyped(self.rows(self.root(row)))

    @staticmethod
    def _reached(start: int, links: dict[int, set[int]]) -> set[int]:
        part, waiting = {start}, [start]
        while waiting:
            more = links[waiting.pop()] - part
            part |= more
            waiting += more
        return part

    def _clash(self, roots: list[int]) -> str:
        """Return why some groups cannot all be one person; empty when nothing speaks against it."""
        rows = [self.rows(root) for root in roots]
        if sum(map(len, rows)) > LARGEST:
            return "too_many_records"
        reasons = (
            self._against(one, other) for at, one in enumerate(roots) for other in roots[:at]
        )
        return next(filter(None, reasons), "")

    def _against(self, first: int, second: int) -> str:
        rows = self.rows(first), self.rows(second)
        if self._apart and self._kept_apart(first, rows[1]):
            return "decided_apart"
        return self.contradiction(*rows)

    def two_people(self, left: int, right: int) -> bool:
        """Say whether two rows are known to be two people; a mistyped number is no such knowledge."""
        first, second = self.root(left), self.root(right)
        if first == second:
            return False
        rows = self.rows(first), self.rows(second)
        if self._apart and self._kept_apart(first, rows[1]):
            return True
        return self.contradiction(*rows) not in ("", FAILED, "too_many_records")

    def _kept_apart(self, first: int, rows: list[int]) -> bool:
        apart = self._apart.get(first)
        return apart is not None and any(row in apart for row in rows)

    def contradiction(self, first: list[int], second: list[int]) -> str:
        """Return why two groups of rows cannot be one person; empty when nothing speaks against it."""
        accepted = self.root(first[0]) in self._decided, self.root(second[0]) in self._decided
        return self._speak.contradiction(first, second, accepted)


def enough_to_identify(words: Words) -> Words:
    """Return 1 where a record can be compared with others at all, else 0.

    A given name and a surname, with a birth date or a postcode; one name alone, as in many cultures it
    is (LNK-12), with a birth date and a home or a pupil number; or a valid NHS number. Anything less is
    the state "not enough to identify", never a forced person (linkage.md 2.1).
    """
    has = {
        name: words[:, _PLACE[name]] != 0
        for name in ("given", "surname", "dob", "postcode", "uprn", "nhs", "upn")
    }
    named = has["given"] & has["surname"] & (has["dob"] | has["postcode"])
    one_name = has["given"] & has["dob"] & (has["postcode"] | has["uprn"] | has["upn"])
    enough = named | one_name | has["nhs"]
    return np.asarray(enough, np.int64)


def same_local_id(words: Words) -> list[tuple[int, int]]:
    """Return pairs of records with one agency's own id: the agency says it is one person."""
    tokens = words[:, _PLACE["local"]]
    order = np.argsort(tokens, kind="stable")
    ordered = tokens[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    pairs = []
    for start, stop in zip(starts, np.append(starts[1:], len(ordered)), strict=True):
        if stop - start < 2 or not ordered[start]:
            continue
        rows = np.sort(order[start:stop]).tolist()
        # Every two of a few, so that none stands between others; of many, each and the next.
        some = itertools.combinations(rows, 2) if len(rows) <= _FEW else itertools.pairwise(rows)
        pairs += list(some)
    return pairs
