"""The last steps of a run, whichever way its numbers were come by: result tables, groups and lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scoring.asked import Asked
from scoring.graph import Exposure
from scoring.groups import Groups
from scoring.lists import Around, Decided, linked_by_events, review_list, still_resting
from scoring.memory import rising_of
from scoring.plt import Links
from scoring.rfg import OwnEvidence
from scoring.tables import TRACKS, Ints, ListRule, Tables
from scoring.visible import Columns


@dataclass(frozen=True)
class Numbers:
    """What a run computed before anybody is chosen.

    Attributes:
        events: Visible events, at the least every one of whoever had an outcome lately.
        row_points: Points of each of their rows.
        scores: The score table.
        contribution: Parts of own evidence.
        links: The link table.
        around: Exposure.
        trend: What changed since an earlier run, where there is one to compare with.
        groups: Groups.
    """

    events: Columns
    row_points: Ints
    scores: Columns
    contribution: Columns
    links: Links
    around: Exposure
    trend: Columns | None
    groups: Groups


@dataclass(frozen=True)
class Made:
    """A whole run before it is written."""

    persons: pa.Table
    pseudonyms: list[bytes]
    asked: Asked
    events: dict[str, Any]
    states: dict[str, Any]
    results: dict[str, Columns]
    groups: Groups


def unscored_to_zero(evidence: OwnEvidence, asked: Asked, tables: Tables) -> None:
    """Take the points of themes away that are not scored.

    A silent source means "not scored", never zero and never low (T15).
    """
    for theme in asked.not_scored:
        evidence.points[:, tables.themes.index(theme)] = 0
        evidence.row_points[:, tables.themes.index(theme)] = 0


def result_tables(
    job: dict[str, Any],
    asked: Asked,
    numbers: Numbers,
    bands: Ints,
    pseudonyms: list[bytes],
    tables: Tables,
) -> dict[str, Columns]:
    """Return every result table by name, the review lists among them."""
    links, trend = numbers.links, numbers.trend
    weights = {f"weight_{name}": links.weight[:, at] for at, name in enumerate(TRACKS)}
    results: dict[str, Columns] = {
        "score": numbers.scores,
        "contribution": numbers.contribution,
        "link": links.rows,
        "link_weight": {"a": links.a, "b": links.b, **weights},
        "link_skipped": links.skipped,
        "exposure": numbers.around.rows,
        "exposure_part": numbers.around.parts,
        "group": numbers.groups.groups,
        "group_member": numbers.groups.members,
        **({} if trend is None else {"trend": trend}),
    }
    beside = Around(
        still_resting(
            decided_of(job, pseudonyms), numbers.events, numbers.row_points, asked.as_of, tables
        ),
        {} if trend is None else rising_of(trend, tables),
        linked_by_events(links.rows, numbers.around.parts, tables),
    )
    tie_key = bytes.fromhex(job["tie_key"])
    rules = [rule for rule in tables.lists if rule.theme in asked.scored]

    def listed(rule: ListRule, named: frozenset[int] = frozenset()) -> Columns:
        return review_list(
            numbers.scores, bands, pseudonyms, rule, job["run"], tie_key, tables, beside, named
        )

    # Who is above a line is settled first, and nobody of them is drawn from below another one.
    lists = [listed(rule) for rule in rules]
    named = frozenset(pid for one in lists for pid in one["pid"][one["blind"] == 0].tolist())
    return results | {f"list.{rule.id}": listed(rule, named) for rule in rules}


def decided_of(job: Mapping[str, Any], pseudonyms: list[bytes]) -> dict[int, Decided]:
    """Return the last outcome of each person who had one."""
    decided = job.get("decided", {})
    if not decided:
        return {}
    pid = {name: number for number, name in enumerate(pseudonyms)}
    found = ((pid.get(bytes.fromhex(name)), one) for name, one in decided.items())
    return {
        person: Decided(int(one["day"]), int(one["run_day"]), one["rows"])
        for person, one in found if person is not None
    }  # fmt: skip


def groups_before(job: Mapping[str, Any]) -> dict[int, frozenset[bytes]]:
    """Return the groups of the run before, by the pseudonyms of their members."""
    paths = job.get("groups_before")
    if not paths:
        return {}
    names = pq.read_table(paths["person"]).column("person").to_pylist()
    members: dict[int, set[bytes]] = {}
    for row in pq.read_table(paths["members"]).to_pylist():
        members.setdefault(row["group"], set()).add(names[row["pid"]])
    return {group: frozenset(one) for group, one in members.items()}
