"""The bench of linkage says which goal was missed; it cannot pass by saying nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.linkage_quality import Quality, missed_goals

GOOD = Quality(0.92, 0.999, 0.86, 0.97, 0.0002, 0.0004, 1)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, []),
        ({"precision": 0.9979}, ["precision"]),
        ({"mixed": 0.0031}, ["people in mixed clusters"]),
        ({"mixed_children": 0.0011}, ["children in mixed clusters"]),
        ({"false_in_household": 61}, ["false pairs of one household"]),
    ],
)
def test_each_goal_is_held_by_itself(changed: dict[str, float], named: list[str]) -> None:
    assert missed_goals(replace(GOOD, **changed), 6000) == named


def test_without_a_textbook_run_nothing_is_said_of_its_share() -> None:
    assert missed_goals(replace(GOOD, false_in_household=61), None) == []
