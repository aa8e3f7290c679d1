"""Review lists bounded by capacity: declared order, keyed ties, a blind random share below the line."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

import numpy as np

from scoring.modulate import STATE_SCORED
from scoring.tables import TRACKS, Ints, ListRule, Tables
from scoring.visible import Columns

AGES = {"under18": 1, "over18": 2}


def review_list(
    scores: Columns,
    bands: Ints,
    pseudonyms: Sequence[bytes],
    rule: ListRule,
    run: str,
    tie_key: bytes,
    tables: Tables,
) -> Columns:
    """Choose who is looked at.

    Args:
        scores: The score table.
        bands: Age band of each person on the as-of date; an unknown age is not on a children's list.
        pseudonyms: Pseudonym of each person, for the keyed order of ties.
        rule: Theme, track, age and capacity.
        run: Run id; ties fall differently in each run.
        tie_key: Key of the tie order, so that nobody can choose a pseudonym that wins.
        tables: The versioned tables.

    Returns:
        int64 columns ``pid, rank, score, blind``. The emerging cohort is never on it (scoring.md
        1.6). 5 to 20 % of the places go to a keyed draw from the rest with any own evidence, so that
        what lies below the line can be estimated (T17).
    """
    mine = np.flatnonzero(
        (scores["theme"] == tables.themes.index(rule.theme))
        & (scores["track"] == TRACKS.index(rule.track))
        & (scores["state"] == STATE_SCORED)
        & (scores["index"] > 0)
        & (bands[scores["pid"]] == AGES[rule.age])
    )
    pids = [int(pid) for pid in scores["pid"][mine]]
    value = dict(zip(pids, (int(number) for number in scores["score"][mine]), strict=True))
    key = {pid: _tie(tie_key, rule.id, run, pseudonyms[pid]) for pid in pids}
    above = sorted(
        (pid for pid in pids if value[pid] >= tables.high_score),
        key=lambda pid: (-value[pid], key[pid]),
    )
    blind_places = -(-rule.capacity * tables.blind_share // 1000)  # Rounded up: never none.
    chosen = above[: rule.capacity - blind_places]
    rest = sorted(set(pids) - set(chosen), key=lambda pid: key[pid])
    blind = rest[:blind_places]
    return {
        "pid": np.array([*chosen, *blind], np.int64),
        "rank": np.arange(1, len(chosen) + len(blind) + 1, dtype=np.int64),
        "score": np.array([value[pid] for pid in (*chosen, *blind)], np.int64),
        "blind": np.array([0] * len(chosen) + [1] * len(blind), np.int64),
    }


def _tie(key: bytes, rule: str, run: str, pseudonym: bytes) -> bytes:
    return hmac.digest(key, f"{rule}|{run}|".encode() + pseudonym, "sha256")
