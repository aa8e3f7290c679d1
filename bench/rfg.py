"""Own evidence of every person, against two pandas forms and a copy of the columns it reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from bench.measure import FLOOR, PEER, Claim
from scoring.rfg import own_evidence
from scoring.tables import TRACKS, Ints, Tables, load_tables, shipped
from scoring.visible import Columns

EVENTS, PERSONS, AS_OF = 2_000_000, 200_000, 20_000
READ = ("pid", "kind", "role", "day", "age")
# How often what happens to whom: most of it scores somewhere, a part of it nowhere.
USUAL = (
    ("missing_episode", "missing", 0.30),
    ("cce_flag", "subject", 0.15),
    ("cse_flag", "victim", 0.10),
    ("drug_supply", "suspect", 0.10),
    ("sexual_offence", "victim", 0.05),
    ("weapon", "suspect", 0.05),
    ("asb", "suspect", 0.15),
    ("dv_incident", "victim", 0.10),
)


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    tables = load_tables(shipped())
    events = synthetic_events(EVENTS, PERSONS, tables, np.random.default_rng(4))
    frame = pd.DataFrame(events)
    points, decay = _flat(tables)
    what = f"own_evidence, {EVENTS:,} sorted events"
    against = (
        ("pandas: merge tables, group", lambda: _by_merging(frame, points, decay, tables)),
        ("pandas: look up, group", lambda: _by_looking_up(frame, tables)),
    )
    for name, other in against:
        yield Claim(
            what,
            name,
            PEER,
            other,
            lambda: own_evidence(events, PERSONS, AS_OF, tables),
            lambda theirs, ours: np.array_equal(theirs, ours.points),
        )
    yield Claim(
        what,
        "numpy copy of the 5 columns read",
        FLOOR,
        lambda: [events[name].copy() for name in READ],
        lambda: own_evidence(events, PERSONS, AS_OF, tables),
        lambda copies, ours: (
            all(np.array_equal(a, events[b]) for a, b in zip(copies, READ, strict=True))
            and int(ours.points.sum()) == int(ours.row_points.sum())
        ),
    )


def synthetic_events(
    count: int, persons: int, tables: Tables, chance: np.random.Generator
) -> Columns:
    """Return events of made-up people, sorted by person; no day is older than three years."""
    shares = np.array([share for _, _, share in USUAL])
    picked = chance.choice(len(USUAL), count, p=shares / shares.sum())
    return {
        "pid": np.sort(chance.integers(0, persons, count)),
        "kind": np.array([tables.kinds[kind].id for kind, _, _ in USUAL], np.int64)[picked],
        "role": np.array([tables.roles[role] for _, role, _ in USUAL], np.int64)[picked],
        "day": AS_OF - chance.integers(0, 3 * 365, count),
        "age": chance.choice(3, count, p=[0.05, 0.65, 0.30]).astype(np.int64),
    }


def _flat(tables: Tables) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables as an analyst has them: one row per rule, one row per half-life and day."""
    names = ("theme", "track", "kind", "role", "age")
    places = np.nonzero(tables.gamma)
    points = pd.DataFrame(dict(zip(names, places, strict=True)))
    points["gamma"], points["half_life"] = tables.gamma[places], tables.half_life[places]
    decay = pd.concat(
        pd.DataFrame({"half_life": length, "days": np.arange(len(table)), "factor": table})
        for length, table in tables.decay.items()
    )
    return points, decay


def _by_merging(
    frame: pd.DataFrame, points: pd.DataFrame, decay: pd.DataFrame, tables: Tables
) -> Ints:
    joined = frame.merge(points, on=["kind", "role", "age"])
    joined["days"] = AS_OF - joined["day"]
    joined = joined.merge(decay, on=["half_life", "days"])
    joined["points"] = joined["gamma"] * joined["factor"]
    sums = joined.groupby(["pid", "theme", "track"], sort=False)["points"].sum()
    total = np.zeros((PERSONS, len(tables.themes), len(TRACKS)), np.int64)
    total[tuple(sums.index.get_level_values(level) for level in range(3))] = sums.to_numpy()
    return total


def _by_looking_up(frame: pd.DataFrame, tables: Tables) -> Ints:
    """The best pandas: dense tables looked up by position, then one grouping of a sorted key."""
    longest = max(map(len, tables.decay.values()))
    factor = np.zeros((max(tables.decay) + 1, longest + 1), np.int64)
    for length, table in tables.decay.items():
        factor[length, : len(table)] = table
    days = np.minimum(AS_OF - frame["day"].to_numpy(), longest)
    shape = (len(tables.themes), len(TRACKS))
    sums = {}
    for theme, track in np.ndindex(shape):
        place = (theme, track, frame["kind"], frame["role"], frame["age"])
        sums[theme, track] = tables.gamma[place] * factor[tables.half_life[place], days]
    grouped = pd.DataFrame(sums).groupby(frame["pid"].to_numpy()).sum()
    total = np.zeros((PERSONS, *shape), np.int64)
    total[grouped.index] = grouped.to_numpy().reshape(-1, *shape)
    return total
