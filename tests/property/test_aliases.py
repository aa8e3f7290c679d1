"""Former numbers: whatever records say of them, order never matters and no number is invented."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linkage.aliases import KINDS, aliases, with_present_numbers
from engine.linkage.encode import COLUMNS, Words

_PLACE = {name: number for number, name in enumerate(COLUMNS)}
NUMBERS = st.integers(0, 6)


@st.composite
def _records(draw: st.DrawFn) -> Words:
    rows = draw(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=12))
    words = np.zeros((len(rows), len(COLUMNS)), np.int64)
    for at, name in enumerate(("nhs", "nhs_former", "upn", "upn_former")):
        words[:, _PLACE[name]] = [row[at] for row in rows]
    return words


@pytest.mark.finding("LNK-20", "LNK-22")
@given(_records(), st.randoms(use_true_random=False))
def test_order_never_matters_and_no_number_is_invented(words: Words, chance: st.Random) -> None:  # type: ignore[name-defined]
    found = aliases(words)
    order = list(range(len(words)))
    chance.shuffle(order)
    assert aliases(words[order]) == found
    read = with_present_numbers(words, found)
    assert np.array_equal(with_present_numbers(words[order], found), read[order])
    for kind in KINDS:
        before, after = words[:, _PLACE[kind]], read[:, _PLACE[kind]]
        stated = set(before.tolist())
        assert set(after.tolist()) <= stated
        assert ((before == 0) == (after == 0)).all()
        # What stands at the end of a chain is former nowhere, so that reading twice changes nothing.
        assert not set(found.followed[kind].values()) & set(found.followed[kind])
        assert not set(found.unclear[kind]) & set(found.followed[kind])
        # Two records that gave one number still give one.
        for one in stated:
            assert len(set(after[before == one].tolist())) == 1
    assert np.array_equal(with_present_numbers(read, found), read)
    others = [_PLACE[name] for name in COLUMNS if name not in KINDS]
    assert np.array_equal(read[:, others], words[:, others])
