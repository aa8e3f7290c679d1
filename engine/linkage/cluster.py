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

from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Words
from engine.linkage.settings_v2 import ALIKE

_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_GIVEN_WORDS = [_PLACE[f"bf_given_{number}"] for number in range(4)]
FAILED = "a_failed_nhs_number"
LARGEST = 60
"""Records of one person beyond which a person looks."""
_FEW, _ALIKE = 20, round(100 * float(ALIKE["given"]))


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
    roots = np.array([groups.root(row) for row in range(len(words))], np.int64)
    return Clusters(roots, refused)


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
        once = memory.once
        self._sources = once if once is not None else np.zeros(len(words), np.int64)
        self._once = self._sources.tolist()
        self._parent = list(range(len(words)))
        # Records of which no decision speaks and that nothing has joined yet.
        self._alone = np.ones(len(words), dtype=bool)
        self._alone[list(self._apart)] = False
        self._rows: dict[int, list[int]] = {}
        self._nhs = words[:, _PLACE["nhs"]].tolist()
        self._band = words[:, _PLACE["band"]].tolist()
        self._rest = words[:, _PLACE["given_rest"]].tolist()
        self._failed = words[:, _PLACE["nhs_failed"]].tolist()
        self._local = words[:, _PLACE["local"]].tolist()
        self._given = words[:, _PLACE["given"]].tolist()

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

        def column(name: str) -> tuple[Words, Words]:
            values = self._words[:, _PLACE[name]]
            return values[left], values[right]

        plain = once_met[left] & once_met[right]
        for name in ("nhs", "band", "given_rest"):
            one, other = column(name)
            plain &= (one == other) | (one == 0) | (other == 0)
        plain &= (self._sources[left] == 0) | (self._sources[left] != self._sources[right])
        given, failed = column("given"), column("nhs_failed")
        plain &= (given[0] == given[1]) & (failed[0] == 0) & (failed[1] == 0)
        for first, second in zip(left[plain].tolist(), right[plain].tolist(), strict=True):
            low, high = (first, second) if first < second else (second, first)
            self._parent[high] = low
            self._rows[low] = [first, second]
        self._alone[left[plain]] = False
        self._alone[right[plain]] = False
        return np.asarray(plain, dtype=bool)

    def root(self, row: int) -> int:
        """Return the row that stands for the group of a row."""
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
        rows = [self._rows.get(root, [root]) for root in roots]
        if sum(map(len, rows)) > LARGEST:
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
        if len(first) == len(second) == 1:
            return self._between(first[0], second[0])
        if len(first) + len(second) > LARGEST:
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

    def _between(self, one: int, other: int) -> str:
        """Return what `contradiction` says of two single rows, without making sets of them."""

        def differ(column: list[int]) -> bool:
            return bool(column[one]) and bool(column[other]) and column[one] != column[other]

        same_source = self._once[one] and self._once[one] == self._once[other]
        if same_source and self._local[one] != self._local[other]:
            return "twice_in_one_source"
        if differ(self._nhs):
            return "two_nhs_numbers"
        first, second = self._nhs[one], self._nhs[other]
        if bool(first) != bool(second) and self._failed[one if second else other]:
            return FAILED
        if differ(self._band):
            return "child_and_adult"
        if differ(self._rest):
            return "given_names_differ"
        same = self._given[one] == self._given[other]
        return "given_names_differ" if not same and self._names_clash([one], [other]) else ""

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
        return total > 0 and 2 * shared * 100 >= _ALIKE * total


def _disjoint(ones: set[int], others: set[int]) -> bool:
    return bool(ones) and bool(others) and not ones & others


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
