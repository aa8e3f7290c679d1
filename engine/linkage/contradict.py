"""What speaks against two records, or two groups of them, being one person (linkage.md 4.1).

NHS numbers, pupil numbers in two homes, a mistyped number, age bands, given names, and two ids of a source
that holds nobody twice. It looks at keyed words and never at a weight.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.linkage.encode import COLUMNS, Words
from engine.linkage.settings_v2 import ALIKE

_PLACE = {name: number for number, name in enumerate(COLUMNS)}
_WORD = 2**64 - 1
FAILED = "a_failed_nhs_number"
LARGEST = 60
"""Records of one person beyond which a person looks."""
TELLING = ("nhs", "upn", "nhs_failed", "band", "given_rest", "given")
"""Columns in which two records must differ for anything here to speak against them; sources aside."""
_ALIKE = round(100 * float(ALIKE["given"]))


class Contradictions:
    """What contradicts what among some records.

    Args:
        words: Encoded records.
        once: Per row, the number of its source if that holds nobody twice, else 0; None for none.
    """

    def __init__(self, words: Words, once: npt.NDArray[np.int64] | None = None) -> None:
        self._words = words
        self._sources = once if once is not None else np.zeros(len(words), np.int64)
        self._once = self._sources.data

        def column(name: str) -> memoryview[int]:
            return words[:, _PLACE[name]].data  # One number of it is at hand fastest this way.

        self._nhs, self._upn, self._local = column("nhs"), column("upn"), column("local")
        self._postcode, self._band = column("postcode"), column("band")
        self._rest, self._failed = column("given_rest"), column("nhs_failed")
        self._given, self._pair = column("given"), column("name_pair")
        self._initial, self._skel = column("given_is_initial"), column("skel")
        self._nick, self._pref = column("nick"), column("pref")
        self._bits = [column(f"bf_given_{number}") for number in range(4)]
        self._set = column("pc_given")

    def nothing_against(self, left: Words, right: Words) -> npt.NDArray[np.bool_]:
        """Return which pairs of single records agree in all that could contradict, column by column.

        Of the others the rules have to be asked.
        """

        def column(name: str) -> tuple[Words, Words]:
            values = self._words[:, _PLACE[name]]
            return values[left], values[right]

        plain = (self._sources[left] == 0) | (self._sources[left] != self._sources[right])
        for name in ("nhs", "upn", "band", "given_rest"):
            one, other = column(name)
            plain &= (one == other) | (one == 0) | (other == 0)
        given, failed = column("given"), column("nhs_failed")
        plain &= (given[0] == given[1]) & (failed[0] == 0) & (failed[1] == 0)
        return np.asarray(plain, dtype=bool)

    def mistyped(self, rows: list[int]) -> bool:
        """Say whether one of some rows has an NHS number that fails its check."""
        return any(self._failed[one] for one in rows)

    def contradiction(
        self, first: list[int], second: list[int], accepted: tuple[bool, bool] = (False, False)
    ) -> str:
        """Return why two groups of rows cannot be one person; empty when nothing speaks against it.

        Only what stands between the groups counts: what a person accepted inside one of them does not
        keep others out of it.

        Args:
            first: Rows of one group.
            second: Rows of the other.
            accepted: Whether a person decided that the names of each group are one person's.
        """
        if len(first) == len(second) == 1:
            return self._between(first[0], second[0], accepted)
        if len(first) + len(second) > LARGEST:
            return "too_many_records"
        if self._twice(first, second):
            return "twice_in_one_source"
        ones, others = self._values(self._nhs, first), self._values(self._nhs, second)
        if _disjoint(ones, others):
            return "two_nhs_numbers"
        if not ones & others and self._two_pupil_numbers(first, second):
            return "two_pupil_numbers"
        if (others and self._only_failed(first, ones)) or (
            ones and self._only_failed(second, others)
        ):
            return FAILED
        if _disjoint(self._values(self._band, first), self._values(self._band, second)):
            return "child_and_adult"
        # Mary Ann and Mary Jane are two, also when a Mary without more has joined one of them.
        second_names = self._values(self._rest, first), self._values(self._rest, second)
        if _disjoint(*second_names) or self._names_clash(first, second, accepted):
            return "given_names_differ"
        return ""

    def _between(self, one: int, other: int, accepted: tuple[bool, bool]) -> str:
        """Return what `contradiction` says of two single rows, without making sets of them."""

        def differ(column: memoryview[int]) -> bool:
            return bool(column[one]) and bool(column[other]) and column[one] != column[other]

        same_source = self._once[one] and self._once[one] == self._once[other]
        if same_source and self._local[one] != self._local[other]:
            return "twice_in_one_source"
        if differ(self._nhs):
            return "two_nhs_numbers"
        first, second = self._nhs[one], self._nhs[other]
        same_number = bool(first) and first == second
        if differ(self._upn) and not same_number and self._two_pupil_numbers([one], [other]):
            return "two_pupil_numbers"
        if bool(first) != bool(second) and self._failed[one if second else other]:
            return FAILED
        if differ(self._band):
            return "child_and_adult"
        if differ(self._rest):
            return "given_names_differ"
        same = self._given[one] == self._given[other]
        return (
            "given_names_differ" if not same and self._names_clash([one], [other], accepted) else ""
        )

    def _values(self, column: memoryview[int], rows: list[int]) -> set[int]:
        return {column[row] for row in rows} - {0}

    def _only_failed(self, rows: list[int], numbers: set[int]) -> bool:
        return not numbers and any(self._failed[row] for row in rows)

    def _twice(self, first: list[int], second: list[int]) -> bool:
        """Say whether the groups hold two people of one source that holds nobody twice."""
        held: dict[int, tuple[set[int], set[int]]] = {}
        for side, rows in enumerate((first, second)):
            for row in rows:
                if self._once[row]:
                    both = held.setdefault(self._once[row], (set(), set()))
                    both[side].add(self._local[row])
        return any(_disjoint(*both) for both in held.values())

    def _two_pupil_numbers(self, first: list[int], second: list[int]) -> bool:
        """Say whether the groups bear two pupil numbers, in two homes, and no id of an agency in common.

        A number changes now and then (LNK-22), so that two of them alone say nothing; namesakes born on
        one day have two, and a record without a number must not join them.
        """
        return (
            _disjoint(self._values(self._upn, first), self._values(self._upn, second))
            and _disjoint(self._values(self._postcode, first), self._values(self._postcode, second))
            and not self._values(self._local, first) & self._values(self._local, second)
        )

    def _names_clash(
        self, first: list[int], second: list[int], accepted: tuple[bool, bool]
    ) -> bool:
        """True when a given name of one group is unlike every given name of the other."""
        ones, others = self._named(first), self._named(second)
        if not ones or not others:
            return False
        # A group whose several names a person accepted may hold one that the other group lacks.
        ones_clash = any(not any(self._alike(one, other) for other in others) for one in ones)
        others_clash = any(not any(self._alike(one, other) for one in ones) for other in others)
        return (ones_clash and not accepted[0]) or (others_clash and not accepted[1])

    def _named(self, rows: list[int]) -> list[list[int]]:
        """The names of a group, a row per given name; a single letter is no name to clash with.

        Two names that stand in one order here and in the other there are one name with two faces.
        """
        found: dict[int, dict[int, int]] = {}
        for row in rows:
            token = self._given[row]
            if token and not self._initial[row]:
                found.setdefault(self._pair[row] or token, {}).setdefault(token, row)
        once: dict[tuple[int, ...], list[int]] = {}
        for faces in found.values():
            once.setdefault(tuple(sorted(faces)), list(faces.values()))
        return list(once.values())

    def _alike(self, one: list[int], other: list[int]) -> bool:
        return any(self._like(first, second) for first in one for second in other)

    def _like(self, one: int, other: int) -> bool:
        nick, pref, skel, pair = self._nick, self._pref, self._skel, self._pair
        if nick[one] in (nick[other], pref[other]) or (pref[one] and pref[one] == nick[other]):
            return True
        if skel[one] and skel[one] == skel[other]:
            return True
        if pair[one] and pair[one] == pair[other]:
            return True  # The same two names in the other order.
        shared = sum((bits[one] & bits[other] & _WORD).bit_count() for bits in self._bits)
        total = self._set[one] + self._set[other]
        return total > 0 and 2 * shared * 100 >= _ALIKE * total


def _disjoint(ones: set[int], others: set[int]) -> bool:
    return bool(ones) and bool(others) and not ones & others
