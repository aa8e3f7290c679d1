"""How sure a run is of a person: the weakest join of the strongest tree between their records."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.linkage.edges import Edges
from engine.linkage.sure import SURE, UNJOINED, sureness


def _edges(*pairs: tuple[int, int, float]) -> Edges:
    left, right, weight = zip(*pairs, strict=True) if pairs else ((), (), ())
    return Edges(np.array(left, np.int64), np.array(right, np.int64), np.array(weight, float), {})


def _part(bits: float) -> int:
    return round(SURE / (1 + 2.0**-bits))


@pytest.mark.finding("SCO-T10")
def test_a_chain_is_as_sure_as_its_weakest_join_and_a_ring_as_its_second_way() -> None:
    clusters = np.zeros(3, np.int64)
    chain = _edges((0, 1, 12.0), (1, 2, 5.0))
    assert sureness(clusters, chain, []).tolist() == [_part(5)] * 3
    ring = _edges((0, 1, 12.0), (1, 2, 5.0), (0, 2, 9.0))
    assert sureness(clusters, ring, []).tolist() == [_part(9)] * 3
    # What a person or an own id says is certain, whatever the model would.
    assert sureness(clusters, chain, [(2, 1)]).tolist() == [_part(12)] * 3
    assert sureness(clusters, _edges(), [(0, 1), (1, 2)]).tolist() == [SURE] * 3


def test_one_record_is_sure_and_what_nothing_joins_is_not() -> None:
    clusters = np.array([0, 1, 1, 3, 3])
    found = sureness(clusters, _edges((0, 1, 30.0), (3, 4, -200.0)), [])
    assert found.tolist() == [SURE, UNJOINED, UNJOINED, 0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(1, 60)), max_size=20),
    st.randoms(use_true_random=False),
)
def test_neither_order_nor_direction_of_pairs_matters_and_more_evidence_never_hurts(
    raw: list[tuple[int, int, int]], chance: object
) -> None:
    pairs = [(a, b, float(weight)) for a, b, weight in raw if a != b]
    clusters = np.zeros(8, np.int64)
    before = sureness(clusters, _edges(*pairs), [])
    turned = [(b, a, weight) for a, b, weight in pairs]
    chance.shuffle(turned)  # type: ignore[attr-defined]
    assert sureness(clusters, _edges(*turned), []).tolist() == before.tolist()
    more = sureness(clusters, _edges(*pairs, (0, 1, 40.0)), [])
    if (before != UNJOINED).all():
        assert (more >= before).all()
