"""Worked examples of the scoring method; every expected number is worked out by hand beside it."""

from __future__ import annotations

import numpy as np
import pytest

from scoring.modulate import modulated
from scoring.tables import ONE, TRACKS
from tests.builders.scoring_columns import TABLES, Event, State, rows_of, score_of, world

AS_OF = 4000
CSE, CCE = TABLES.themes.index("cse"), TABLES.themes.index("cce")
HARMING = TRACKS.index("harming")

# Half of the index is reached at K = 60 points: I = 100 X / (X + 60), floored to a thousandth.
INDEX = [
    # events of one person: (kind, role, days ago), theme, track            X          I
    ([("cse_flag", "victim", 0)], "cse", "harmed", 50_000),  # 60           60 / 120
    ([("cse_flag", "victim", 180)], "cse", "harmed", 33_333),  # 30         30 / 90
    ([("cse_flag", "victim", 360)], "cse", "harmed", 20_000),  # 15         15 / 75
    ([("cse_flag", "victim", 1080)], "cse", "harmed", 1_538),  # 60/64      0.9375 / 60.9375
    ([("cse_flag", "victim", 1081)], "cse", "harmed", 0),  # past six half-lives
    ([("cse_flag", "victim", 0)] * 2, "cse", "harmed", 66_666),  # 120      120 / 180
    ([("sexual_offence", "victim", 0)], "cse", "harmed", 53_846),  # 70     70 / 130
    ([("sexual_offence", "suspect", 730)], "cse", "harming", 36_842),  # 35 35 / 95
    ([("missing_episode", "missing", 0)], "cse", "harmed", 29_411),  # 25   25 / 85
    ([("missing_episode", "missing", 90)], "cse", "harmed", 17_241),  # 12.5  12.5 / 72.5
    ([("missing_episode", "missing", 0)], "cce", "harmed", 25_000),  # 20   20 / 80
    ([("drug_supply", "suspect", 0), ("weapon", "suspect", 0)], "cce", "harming", 55_555),  # 75/135
    ([("drug_supply", "victim", 0)], "cce", "harming", 0),  # a victim never harms
    ([("drug_supply", "witness", 0)], "cce", "harming", 0),
]


@pytest.mark.finding("SCO-T4")
@pytest.mark.parametrize(("events", "theme", "track", "expected"), INDEX)
def test_index(events: list[tuple[str, str, int]], theme: str, track: str, expected: int) -> None:
    rows = [
        Event(0, eid, kind, role, AS_OF - ago) for eid, (kind, role, ago) in enumerate(events, 1)
    ]
    found = world(rows, persons=1, as_of=AS_OF)
    row = score_of(found.scores, 0, theme, track)
    assert row["index"] == row["score"] == expected


# A pair's points from one event: 40 x share x decay / (members - 1).
PAIR = [
    # kind, role of all, others who only watched, members in that role, days ago, points of each pair
    ("drug_supply", "suspect", 0, 2, 0, 40 * ONE),
    ("drug_supply", "suspect", 0, 3, 0, 20 * ONE),  # 40 / 2
    ("drug_supply", "suspect", 1, 2, 0, 20 * ONE),  # the witness counts among three members
    ("drug_supply", "suspect", 0, 5, 0, 10 * ONE),  # 40 / 4
    ("drug_supply", "suspect", 0, 2, 180, 20 * ONE),  # one half-life
    ("missing_episode", "missing", 0, 4, 0, 13_981_013),  # floor(40 x 1048576 / 3)
    ("cse_flag", "subject", 0, 2, 0, 20 * ONE),  # named in one report: half the share
    ("cse_flag", "subject", 0, 3, 180, 5 * ONE),  # 20 x 1/2 / 2
]


@pytest.mark.parametrize(("kind", "role", "others", "members", "ago", "expected"), PAIR)
def test_points_of_a_pair(
    kind: str, role: str, others: int, members: int, ago: int, expected: int
) -> None:
    rows = [Event(pid, 1, kind, role, AS_OF - ago) for pid in range(members)]
    rows += [Event(members + n, 1, kind, "witness", AS_OF - ago) for n in range(others)]
    found = world(rows, persons=members + others, as_of=AS_OF).links.rows
    assert found["points"].tolist() == [expected] * (members * (members - 1) // 2)


# s = omega L / (L + L0) per kind, w = 1 - product of (1 - s), at scale 2^20 = 1048576.
STRENGTH = [
    # suspected together (times), in one household of (people)   weight on harmed, on harming
    (1, 0, 349_525, 349_525),  # 40 / 120 = 1/3
    (2, 0, 524_288, 524_288),  # 80 / 160 = 1/2
    (6, 0, 786_432, 786_432),  # 240 / 320 = 3/4
    (0, 2, 157_286, 0),  # 0.3 x 40 / 80 = 0.15; a household carries no harming
    (0, 4, 78_642, 0),  # 0.3 x 13.33 / 53.33 = 0.075, just below for the floor of 13.33
    # 1/2 and 0.15: what is left is 524288 x (1048576 - 157286) / 1048576 = 445645
    (2, 2, 602_931, 524_288),
]


@pytest.mark.parametrize(("times", "home", "harmed", "harming"), STRENGTH)
def test_strength_of_a_link(times: int, home: int, harmed: int, harming: int) -> None:
    rows = [
        Event(pid, eid, "asb", "suspect", AS_OF) for eid in range(1, times + 1) for pid in (0, 1)
    ]
    states = [State(pid, "household", 7) for pid in range(home)]
    found = world(rows, states, persons=4, as_of=AS_OF).links
    assert rows_of({"a": found.a, "b": found.b}, "a", "b")[0] == (0, 1)
    assert found.weight[0].tolist() == [harmed, harming]


# M = I + (100 - I) x 0.4 x E / (E + 100), in thousandths.
SCORE = [
    # own     exposure     score
    (0, 0, 0),
    (0, 100_000, 20_000),  # 100 x 0.4 x 1/2
    (0, 300_000, 30_000),  # 100 x 0.4 x 3/4
    (0, 10**9, 39_996),  # 40000 x 1000000 / 1000100 = 39996.0004
    (50_000, 0, 50_000),
    (50_000, 100_000, 60_000),  # 50 + 50 x 0.4 x 1/2
    (90_000, 300_000, 93_000),  # 90 + 10 x 0.4 x 3/4
    (99_999, 100_000, 99_999),  # 1 x 400 / 1000 floors to nothing
]


@pytest.mark.parametrize(("own", "exposed", "expected"), SCORE)
def test_modulated_score(own: int, exposed: int, expected: int) -> None:
    assert modulated(np.array([own]), np.array([exposed]), TABLES).tolist() == [expected]


@pytest.mark.finding("SCO-P6")
def test_exposure_leaves_out_what_two_people_share() -> None:
    found = world(
        [
            Event(0, 1, "drug_supply", "suspect", AS_OF),
            Event(1, 1, "drug_supply", "suspect", AS_OF),
            Event(0, 2, "weapon", "suspect", AS_OF),
        ],
        persons=2,
        as_of=AS_OF,
    )
    # 0 has 45 + 30 points, of which 45 are shared: 30 are left, 100 x 30 / 90 = 33.333.
    # w = 40 / 120, so E(1) = 33333 x 349525 / 1048576 = 11110.99. 1 has nothing but what is shared.
    assert rows_of(
        found.around.parts, "pid", "theme", "track", "neighbour", "index", "exposure"
    ) == [(1, CCE, HARMING, 0, 33_333, 11_110)]
    # 1: I = 45 / 105 = 42.857; (100000 - 42857) x 0.4 = 22857; x 11110 / 111110 = 2285.5.
    one = score_of(found.scores, 1, "cce", "harming")
    assert (one["index"], one["exposure"], one["score"]) == (42_857, 11_110, 45_142)
    # 0: I = 75 / 135 = 55.555, and no exposure.
    nought = score_of(found.scores, 0, "cce", "harming")
    assert (nought["index"], nought["exposure"], nought["score"]) == (55_555, 0, 55_555)


def test_a_victim_and_a_suspect_of_one_offence_stand_on_their_own_track_and_are_not_linked() -> (
    None
):
    found = world(
        [
            Event(0, 1, "sexual_offence", "victim", AS_OF),
            Event(1, 1, "sexual_offence", "suspect", AS_OF, 2),
        ],
        persons=2,
        as_of=AS_OF,
    )
    # 70 / 130 = 53.846 for both, each on one track only.
    assert rows_of(found.scores, "pid", "theme", "track", "index", "score") == [
        (0, CSE, 0, 53_846, 53_846),
        (1, CSE, 1, 53_846, 53_846),
    ]
    assert not len(found.links.a)
