"""A run made from an earlier one: who changed is computed again, the rest is taken over, byte for byte.

Whatever a run gives hangs on one person or on two (`scoring.changed`), so a row stays as it was unless
somebody in it changed: a link unless both did, a part of somebody's exposure unless either did. Sums over
parts, scores, lists and digests are made anew for everybody from the rows, as they are in a whole run. Where
any doubt is left the answer is "no", with the reason, and the run is computed whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from scoring.asked import Asked, asked_of
from scoring.base import Base, base_of
from scoring.changed import Difference, difference
from scoring.graph import PART_COLUMNS, Exposure, by_band, first_hop, two_hops
from scoring.groups import Groups, groups_of, named_again, strong_pairs
from scoring.inputs import bands_of
from scoring.memory import history_points, trend_table
from scoring.modulate import score_table
from scoring.plt import Links, link_table, shared_points
from scoring.results import (
    Made,
    Numbers,
    decided_of,
    groups_before,
    result_tables,
    unscored_to_zero,
)
from scoring.rfg import OwnEvidence, contributions, own_evidence
from scoring.tables import TRACKS, Ints, Tables
from scoring.visible import Columns, arranged

SHARE = 4
"""A run is computed whole when more than one in so many people changed: it costs less."""


def base_paths(job: dict[str, Any]) -> list[str]:
    """Return the folder that a run may take over from, if there is one."""
    named = job.get("base") or {}
    return [named["folder"]] if named.get("run") else []


def incremental(job: dict[str, Any], tables: Tables) -> tuple[Made | None, dict[str, Any]]:
    """Make a run from the one that its job names.

    Args:
        job: As of `scoring.run.run`; ``base`` has ``run``, ``folder`` and ``manifest`` of a published run, or
            ``why`` there is none.
        tables: The versioned tables.

    Returns:
        The run, or None where it must be computed whole; and how it was made: ``how``, ``run`` that was taken
        over from, ``why`` not, and how many ``people`` were computed.
    """
    asked = asked_of(job, tables)
    base, why = base_of(job, asked, tables)
    if base is None:
        return None, _how("full", why=why)
    found = difference(job, asked, base, tables)
    touched = int(found.people[: len(found.persons)].sum())
    if touched * SHARE > len(found.persons):
        return None, _how("full", why=f"more than one in {SHARE} people changed")
    return _Increment(job, asked, base, found, tables).made(), _how("increment", base.run, touched)


def _how(how: str, run: str = "", people: int = 0, why: str = "") -> dict[str, Any]:
    return {"how": how, "run": run, "people": people, "why": why}


class _Increment:
    """The steps of one increment over the columns that they share."""

    def __init__(
        self, job: dict[str, Any], asked: Asked, base: Base, found: Difference, tables: Tables
    ) -> None:
        self.job, self.asked, self.base, self.found, self.tables = job, asked, base, found, tables
        self.size = len(found.persons)
        self.everybody = found.people  # Those who are gone come after those who are here.
        self.touched = found.people[: self.size]
        self.bands = bands_of(found.persons, asked.as_of)
        self.pseudonyms = [bytes(one) for one in found.persons.column("person").to_pylist()]
        self.events = self._events()
        self.evidence = own_evidence(self.events, self.size, asked.as_of, tables)
        unscored_to_zero(self.evidence, asked, tables)

    def made(self) -> Made:
        """Return the whole run."""
        found, tables = self.found, self.tables
        links = self._links()
        whole = OwnEvidence(self._points(), self.evidence.row_points)
        around = self._around(links, whole)
        numbers = Numbers(
            events=self.events,
            row_points=self.evidence.row_points,
            scores=score_table(whole, around, tables),
            contribution=self._contribution(),
            links=links,
            around=around,
            trend=self._trend(),
            groups=self._groups(links),
        )
        kept = len(found.rows["pid"]) - found.dropped["duplicate"]
        return Made(
            persons=found.persons,
            pseudonyms=self.pseudonyms,
            asked=self.asked,
            events={"kept": kept, "dropped": dict(found.dropped)},
            states={
                "kept": len(found.states.columns["pid"]),
                "dropped": {**found.states.dropped, "superseded": found.superseded},
            },
            results=result_tables(
                self.job, self.asked, numbers, self.bands, self.pseudonyms, tables
            ),
            groups=numbers.groups,
        )

    def _events(self) -> Columns:
        """Return every row of every event of who changed, and of who had an outcome lately."""
        rows = self.found.rows
        mine = np.isin(rows["eid"], np.unique(rows["eid"][self.touched[rows["pid"]]]))
        decided = decided_of(self.job, self.pseudonyms)
        if decided:
            mine |= np.isin(rows["pid"], np.array(sorted(decided), np.int64))
        return arranged({name: column[mine] for name, column in rows.items()})[0]

    def _taken(self, name: str, *people: str) -> Columns:
        """Return a result of the earlier run, with the numbers that its people have now."""
        rows = self.base.results[name]
        return {one: self.found.of_base[column] if one in people else column
                for one, column in rows.items()}  # fmt: skip

    def _points(self) -> Ints:
        """Return the own points of everybody."""
        old = self._taken("score", "pid")
        points = np.where(self.touched[:, np.newaxis, np.newaxis], self.evidence.points, 0)
        kept = np.flatnonzero(~self.everybody[old["pid"]])
        at = tuple(old[name][kept] for name in ("pid", "theme", "track"))
        points[at] = old["points"][kept]
        return points

    def _contribution(self) -> Columns:
        old = self._taken("contribution", "pid")
        new = contributions(self.events, self.evidence, self.tables)
        keys = ("theme", "track", "pid", "kind")
        return _joined(_some(old, ~self.everybody[old["pid"]]),
                       _some(new, self.touched[new["pid"]]), keys)  # fmt: skip

    def _trend(self) -> Columns | None:
        before = self.found.before
        if before is None:
            return None
        rows = arranged({name: column[self.touched[before["pid"]]]
                         for name, column in before.items()})[0]  # fmt: skip
        then = own_evidence(rows, self.size, self.asked.as_of, self.tables)
        unscored_to_zero(then, self.asked, self.tables)
        here = self.touched[:, np.newaxis, np.newaxis]
        now = OwnEvidence(np.where(here, self.evidence.points, 0), self.evidence.row_points)
        late = np.where(here, history_points(self.events, self.evidence), 0)
        late -= history_points(rows, then)
        new = trend_table(now, then.points, late, self.tables)
        old = self._taken("trend", "pid")
        return _joined(_some(old, ~self.everybody[old["pid"]]), new, ("pid", "theme", "track"))

    def _links(self) -> Links:
        """Return the link table; points that two people share are looked up where they are needed."""
        states = self.found.states.columns
        near = np.unique(states["place"][self.touched[states["pid"]]])
        held = _some(states, np.isin(states["place"], near))
        sure = self.found.persons.column("link_p").to_numpy().astype(np.int64)
        new = link_table(
            self.events, held, self.evidence, self.size, self.asked.as_of, self.tables, sure
        )
        rows = self._pairs("link", new.rows, ("a", "b", "kind"))
        weights = {f"weight_{name}": new.weight[:, at] for at, name in enumerate(TRACKS)}
        pairs = self._pairs("link_weight", {"a": new.a, "b": new.b, **weights}, ("a", "b"))
        starts = np.flatnonzero(_first(rows["a"], rows["b"]))
        return Links(
            rows=rows,
            a=pairs["a"],
            b=pairs["b"],
            weight=np.stack([pairs[f"weight_{name}"] for name in TRACKS], axis=1),
            points=np.add.reduceat(rows["points"], starts) if len(starts) else starts,
            shared=np.zeros((2, 0, len(self.tables.themes), len(TRACKS)), np.int64),
            skipped=self._skipped(new.skipped),
        )

    def _pairs(self, name: str, new: Columns, keys: tuple[str, ...]) -> Columns:
        """Return rows of pairs: of two who both changed the new ones, of others those there were."""
        old = self._taken(name, "a", "b")
        both = self.everybody[old["a"]] & self.everybody[old["b"]]
        mine = self.touched[new["a"]] & self.touched[new["b"]]
        return _joined(_some(old, ~both), _some(new, mine), keys)

    def _skipped(self, new: Columns) -> Columns:
        """Return what is too large to link anybody, in the order of the link kinds."""
        kinds = [one.id for one in self.tables.links]
        of_event = [one.id for one in self.tables.links if one.sort == "event"]

        def changed(rows: Columns) -> Ints:
            event = np.isin(rows["kind"], of_event)
            found: Ints = np.where(
                event,
                np.isin(rows["eid"], self.found.events),
                np.isin(rows["eid"], self.found.places),
            )
            return found

        old = self.base.results["link_skipped"]
        left, right = _some(old, ~changed(old)), _some(new, changed(new))
        both = {name: np.concatenate([left[name], right[name]]) for name in old}
        rank = np.array([kinds.index(kind) for kind in both["kind"].tolist()], np.int64)
        return _some(both, np.lexsort([both["eid"], rank]))

    def _around(self, links: Links, evidence: OwnEvidence) -> Exposure:
        """Return exposure: parts of which either person changed are walked again."""
        near = np.flatnonzero(self.touched[links.a] | self.touched[links.b])
        a, b = links.a[near], links.b[near]
        some = replace(
            links, a=a, b=b, weight=links.weight[near], points=links.points[near],
            shared=shared_points(a, b, self.events, evidence),
        )  # fmt: skip
        parts = first_hop(some, evidence, self.bands, self.tables)[2]
        parts.append(two_hops(links, evidence, self.bands, self.events, self.tables, self.touched))
        new = {name: np.concatenate([part[name] for part in parts]) for name in PART_COLUMNS}
        either = self.touched[new["pid"]] | self.touched[new["neighbour"]]
        new = _some(new, either)
        old = self._taken("exposure_part", "pid", "neighbour")
        gone = self.everybody[old["pid"]] | self.everybody[old["neighbour"]]
        keys = ("pid", "theme", "track", "hop", "neighbour")
        table = _joined(_some(old, ~gone), new, keys)
        shape = evidence.points.shape
        total, neighbours = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        at = (table["pid"], table["theme"], table["track"])
        np.add.at(total, at, table["exposure"])
        np.add.at(neighbours, at, (table["hop"] == 1).astype(np.int64))
        moved = self.everybody.copy()
        moved[new["pid"]] = True
        moved[old["pid"][gone]] = True
        return Exposure(total, neighbours, table, self._bands(table, moved))

    def _bands(self, parts: Columns, moved: Any) -> Columns:
        """Return exposure by age band; of who has the same parts as before it is the same."""
        old = self._taken("exposure", "pid")
        new = by_band(_some(parts, moved[parts["pid"]]))
        keys = ("pid", "theme", "track", "hop", "band")
        return _joined(_some(old, ~moved[old["pid"]]), new, keys)

    def _groups(self, links: Links) -> Groups:
        """Return the groups: found again unless everybody suspected together is so as before."""
        earlier = replace(links, rows=self._taken("link", "a", "b"))
        now, then = strong_pairs(links, self.tables), strong_pairs(earlier, self.tables)
        before = groups_before(self.job)
        if all(np.array_equal(one, other) for one, other in zip(now, then, strict=True)):
            return named_again(
                self._taken("group_member", "pid"),
                self.base.results["group"],
                tuple(self.base.manifest["groups"]["too_large"]),
                self.pseudonyms,
                self.job["run"],
                before,
            )
        return groups_of(links, self.tables, self.pseudonyms, self.job["run"], before)


def _some(columns: Columns, rows: Any) -> Columns:
    return {name: column[rows] for name, column in columns.items()}


def _first(*columns: Ints) -> Any:
    """Say of each row whether it differs from the one before."""
    new = np.zeros(len(columns[0]), dtype=bool)
    new[:1] = True
    for column in columns:
        new[1:] |= column[1:] != column[:-1]
    return new


def _joined(one: Columns, other: Columns, keys: tuple[str, ...]) -> Columns:
    """Return the rows of two tables that are both sorted by `keys`, sorted by them."""
    both = {name: np.concatenate([column, other[name]]) for name, column in one.items()}
    key = np.zeros(len(both[keys[0]]), np.int64)
    room = 2**63 - 1
    for name in keys:
        span = 1 + int(both[name].max(initial=0))
        room //= span
        key = key * span + both[name]
    if room < 1:  # Too many to fit into one number.
        return _some(both, np.lexsort([both[name] for name in reversed(keys)]))
    # Two sorted runs one after the other: a stable sort merges them.
    return _some(both, np.argsort(key, kind="stable"))
