"""An alerted person stays whole until a person has spoken, as far as decisions allow."""

from __future__ import annotations

import numpy as np
import pytest

from engine.linkage.hold import Known, rejoined


@pytest.mark.parametrize(
    ("clusters", "persons", "alerted", "cannot", "made", "kept"),
    [
        ([0, 1, 2], [1, 1, 1], {1}, [], [0, 0, 0], [(0, 1), (0, 2)]),
        # One record was parted by a person; the other two are still one.
        ([0, 1, 2], [1, 1, 1], {1}, [(0, 1), (0, 2)], [0, 1, 1], [(1, 2)]),
        ([0, 1, 2], [1, 1, 1], {1}, [(0, 1), (0, 2), (1, 2)], [0, 1, 2], []),
        ([0, 1, 2], [1, 1, 2], {2}, [], [0, 1, 2], []),
        # A decision brought a row of each together; nothing of either is lost.
        ([0, 1, 1, 3], [1, 1, 2, 2], {1, 2}, [], [0, 0, 0, 0], [(0, 1), (0, 3)]),
        ([0, 1, 1], [1, 1, 0], {1}, [], [0, 0, 0], [(0, 1)]),
        ([0, 1], [0, 0], {1}, [], [0, 1], []),
    ],
)
def test_parts_are_kept_with_the_first_that_nobody_parted_them_from(
    clusters: list[int],
    persons: list[int],
    alerted: set[int],
    cannot: list[tuple[int, int]],
    made: list[int],
    kept: list[tuple[int, int]],
) -> None:
    known = Known(np.array(persons), frozenset(alerted))
    apart = np.zeros(len(clusters), dtype=bool)
    found, pairs = rejoined(np.array(clusters), known, cannot, apart)
    assert (found.tolist(), pairs) == (made, kept)
