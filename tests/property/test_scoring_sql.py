"""The same integers in SQL: own evidence, the link table and exposure by DuckDB, an engine that knows no numpy."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from hypothesis import given, settings

from scoring.graph import first_hop
from scoring.tables import ONE, Tables
from tests.builders.scoring_columns import TABLES, World, rows_of
from tests.property.test_scoring_properties import AS_OF, Case, cases

quick = settings(derandomize=True, deadline=None, max_examples=25, database=None)

OWN = """
select e.pid, g.theme, g.track, sum(g.points * d.factor)::bigint as points
from event e
join gamma g on g.kind = e.kind and g.role = e.role and g.age = e.age
join decay d on d.half_life = g.half_life and d.age = $as_of - e.day
group by all having points > 0 order by all
"""

LINKS = """
with member as (
    select k.id, e.eid, e.pid, min(e.day) filter (where e.role = k.role) as day,
        bool_or(e.role = k.role) as wanted
    from event e join link_kind k on list_contains(k.kinds, e.kind)
    group by all
), whole as (
    select id, eid, count(*) as members from member group by all
), pair as (
    select k.id, one.pid as a, two.pid as b, least(one.day, two.day) as day, whole.members
    from member one
    join member two on one.id = two.id and one.eid = two.eid and one.pid < two.pid
    join whole on whole.id = one.id and whole.eid = one.eid
    join link_kind k on k.id = one.id
    where one.wanted and two.wanted and whole.members <= k.cap
)
select p.a, p.b, p.id as kind, count(*)::bigint as n, max(p.day) as last,
    sum(k.points * k.share // 1000 * coalesce(d.factor, 0) // (p.members - 1))::bigint as points
from pair p join link_kind k on k.id = p.id
left join decay d on d.half_life = k.half_life and d.age = $as_of - p.day
group by all order by all
"""


FIRST_HOP = """
with member as (
    select e.eid, e.pid, g.theme, g.track, sum(g.points * d.factor)::bigint as points
    from event e
    join gamma g on g.kind = e.kind and g.role = e.role and g.age = e.age
    join decay d on d.half_life = g.half_life and d.age = $as_of - e.day
    group by all
), own as (
    select pid, theme, track, sum(points)::bigint as points from member group by all
), there as (
    select distinct eid, pid from event
), shared as (
    select there.pid, member.pid as other, member.theme, member.track,
        sum(member.points)::bigint as points
    from there join member on member.eid = there.eid and member.pid <> there.pid
    group by all
), seen as (
    select way.pid, own.theme, own.track, way.weight, half.points as half,
        own.points - coalesce(shared.points, 0) as points
    from way
    join own on own.pid = way.other and own.track = way.track
    join half on half.theme = own.theme
    left join shared on shared.pid = way.pid and shared.other = way.other
        and shared.theme = own.theme and shared.track = own.track
    where way.weight > $floor
), risk as (
    select *, 100000 * points // (points + half * $one) as risk from seen
)
select pid, theme, track, sum(weight * risk // $one)::bigint as total, count(*)::bigint as n
from risk where risk > 0 group by all order by all
"""


def _tables(found: World, tables: Tables) -> dict[str, pa.Table]:
    """Return what the queries read: the visible events, and the tables of points, decay and links."""
    theme, track, kind, role, age = np.nonzero(tables.gamma)
    gamma = {"theme": theme, "track": track, "kind": kind, "role": role, "age": age}
    at = (theme, track, kind, role, age)
    gamma |= {"points": tables.gamma[at], "half_life": tables.half_life[at]}
    decay = [
        (half_life, day, int(factor))
        for half_life, column in tables.decay.items()
        for day, factor in enumerate(column)
    ]
    kinds: list[dict[str, Any]] = [
        {"id": one.id, "role": one.roles[0], "kinds": list(one.kinds), "share": one.share,
         "points": one.points, "half_life": one.half_life, "cap": one.cap}
        for one in tables.links if one.sort == "event" and one.omega
    ]  # fmt: skip
    return {
        "event": pa.table(found.events),
        "gamma": pa.table(gamma),
        "decay": pa.table(
            dict(zip(("half_life", "age", "factor"), zip(*decay, strict=True), strict=True))
        ),
        "link_kind": pa.Table.from_pylist(kinds),
        "way": _ways(found),
        "half": pa.table({
            "theme": list(range(len(tables.themes))),
            "points": [tables.half_index_points[name] for name in tables.themes],
        }),
    }  # fmt: skip


def _ways(found: World) -> pa.Table:
    """Return each link in both directions and on each track."""
    pairs = found.links.weight.shape[0]
    one, other = found.links.a, found.links.b
    track = np.repeat(np.arange(2), 2 * pairs)
    weight = np.concatenate([np.tile(found.links.weight[:, at], 2) for at in (0, 1)])
    pid, near = np.tile(np.r_[one, other], 2), np.tile(np.r_[other, one], 2)
    return pa.table({"pid": pid, "other": near, "track": track, "weight": weight})


def _asked(query: str, found: World, **more: int) -> list[tuple[int, ...]]:
    with duckdb.connect() as connection:
        for name, table in _tables(found, TABLES).items():
            connection.register(name, table)
        return connection.execute(query, {"as_of": AS_OF, **more}).fetchall()


@quick
@given(cases())
def test_own_evidence_is_the_same_integers_in_sql(case: Case) -> None:
    found = case.run()
    pid, theme, track = np.nonzero(found.evidence.points)
    ours = zip(pid.tolist(), theme.tolist(), track.tolist(),
               found.evidence.points[pid, theme, track].tolist(), strict=True)  # fmt: skip
    assert _asked(OWN, found) == sorted(ours)
    assert found.evidence.points.max() >= ONE


@quick
@given(cases())
def test_the_link_table_is_the_same_integers_in_sql(case: Case) -> None:
    found = case.run()
    events = {one.id for one in TABLES.links if one.sort == "event"}
    ours = rows_of(found.links.rows, "a", "b", "kind", "n", "last", "points")
    ours = [row for row in ours if row[2] in events]
    assert _asked(LINKS, found) == sorted(ours)
    assert ours


@quick
@given(cases())
def test_exposure_at_one_step_is_the_same_integers_in_sql(case: Case) -> None:
    found = case.run()
    bands = np.array(case.bands, np.int64)
    total, neighbours, _ = first_hop(found.links, found.evidence, bands, TABLES)
    at = np.nonzero(neighbours)
    ours = zip(*(one.tolist() for one in (*at, total[at], neighbours[at])), strict=True)
    floor = TABLES.link_weight_min * ONE // 1000
    assert _asked(FIRST_HOP, found, floor=floor, one=ONE) == sorted(ours)
    assert neighbours.any()
