"""What is hidden of a table of counts is attacked with linear programming: margins must not give it back.

Public failure 16 of audit_crypto.md 6: a tool for disclosure control printed cells below its threshold because the
margins gave them away. The attacker here has every cell and every total that is told, and knows that a count is
not negative.
"""

from __future__ import annotations

import hypothesis.extra.numpy as tables
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from engine.linkage.quality import SMALL, suppressed

pytestmark = pytest.mark.finding("AUD-16")
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def bounds(counts: Ints, hidden: Mask, whole: Mask) -> dict[tuple[int, int], tuple[float, float]]:
    """Return between which values each hidden cell must lie, from what is told."""
    unknown = [tuple(map(int, one)) for one in np.argwhere(hidden)]
    place = {one: number for number, one in enumerate(unknown)}
    rows, values = [], []

    def line(cells: list[tuple[int, int]], total: int) -> None:
        row = np.zeros(len(unknown))
        for one in cells:
            if one in place:
                row[place[one]] = 1
                continue
            total -= int(counts[one])
        if row.any():
            rows.append(row)
            values.append(total)

    height, width = counts.shape
    for label in range(height):
        if not whole[label]:
            line([(label, one) for one in range(width)], int(counts[label].sum()))
    for delivery in range(width):
        line([(one, delivery) for one in range(height)], int(counts[:, delivery].sum()))
    # The totals that are told and all records give the sum of the others.
    line(
        [(a, b) for a in range(height) if whole[a] for b in range(width)], int(counts[whole].sum())
    )
    found = {}
    for one, number in place.items():
        ends = []
        for sign in (1, -1):
            goal = np.zeros(len(unknown))
            goal[number] = sign
            solved = linprog(goal, A_eq=np.array(rows), b_eq=np.array(values), bounds=(0, None))
            assert solved.status == 0, solved.message
            ends.append(sign * solved.fun)
        found[one] = (ends[0], ends[1])
    return found


def given_away(counts: Ints, hidden: Mask, whole: Mask) -> list[tuple[int, int]]:
    """Return the small cells whose value follows; one alone in its delivery is that delivery's size."""
    return [
        at
        for at, (least, most) in bounds(counts, hidden, whole).items()
        if 0 < counts[at] < SMALL and most - least < 0.5 and (counts[:, at[1]] > 0).sum() > 1
    ]


shapes = st.tuples(st.integers(2, 4), st.integers(1, 4))
values = st.one_of(st.integers(0, 12), st.integers(0, 60))


@given(shapes.flatmap(lambda shape: tables.arrays(np.int64, shape, elements=values)))
def test_no_small_cell_follows_from_what_is_told(counts: Ints) -> None:
    hidden, whole = suppressed(counts)
    assert hidden[(counts > 0) & (counts < SMALL)].all()
    assert given_away(counts, hidden, whole) == []


def test_the_attack_finds_what_hiding_small_cells_alone_gives_away() -> None:
    counts = np.array([[25, 35], [15, 25], [3, 27]])
    alone, none = (counts < SMALL), np.zeros(3, bool)
    assert given_away(counts, alone, none) == [(2, 0)]
    assert given_away(counts, *suppressed(counts)) == []
