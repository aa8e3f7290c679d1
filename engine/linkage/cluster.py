"""Constraint clustering: join by descending weight, and refuse a join that would merge two people.

Connected components join A and C through B; here every join is held against what the two groups
already know: what people decided, NHS numbers, age bands, given names, and sources that hold nobody
twice (linkage.md 4.1, cases 1 to 3, 21, 25).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Words

_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_GIVEN_WORDS = [_PLACE[f"bf_given_{number}"] for number in range(4)]
FAILED = "a_failed_nhs_number"
_LARGEST = 60
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
    groups = _Groups(words, memory)
    refused: list[tuple[int, int, str]] = []
    for left, right in memory.must:
        reason = groups.join(left, right, decided=True)
        if reason:
            refused.append((left, right, reason))
    if certain:
        refused += groups.join_together(certain)
    # Pairs of one weight are settled together, so that no row comes first by its place.
    starts = np.flatnonzero(np.append(True, edges.weight[1:] != edges.weight[:-1]))
    if len(edges.left):
        for start, stop in zip(starts, np.append(starts[1:], len(edges.left)), strict=True):
            pairs = edges.left[start:stop].tolist(), edges.right[start:stop].tolist()
            refused += groups.join_together(list(zip(*pairs, strict=True)))
    roots = np.array([groups.root(row) for row in range(len(words))], np.int64)
    return Clusters(roots, refused)


class _Groups:
    """Union-find whose groups carry what would contradict another group."""

    def __init__(self, words: Words, memory: Memory) -> None:
        self._words = words
        # Groups that a decision joined: their names were accepted as one person's.
        self._decided: set[int] = set()
        self._apart: dict[int, set[int]] = {}
        for left, right in memory.cannot:
            self._apart.setdefault(left, set()).add(right)
            self._apart.setdefault(right, set()).add(left)
        once = memory.once
        self._once = once.tolist() if once is not None else [0] * len(words)
        self._parent = list(range(len(words)))
        self._rows: dict[int, list[int]] = {}
        self._nhs = words[:, _PLACE["nhs"]].tolist()
        self._band = words[:, _PLACE["band"]].tolist()
        self._rest = words[:, _PLACE["given_rest"]].tolist()
        self._failed = words[:, _PLACE["nhs_failed"]].tolist()

    def root(self, row: int) -> int:
        parent = self._parent
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    def join(self, left: int, right: int, *, decided: bool = False) -> str:
        """Join the groups of two rows; return why not when they contradict.

        What a person decided (`decided`) holds against all but another decision.
        """
        first, second = self.root(left), self.root(right)
        if first == second:
            return ""
        rows = self._rows.get(first, [first]), self._rows.get(second, [second])
        if self._apart and self._kept_apart(first, rows[1]):
            return "decided_apart"
        reason = "" if decided else self.contradiction(*rows)
        if reason:
            return reason
        low, high = min(first, second), max(first, second)
        self._parent[high] = low
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
        if len(pairs) == 1:
            reason = self.join(*pairs[0])
            return [(*pairs[0], reason)] if reason else []
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
            clash |= dict.fromkeys(part, self._clash(sorted(part)))
        refused = []
        for left, right in pairs:
            first, second = self.root(left), self.root(right)
            if first == second:
                continue
            reason = clash[first] or self.join(left, right)
            if reason:
                refused.append((left, right, reason))
            else:
                clash[self.root(left)] = ""
        return refused

    def _mistyped(self, row: int) -> bool:
        rows = self._rows.get(self.root(row), [row])
        return any(self._failed[one] for one in rows)

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
        if len(roots) == 2:
            return self._against(*roots)
        rows = [self._rows.get(root, [root]) for root in roots]
        if sum(map(len, rows)) > _LARGEST:
            return "too_many_records"
        reasons = (
            self._against(one, other) for at, one in enumerate(roots) for other in roots[:at]
        )
        return next(filter(None, reasons), "")

    def _against(self, first: int, second: int) -> str:
        rows = self._rows.get(first, [first]), self._rows.get(second, [second])
        if self._apart and self._kept_apart(first, rows[1]):
            return "decided_apart"
        return self.contradiction(*rows)

    def two_people(self, left: int, right: int) -> bool:
        """Say whether two rows are known to be two people; a mistyped number is no such knowledge."""
        first, second = self.root(left), self.root(right)
        if first == second:
            return False
        rows = self._rows.get(first, [first]), self._rows.get(second, [second])
        if self._apart and self._kept_apart(first, rows[1]):
            return True
        return self.contradiction(*rows) not in ("", FAILED, "too_many_records")

    def _kept_apart(self, first: int, rows: list[int]) -> bool:
        apart = self._apart.get(first)
        return apart is not None and any(row in apart for row in rows)

    def contradiction(self, first: list[int], second: list[int]) -> str:
        """Return why two groups of rows cannot be one person; empty when nothing speaks against it.

        Only what stands between the groups counts: what a person accepted inside one of them does not
        keep others out of it.
        """
        if len(first) + len(second) > _LARGEST:
            return "too_many_records"
        if self._twice(first, second):
            return "twice_in_one_source"
        ones, others = self._values(self._nhs, first), self._values(self._nhs, second)
        if _disjoint(ones, others):
            return "two_nhs_numbers"
        if (others and self._only_failed(first, ones)) or (
            ones and self._only_failed(second, others)
        ):
            return FAILED
        if _disjoint(self._values(self._band, first), self._values(self._band, second)):
            return "child_and_adult"
        # Mary Ann and Mary Jane are two, also when a Mary without more has joined one of them.
        second_names = self._values(self._rest, first), self._values(self._rest, second)
        if _disjoint(*second_names) or self._names_clash(first, second):
            return "given_names_differ"
        return ""

    def _values(self, column: list[int], rows: list[int]) -> set[int]:
        return {column[row] for row in rows} - {0}

    def _only_failed(self, rows: list[int], numbers: set[int]) -> bool:
        return not numbers and any(self._failed[row] for row in rows)

    def _twice(self, first: list[int], second: list[int]) -> bool:
        """Say whether the groups hold two people of one source that holds nobody twice."""
        local = _PLACE["local"]
        held: dict[int, tuple[set[int], set[int]]] = {}
        for side, rows in enumerate((first, second)):
            for row in rows:
                if self._once[row]:
                    both = held.setdefault(self._once[row], (set(), set()))
                    both[side].add(int(self._words[row, local]))
        return any(_disjoint(*both) for both in held.values())

    def _names_clash(self, first: list[int], second: list[int]) -> bool:
        """True when a given name of one group is unlike every given name of the other."""
        ones, others = self._named(first), self._named(second)
        if not ones or not others:
            return False
        # A group whose several names a person accepted may hold one that the other group lacks.
        ones_clash = any(not any(self._alike(one, other) for other in others) for one in ones)
        others_clash = any(not any(self._alike(one, other) for one in ones) for other in others)
        return (ones_clash and self.root(first[0]) not in self._decided) or (
            others_clash and self.root(second[0]) not in self._decided
        )

    def _named(self, rows: list[int]) -> list[list[int]]:
        """The names of a group, a row per given name; a single letter is no name to clash with.

        Two names that stand in one order here and in the other there are one name with two faces.
        """
        found: dict[int, dict[int, int]] = {}
        for row in rows:
            token = int(self._words[row, _PLACE["given"]])
            if token and not self._words[row, _PLACE["given_is_initial"]]:
                pair = int(self._words[row, _PLACE["name_pair"]])
                found.setdefault(pair or token, {}).setdefault(token, row)
        once: dict[tuple[int, ...], list[int]] = {}
        for faces in found.values():
            once.setdefault(tuple(sorted(faces)), list(faces.values()))
        return list(once.values())

    def _alike(self, one: list[int], other: list[int]) -> bool:
        return any(self._like(first, second) for first in one for second in other)

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
        return total > 0 and 2 * shared * 100 >= 66 * total


def _disjoint(ones: set[int], others: set[int]) -> bool:
    return bool(ones) and bool(others) and not ones & others


def without_leader(
    words: Words,
    edges: Edges,
    margin: float,
    memory: Memory = NOTHING,
    certain: Sequence[tuple[int, int]] = (),
) -> npt.NDArray[np.bool_]:
    """Return which pairs have a rival: the record fits another person, who is not this one, as well.

    A record is linked only when its best person leads the next by a margin; else a person decides
    (leader advantage, linkage.md 2.1; ties are never broken by the order of rows, LNK-14).

    Args:
        words: Encoded records.
        edges: Pairs that may link, by descending weight.
        margin: Lead in bits of match weight.
        memory: What people decided.
        certain: Pairs that are one person by a number of the person's own, so that they are no rivals.
    """
    groups = _Groups(words, memory)
    for left, right in memory.must:
        groups.join(left, right, decided=True)
    if certain:
        groups.join_together([(int(left), int(right)) for left, right in certain])
    unclear = np.zeros(len(edges.left), dtype=bool)
    ends = np.concatenate([edges.left, edges.right])
    pairs = np.tile(np.arange(len(edges.left), dtype=np.int64), 2)
    order = np.lexsort([pairs, ends])
    ends, pairs = ends[order], pairs[order]
    if not len(ends):
        return unclear
    starts = np.flatnonzero(np.append(True, ends[1:] != ends[:-1]))
    stops = np.append(starts[1:], len(ends))
    others = edges.left[pairs] + edges.right[pairs] - ends
    asks = _may_differ(words, others, starts, memory)
    for begin, stop, differ in zip(starts.tolist(), stops.tolist(), asks.tolist(), strict=True):
        if stop - begin < 2 or not differ:
            continue
        mine = pairs[begin:stop]
        # Pairs stand by descending weight, so that the first is the best.
        near = edges.weight[mine[0]] - edges.weight[mine] < margin
        close = mine[near]
        rivals = sorted(set(others[begin:stop][near].tolist()))
        if len(rivals) > _LARGEST or any(
            groups.two_people(one, other) for at, one in enumerate(rivals) for other in rivals[:at]
        ):
            unclear[close] = True
    return unclear


def _may_differ(
    words: Words, others: Words, starts: npt.NDArray[np.int64], memory: Memory
) -> npt.NDArray[np.bool_]:
    """Say of which records the rivals may be two people: anything in them that differs at all.

    It only spares the comparison of rivals that agree in everything that could contradict.
    """
    differ = np.zeros(len(starts), dtype=bool)
    for name in ("nhs", "nhs_failed", "band", "given_rest", "given", "local"):
        column = words[others, _PLACE[name]]
        least = np.where(column == 0, np.iinfo(np.int64).max, column)
        differ |= np.maximum.reduceat(column, starts) > np.minimum.reduceat(least, starts)
    decided = np.zeros(len(words), dtype=bool)
    decided[[row for pair in (*memory.must, *memory.cannot) for row in pair]] = True
    return np.asarray(differ | np.logical_or.reduceat(decided[others], starts), dtype=bool)


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
