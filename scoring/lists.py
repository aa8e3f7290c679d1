"""Review lists bounded by capacity: declared order, keyed ties, a blind random share below the line."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scoring.modulate import STATE_EMERGING, STATE_SCORED
from scoring.tables import TRACKS, Ints, ListRule, Tables
from scoring.visible import Columns

AGES = {"under18": 1, "over18": 2}


@dataclass(frozen=True)
class Decided:
    """The last outcome of somebody.

    Attributes:
        day: Day of the outcome.
        run_day: As-of day of the run it was about.
        rows: Theme to how many rows of evidence that run held of the person.
    """

    day: int
    run_day: int
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Around:
    """What else bears on a place of a list.

    Attributes:
        resting: Theme to people with an outcome and nothing new since.
        rising: Theme and track to what new evidence did to each person's index.
        by_event: Theme and track to people whom an event links to somebody who adds to their exposure; a
            household alone brings nobody onto a list.
    """

    resting: Mapping[str, frozenset[int]]
    rising: Mapping[tuple[str, str], Mapping[int, int]]
    by_event: Mapping[tuple[str, str], frozenset[int]]


NOTHING_AROUND = Around({}, {}, {})


def review_list(
    scores: Columns,
    bands: Ints,
    pseudonyms: Sequence[bytes],
    rule: ListRule,
    run: str,
    tie_key: bytes,
    tables: Tables,
    around: Around = NOTHING_AROUND,
    named: Collection[int] = frozenset(),
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
        named: Who stands above the line of another list of the run. They have a name there, so that a place
            without one would give itself away (T-GM5): nobody of them is drawn.

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
        linked = around.by_event.get((rule.theme, rule.track), frozenset())
        order = {
            pid: int(scores["exposure"][row])
            for pid, row in rows.items()
            if scores["state"][row] == STATE_EMERGING and pid in linked
        }
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
    rest = sorted(set(order) - set(chosen) - set(named), key=lambda pid: key[pid])
    blind = rest[:blind_places]
    return {
        "pid": np.array([*chosen, *blind], np.int64),
        "rank": np.arange(1, len(chosen) + len(blind) + 1, dtype=np.int64),
        "score": np.array([int(scores["score"][rows[pid]]) for pid in (*chosen, *blind)], np.int64),
        "blind": np.array([0] * len(chosen) + [1] * len(blind), np.int64),
    }


def still_resting(
    decided: Mapping[int, Decided], events: Columns, row_points: Ints, as_of: int, tables: Tables
) -> dict[str, frozenset[int]]:
    """Return, by theme, who had an outcome lately and of whom nothing is known that was not known then.

    What counts is the run that the outcome was about: evidence recorded after it is new, and so is a row
    that an agency sent later about an earlier day.

    Args:
        decided: Person to the last outcome and the run it was about.
        events: Visible events.
        row_points: Points of each of their rows, ``[row, theme, track]``.
        as_of: Day of the run.
        tables: The versioned tables.
    """
    recent = {pid: one for pid, one in decided.items() if as_of - one.day < tables.cool_down_days}
    if not recent:
        return {}
    held = np.isin(events["pid"], np.array(sorted(recent), np.int64))
    found = {}
    for theme, name in enumerate(tables.themes):
        mine = np.flatnonzero(held & row_points[:, theme].any(axis=1))
        rows: dict[int, list[int]] = {}
        for pid, recorded in zip(
            events["pid"][mine].tolist(), events["recorded"][mine].tolist(), strict=True
        ):
            rows.setdefault(pid, []).append(recorded)
        found[name] = frozenset(
            pid for pid, one in recent.items()
            if len(rows.get(pid, [])) <= one.rows.get(name, 0)
            and max(rows.get(pid, [one.run_day])) <= one.run_day
        )  # fmt: skip
    return found


def linked_by_events(
    rows: Columns, parts: Columns, tables: Tables
) -> dict[tuple[str, str], frozenset[int]]:
    """Return, by theme and track, who is linked by an event to somebody who adds to their exposure."""
    kinds = [one.id for one in tables.links if one.sort == "event"]
    mine = np.isin(rows["kind"], kinds)
    used = np.flatnonzero((parts["hop"] == 1) & (parts["exposure"] > 0))
    pid, other = parts["pid"][used], parts["neighbour"][used]
    people = 1 + max(int(found.max(initial=0)) for found in (pid, other, rows["a"], rows["b"]))
    pairs = np.unique(rows["a"][mine] * people + rows["b"][mine])
    linked = np.isin(np.minimum(pid, other) * people + np.maximum(pid, other), pairs)
    pid, theme, track = (parts[name][used][linked] for name in ("pid", "theme", "track"))
    found_by = {}
    for number, name in enumerate(tables.themes):
        for place, way in enumerate(TRACKS):
            here = np.unique(pid[(theme == number) & (track == place)])
            if len(here):
                found_by[name, way] = frozenset(here.tolist())
    return found_by


def _tie(key: bytes, rule: str, run: str, pseudonym: bytes) -> bytes:
    return hmac.digest(key, f"{rule}|{run}|".encode() + pseudonym, "sha256")
