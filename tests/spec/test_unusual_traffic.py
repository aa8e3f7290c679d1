"""The monitor on planted misuse: better than volume alone, which is better than random, at equal reviews.

Synthetic accesses of four months, with misuse five times as dense as in the year of `python -m
bench.unusual`: of twenty incidents chance alone would decide which baseline is the better one.
"""

from __future__ import annotations

import pytest

from audit.unusual import Act
from bench.unusual import A_WEEK, Measured, lift, measured, report
from engine.city.traffic import KINDS, ROLES, make_traffic

SEED, DAYS = 21, 119
"""A seed that is neither tuned on nor reported."""


@pytest.fixture(scope="module")
def found() -> Measured:
    return measured(SEED, days=DAYS, density=5)


@pytest.mark.deep
def test_the_monitor_beats_volume_and_volume_beats_random_at_equal_reviews(found: Measured) -> None:
    monitor, volume, chance = (
        one.recall(found.traffic) for one in (found.monitor, found.volume, found.random)
    )
    assert monitor > volume > chance
    assert found.monitor.precision > found.volume.precision > found.random.precision
    # Equal or fewer: an empty queue is not filled up, while the baselines always take their twenty.
    assert found.monitor.reviews <= found.volume.reviews == found.random.reviews == A_WEEK * 17


def test_what_is_reviewed_is_told_by_kind_and_every_sign_has_its_lift(found: Measured) -> None:
    lines = report([found], [SEED])
    assert lines[0].startswith("SYNTHETIC")
    assert {line.split()[0] for line in lines if line} >= {
        *KINDS,
        "monitor",
        "volume",
        "random",
        "same_street",
    }
    # A sign that stood on work as often as on misuse would be worth nothing.
    assert lift([found], "same_street") > 5
    assert lift([found], "repeat_without_case") > 5


def test_traffic_is_the_same_from_the_same_seed_and_of_the_declared_size() -> None:
    first, again, other = (
        make_traffic(3, days=28),
        make_traffic(3, days=28),
        make_traffic(4, days=28),
    )
    assert (first.looks, first.incident) == (again.looks, again.incident)
    assert first.looks != other.looks
    assert sum(count for _, _, count, _ in ROLES) == 112 == len(first.users)
    assert 2_000 < len(first.looks) < 4_000
    work = [one for one in first.looks if one.subject and one.seq not in first.incident]
    assert 0.85 < sum(bool(one.explained) for one in work) / len(work) < 0.98
    assert {one.act for one in first.looks} == {Act.VIEW, Act.LIST, Act.REFUSED}
