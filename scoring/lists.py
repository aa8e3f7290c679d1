"""Review lists bounded by capacity: declared order, keyed ties, a blind random share below the line."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring.modulate import STATE_EMERGING, STATE_SCORED
from scoring.tables import TRACKS, Ints, ListRule, Tables
from scoring.visible import Columns

AGES = {"under18": 1, "over18": 2}


@dataclass(frozen=True)
class Around:
    """What else bears on a place of a list.

    Attributes:
        resting: Theme to people with an outcome and nothing new since.
        rising: Theme and track to what new evidence did to each person's index.
        by_event: People whom an event links to somebody; a household alone brings nobody onto a list.
    """

    resting: Mapping[str, frozenset[int]]
    rising: Mapping[tuple[str, str], Mapping[int, int]]
    by_event: frozenset[int]


NOTHING_AROUND = Around({}, {}, frozenset())


def review_list(
    scores: Columns,
    bands: Ints,
    pseudonyms: Sequence[bytes],
    rule: ListRule,
    run: str,
    tie_key: bytes,
    tables: Tables,
    around: Around = NOTHING_AROUND,
) -> Columns:
    """Choose who is looked at.

    Args:
        scores: The score table.
        bands: Age band of each person on the as-of date; an unknown age is not on a children's list.
        pseudonyms: Pseudonym of each person, for the keyed order of ties.
        rule: Theme, track, age, pick and capacity.
        run: Run id; ties fall differently in each run.
        tie_key: Key of the tie order, so that nobody can choose a pseudonym that wins.
        tables: The versioned tables.
        around: What else bears on a place: who rests, what is new, who is linked by events.

    Returns:
        int64 columns ``pid, rank, score, blind``. The emerging cohort is on no other list than its own
        (scoring.md 1.6). Of the list by score, 5 to 20 % of the places go to a keyed draw from the rest
        with any own evidence, so that what lies below the line can be estimated (T17).
    """
    mine = np.flatnonzero(
        (scores["theme"] == tables.themes.index(rule.theme))
        & (scores["track"] == TRACKS.index(rule.track))
        & (bands[scores["pid"]] == AGES[rule.age])
    )
    rested = around.resting.get(rule.theme, frozenset())
    rows = {int(scores["pid"][row]): row for row in mine.tolist()}
    rows = {pid: row for pid, row in rows.items() if pid not in rested}
    if rule.pick == "emerging":
        order = {pid: int(scores["exposure"][row]) for pid, row in rows.items()
                 if scores["state"][row] == STATE_EMERGING and pid in around.by_event}  # fmt: skip
    else:
        own = {pid: row for pid, row in rows.items()
               if scores["state"][row] == STATE_SCORED and scores["index"][row] > 0}  # fmt: skip
        rising = around.rising.get((rule.theme, rule.track), {})
        order = (
            {pid: rising[pid] for pid in own if pid in rising}
            if rule.pick == "increasing"
            else {pid: int(scores["score"][row]) for pid, row in own.items()}
        )
    key = {pid: _tie(tie_key, rule.id, run, pseudonyms[pid]) for pid in order}
    least = tables.high_score if rule.pick == "high" else 0
    above = sorted(
        (pid for pid in order if order[pid] >= least), key=lambda pid: (-order[pid], key[pid])
    )
    # Rounded up: never none. Only the list by score has a line to be checked.
    blind_places = -(-rule.capacity * tables.blind_share // 1000) if rule.pick == "high" else 0
    chosen = above[: rule.capacity - blind_places]
    rest = sorted(set(order) - set(chosen), key=lambda pid: key[pid])
    blind = rest[:blind_places]
    return {
        "pid": np.array([*chosen, *blind], np.int64),
        "rank": np.arange(1, len(chosen) + len(blind) + 1, dtype=np.int64),
        "score": np.array([int(scores["score"][rows[pid]]) for pid in (*chosen, *blind)], np.int64),
        "blind": np.array([0] * len(chosen) + [1] * len(blind), np.int64),
    }


def still_resting(
    decided: Mapping[int, int], events: Columns, row_points: Ints, as_of: int, tables: Tables
) -> dict[str, frozenset[int]]:
    """Return, by theme, who had an outcome lately and of whom nothing was recorded since.

    Args:
        decided: Person to the day of the last outcome.
        events: Visible events.
        row_points: Points of each of their rows, ``[row, theme, track]``.
        as_of: Day of the run.
        tables: The versioned tables.
    """
    recent = {pid: day for pid, day in decided.items() if as_of - day < tables.cool_down_days}
    if not recent:
        return {}
    since = np.array([recent.get(pid, as_of) for pid in events["pid"].tolist()], np.int64)
    found = {}
    for theme, name in enumerate(tables.themes):
        new = (events["recorded"] > since) & row_points[:, theme].any(axis=1)
        found[name] = frozenset(recent) - frozenset(events["pid"][new].tolist())
    return found


def _tie(key: bytes, rule: str, run: str, pseudonym: bytes) -> bytes:
    return hmac.digest(key, f"{rule}|{run}|".encode() + pseudonym, "sha256")
