"""Rules of scoring that hold for any people and events, against a slow reference in plain Python.

Every drawn world holds a few fixed events, so that links, exposure and households are never absent.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.lists import review_list
from scoring.modulate import modulated
from scoring.rfg import contributions, index
from scoring.tables import ONE, TRACKS, ListRule, Tables, shipped
from scoring.visible import visible_events
from tests.builders.scoring_columns import (
    ADMIT_ALL,
    EVERY_KIND,
    MISSING_UNIT,
    POLICE,
    TABLES,
    Event,
    State,
    World,
    event_columns,
    name32,
    retention_of,
    rows_of,
    world,
)

AS_OF = 5000
DRAWN = 6  # People 0 to 5 are drawn; 6 is only ever a victim or witness, 7 is alone.
VICTIM, ALONE, PERSONS = 6, 7, 8
ROLES = {
    "missing_episode": ("missing",),
    "cse_flag": ("subject", "victim", "suspect"),
    "cce_flag": ("subject", "suspect", "witness"),
    "sexual_offence": ("suspect", "victim", "witness"),
    "drug_supply": ("suspect", "offender", "professional"),
    "weapon": ("suspect", "victim"),
    "asb": ("suspect", "witness"),
}
FIXED = (
    Event(0, 1, "drug_supply", "suspect", AS_OF - 10, 2),
    Event(1, 1, "drug_supply", "suspect", AS_OF - 10),
    Event(0, 2, "weapon", "suspect", AS_OF - 20, 2),
    Event(2, 3, "missing_episode", "missing", AS_OF - 5),
    Event(3, 3, "missing_episode", "missing", AS_OF - 5),
    Event(2, 4, "cse_flag", "subject", AS_OF - 40),
    Event(0, 5, "cse_flag", "victim", AS_OF - 30),
    Event(VICTIM, 6, "sexual_offence", "victim", AS_OF - 15),
    Event(0, 6, "sexual_offence", "suspect", AS_OF - 15, 2),
    Event(VICTIM, 1, "drug_supply", "witness", AS_OF - 10),
    Event(ALONE, 7, "cse_flag", "victim", AS_OF - 3),
)
FIXED_SCORED = (1, 2, 3, 4, 5, 6, 7)
HOUSEHOLD = (State(0, "household", 1), State(1, "household", 1))

quick = settings(derandomize=True, deadline=None, max_examples=25, database=None)


@dataclass(frozen=True)
class Case:
    events: tuple[Event, ...]
    states: tuple[State, ...]
    bands: tuple[int, ...]

    def run(self, tables: Tables = TABLES, as_of: int = AS_OF) -> World:
        return world(
            self.events,
            self.states,
            persons=len(self.bands),
            as_of=as_of,
            bands=self.bands,
            tables=tables,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    events = list(FIXED)
    for eid in range(10, 10 + draw(st.integers(2, 8))):
        kind = draw(st.sampled_from(sorted(ROLES)))
        ago = draw(st.one_of(st.integers(0, 120), st.integers(0, 1200)))
        members = st.tuples(st.integers(0, DRAWN - 1), st.sampled_from(ROLES[kind]))
        for pid, role in draw(st.lists(members, min_size=1, max_size=5)):
            # Rows of one incident do not always carry the same day or a known age.
            day = AS_OF - ago - draw(st.sampled_from((0, 0, 0, 3)))
            age = draw(st.sampled_from((1, 1, 2, 0)))
            events.append(Event(pid, eid, kind, role, day, age))
    places = st.tuples(
        st.integers(0, DRAWN - 1),
        st.sampled_from(("household", "registered_home")),
        st.integers(0, 3),
        st.integers(AS_OF - 400, AS_OF),
    )
    states = [State(*row) for row in draw(st.lists(places, max_size=5))]
    bands = draw(st.lists(st.integers(0, 2), min_size=PERSONS, max_size=PERSONS))
    return Case(tuple(events), (*HOUSEHOLD, *states), tuple(bands))


def numbers(found: World, people: set[int] | None = None) -> dict[tuple[int, int, int], tuple]:
    """Index, exposure, score and the rest by (person, theme, track), of some people or of all."""
    names = ("index", "exposure", "score", "points", "neighbours", "state")
    keys = rows_of(found.scores, "pid", "theme", "track")
    values = rows_of(found.scores, *names)
    return {
        key: value
        for key, value in zip(keys, values, strict=True)
        if people is None or key[0] in people
    }


def everything(found: World) -> dict[str, list]:
    """Every integer of a world, for equality."""
    tables = {
        "scores": found.scores,
        "links": found.links.rows,
        "skipped": found.links.skipped,
        "parts": found.around.parts,
        "bands": found.around.rows,
        "contributions": contributions(found.events, found.evidence, TABLES),
    }
    result = {
        f"{table}.{name}": column.tolist()
        for table, columns in tables.items()
        for name, column in columns.items()
    }
    result["weight"] = found.links.weight.tolist()
    result["shared"] = found.links.shared.tolist()
    result["X"] = found.evidence.points.tolist()
    return result


# The slow reference.


def slow_points() -> dict[tuple[str, str, str, str, int], tuple[int, int]]:
    """Points and half-life by theme, track, kind, role and age, read from the file itself."""
    text = (shipped() / "points.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    ages = {"any": (0, 1, 2), "under18": (1,), "over18": (2,)}
    return {
        (row["theme"], row["track"], row["kind"], row["role"], age): (
            int(row["points"]),
            int(row["half_life"]),
        )
        for row in rows
        for age in ages[row["age"]]
    }


POINTS = slow_points()


def slow_factor(half_life: int, age: int) -> int:
    column = TABLES.decay[half_life].tolist()
    return column[age] if age < len(column) else 0


def slow_visible(events: tuple[Event, ...]) -> list[Event]:
    best: dict[tuple, Event] = {}
    for row in events:
        kept_days = TABLES.kinds[row.kind].retention_days
        if row.day > AS_OF or AS_OF - row.day > kept_days or row.origin == 1:
            continue
        key = (row.pid, row.day, row.eid, row.kind, row.role)
        order = (1, 2, 0)  # A known age before an unknown one, a child before an adult.
        if key not in best or order.index(row.age) < order.index(best[key].age):
            best[key] = row
    return list(best.values())


def slow_row(row: Event, theme: str, track: str) -> int:
    found = POINTS.get((theme, track, row.kind, row.role, row.age))
    return found[0] * slow_factor(found[1], AS_OF - row.day) if found else 0


def slow_links(events: list[Event], states: tuple[State, ...]) -> tuple[dict, set]:
    """Link rows {(a, b, kind id): [n, last, points]} and what was too large."""
    ids = {kind.id: name for name, kind in TABLES.kinds.items()}
    role_names = {number: name for name, number in TABLES.roles.items()}
    rows: dict[tuple[int, int, int], list[int]] = {}
    skipped = set()
    for kind in TABLES.links:
        names = {ids[number] for number in kind.kinds}
        if kind.omega == 0:
            continue
        groups: dict[tuple, list[tuple[int, str, int]]] = {}
        if kind.sort == "event":
            for row in events:
                if row.kind in names:
                    groups.setdefault((row.eid, row.kind), []).append((row.pid, row.role, row.day))
        else:
            for held in states:
                if held.kind in names and held.place and held.start <= AS_OF <= held.end:
                    groups.setdefault((held.place,), []).append((held.pid, "resident", held.start))
        for group, members in groups.items():
            count = len({pid for pid, _, _ in members})
            if count > kind.cap:
                skipped.add((group[0], kind.id, count))
                continue
            wanted = role_names[kind.roles[0]]
            first: dict[int, int] = {}
            for pid, role, day in members:
                if role == wanted:
                    first[pid] = min(day, first.get(pid, day))
            for a, b in combinations(sorted(first), 2):
                event = kind.sort == "event"
                day = min(first[a], first[b]) if event else max(first[a], first[b])
                factor = slow_factor(kind.half_life, AS_OF - day) if event else ONE
                got = kind.points * kind.share // 1000 * factor // (count - 1)
                found = rows.setdefault((a, b, kind.id), [0, day, 0])
                found[0] += 1
                found[1] = max(found[1], day)
                found[2] += got
    return rows, skipped


def slow_graph(rows: dict, track: str) -> nx.Graph:
    graph = nx.Graph()
    graph.add_nodes_from(range(PERSONS))
    left: dict[tuple[int, int], int] = {}
    for kind in TABLES.links:
        if track not in kind.tracks:
            continue
        for (a, b, number), (_, _, points) in rows.items():
            if number == kind.id:
                strength = (kind.omega * ONE // 1000) * points // (points + kind.l0 * ONE)
                left[a, b] = left.get((a, b), ONE) * (ONE - strength) // ONE
    for (a, b), rest in left.items():
        if ONE - rest > TABLES.link_weight_min * ONE // 1000:
            graph.add_edge(a, b, weight=ONE - rest)
    return graph


def slow_numbers(case: Case) -> dict[tuple[int, int, int], tuple]:
    events = slow_visible(case.events)
    rows, _ = slow_links(events, case.states)
    result = {}
    for theme_number, theme in enumerate(TABLES.themes):
        if theme == "serious_violence":
            continue  # These are the tables of a safeguarding run, which does not look at it.
        half = TABLES.half_index_points[theme] * ONE
        for track_number, track in enumerate(TRACKS):
            graph = slow_graph(rows, track)
            of = {
                pid: [(row.eid, slow_row(row, theme, track)) for row in events if row.pid == pid]
                for pid in range(PERSONS)
            }
            for i in range(PERSONS):
                mine = {eid for eid, _ in of[i]}
                own = sum(points for _, points in of[i])
                exposed = near = 0
                for j in graph[i]:
                    apart = sum(points for eid, points in of[j] if eid not in mine)
                    risk = 100_000 * apart // (apart + half)
                    if risk > 0:
                        near += 1
                        exposed += graph[i][j]["weight"] * risk // ONE
                far = {k for j in graph[i] for k in graph[j]} - {i} - set(graph[i])
                for k in far:
                    apart = sum(points for eid, points in of[k] if eid not in mine)
                    risk = 100_000 * apart // (apart + half)
                    middles = set(graph[i]) & set(graph[k])
                    path = max(
                        graph[i][j]["weight"] * graph[j][k]["weight"] // ONE for j in middles
                    )
                    exposed += path * risk // ONE * TABLES.hop_factor // 1000
                if not own and not exposed:
                    continue
                index_of_i = 100_000 * own // (own + half)
                lift = (100_000 - index_of_i) * TABLES.alpha // 1000 * exposed
                score = index_of_i + lift // (exposed + TABLES.exposure_half)
                emerging = not index_of_i and near and exposed >= TABLES.emerging_exposure
                result[i, theme_number, track_number] = (
                    index_of_i,
                    exposed,
                    score,
                    own,
                    near,
                    2 if emerging else 1,
                )
    return result


# The rules.


@pytest.mark.finding("SCO-P3")
@quick
@given(cases())
def test_index_exposure_and_score_equal_those_of_plain_python_and_networkx(case: Case) -> None:
    found = case.run()
    assert numbers(found) == slow_numbers(case)
    assert sum(value[1] > 0 for value in numbers(found).values()) >= 2


@pytest.mark.finding("SCO-P3")
@quick
@given(cases())
def test_link_rows_equal_those_of_plain_python(case: Case) -> None:
    rows, skipped = slow_links(slow_visible(case.events), case.states)
    found = case.run().links
    assert len(rows) >= 3
    assert rows_of(found.rows, "a", "b", "kind", "n", "last", "points") == [
        (*key, *rows[key]) for key in sorted(rows)
    ]
    assert set(rows_of(found.skipped, "eid", "kind", "members")) == skipped


@pytest.mark.finding("SCO-P1")
@quick
@given(
    cases(),
    st.integers(0, PERSONS - 1),
    st.sampled_from(("cse_flag", "cce_flag", "drug_supply", "missing_episode", "sexual_offence")),
    st.integers(0, 400),
    st.data(),
)
def test_one_more_event_of_one_person_alone_never_lowers_their_index_or_score(
    case: Case, pid: int, kind: str, ago: int, data: st.DataObject
) -> None:
    role = data.draw(st.sampled_from(ROLES[kind]))
    more = replace(case, events=(*case.events, Event(pid, 999, kind, role, AS_OF - ago)))
    before, after = numbers(case.run(), {pid}), numbers(more.run(), {pid})
    assert set(before) <= set(after)
    for key, value in before.items():
        assert after[key][0] >= value[0]
        assert after[key][2] >= value[2]


@pytest.mark.finding("SCO-P2")
@quick
@given(cases())
def test_score_lies_between_the_index_and_one_hundred_and_the_network_alone_stays_below_alpha(
    case: Case,
) -> None:
    without = tuple(row for row in case.events if row.eid not in (2, 4, 5) or row.pid == 0)
    for found in (case.run(), replace(case, events=without).run()):
        scores = found.scores
        assert len(scores["pid"])
        assert (scores["index"] >= 0).all()
        assert (scores["index"] <= scores["score"]).all()
        assert (scores["score"] < 100_000).all()
        nobody = scores["points"] == 0
        assert nobody.any()  # 1 is exposed to 0 on a theme of which 1 has nothing.
        assert (scores["score"][nobody] <= 100 * TABLES.alpha).all()
        assert (scores["index"][~nobody] > 0).all()


@pytest.mark.finding("SCO-T18")
@quick
@given(st.integers(0, 99_999), st.integers(0, 10**12), st.integers(0, 500))
def test_the_network_adds_at_most_fifty_points(own: int, total: int, alpha: int) -> None:
    tables = replace(TABLES, alpha=alpha)
    score = int(modulated(np.array([own]), np.array([total]), tables)[0])
    assert own <= score
    assert score - own <= 100 * alpha
    assert score - own <= 50_000
    expected = own + (100_000 - own) * alpha // 1000 * total // (total + TABLES.exposure_half)
    assert score == expected


@pytest.mark.finding("SCO-P3")
@pytest.mark.finding("SCO-T16")
@quick
@given(cases(), st.randoms(use_true_random=False))
def test_rows_in_another_order_give_the_same_integers_and_the_same_list(
    case: Case, random: object
) -> None:
    # Two rows that differ only in the age known: which one stays must not hang on their order.
    doubled = (*case.events, case.events[5]._replace(age=0), case.events[5]._replace(age=2))
    events, states = list(doubled), list(case.states)
    random.shuffle(events)  # type: ignore[attr-defined]
    random.shuffle(states)  # type: ignore[attr-defined]
    one = replace(case, events=doubled).run()
    other = replace(case, events=tuple(events), states=tuple(states)).run()
    assert everything(one) == everything(other)
    assert listed(one, (1,) * PERSONS) == listed(other, (1,) * PERSONS)
    assert listed(one, (1,) * PERSONS)


def listed(found: World, bands: tuple[int, ...], run: str = "run") -> list[tuple[int, ...]]:
    rule = ListRule("cse.harmed", "cse", "harmed", "under18", "Label", 10)
    names = [name32("p", number) for number in range(len(bands))]
    columns = review_list(found.scores, np.array(bands), names, rule, run, b"k" * 32, TABLES)
    return rows_of(columns, "pid", "rank", "score", "blind")


@pytest.mark.finding("SCO-P9")
@quick
@given(cases(), st.permutations(range(PERSONS)))
def test_other_numbers_for_the_same_people_change_no_score(case: Case, new: list[int]) -> None:
    renamed = Case(
        tuple(row._replace(pid=new[row.pid]) for row in case.events),
        tuple(row._replace(pid=new[row.pid]) for row in case.states),
        tuple(case.bands[new.index(number)] for number in range(PERSONS)),
    )
    moved = {(new[key[0]], *key[1:]): value for key, value in numbers(case.run()).items()}
    assert numbers(renamed.run()) == moved


@pytest.mark.finding("SCO-P4")
@quick
@given(cases(), st.integers(1, 400))
def test_without_new_evidence_no_index_rises(case: Case, later: int) -> None:
    now, then = case.run().evidence.points, case.run(as_of=AS_OF + later).evidence.points
    assert now.any()
    assert (then <= now).all()
    assert (index(then, 60) <= index(now, 60)).all()
    assert then.sum() < now.sum()


@pytest.mark.finding("SCO-P5")
@quick
@given(cases(), st.integers(0, 500), st.integers(1, 500), st.lists(st.integers(0, 5), min_size=1))
def test_what_happened_or_was_recorded_later_changes_nothing(
    case: Case, before: int, after: int, pids: list[int]
) -> None:
    later = []
    for pid in pids:
        for kind, role in (("cse_flag", "victim"), ("drug_supply", "suspect")):
            later += [
                Event(pid, 900, kind, role, AS_OF + after, recorded=AS_OF),
                Event(pid, 901, kind, role, AS_OF - before, recorded=AS_OF + after),
                Event(pid, 1, kind, role, AS_OF - 10, recorded=AS_OF + after),
            ]
    states = [
        State(pid, "household", 1, start=AS_OF - before, recorded=AS_OF + after) for pid in pids
    ]
    states += [State(pid, "household", 1, start=AS_OF + after, recorded=AS_OF) for pid in pids]
    more = replace(case, events=(*case.events, *later), states=(*case.states, *states))
    assert everything(more.run()) == everything(case.run())


@pytest.mark.finding("SCO-P6")
@quick
@given(cases(), st.permutations(range(DRAWN)))
def test_an_event_of_two_people_leaves_the_exposure_of_both_as_it_was(
    case: Case, order: list[int]
) -> None:
    i, j = order[:2]
    # A victim with a suspect is no link, so that nothing but the index of the other can move.
    both = (
        Event(i, 999, "sexual_offence", "victim", AS_OF - 1),
        Event(j, 999, "sexual_offence", "suspect", AS_OF - 1, 2),
    )
    before, after = case.run(), replace(case, events=(*case.events, *both)).run()
    assert (after.evidence.points[[i, j]] != before.evidence.points[[i, j]]).any()
    assert (after.around.total[[i, j]] == before.around.total[[i, j]]).all()


@pytest.mark.finding("SCO-P6")
@quick
@given(cases())
def test_a_neighbour_counts_with_the_index_they_have_without_the_common_event(case: Case) -> None:
    both = (
        Event(0, 999, "drug_supply", "suspect", AS_OF - 1, 2),
        Event(1, 999, "drug_supply", "suspect", AS_OF - 1),
    )
    before, after = case.run(), replace(case, events=(*case.events, *both)).run()
    names = ("theme", "track", "pid", "neighbour", "hop")

    def risks(found: World) -> dict:
        rows = rows_of(found.around.parts, *names, "index")
        return {row[:-1]: row[-1] for row in rows if set(row[2:4]) == {0, 1}}

    old, new = risks(before), risks(after)
    assert old
    assert {key: new[key] for key in old} == old


@pytest.mark.finding("SCO-P7")
@quick
@given(cases())
def test_somebody_without_links_stands_at_their_own_index(case: Case) -> None:
    found = case.run()
    linked = set(found.links.a.tolist()) | set(found.links.b.tolist())
    alone = {key: value for key, value in numbers(found).items() if key[0] not in linked}
    assert ALONE in {key[0] for key in alone}
    for own, exposed, score, points, near, state in alone.values():
        assert (score, exposed, near, state) == (own, 0, 0, 1)
        assert points > 0


@pytest.mark.finding("SCO-P8")
@quick
@given(
    st.integers(2, 40),
    st.integers(0, 300),
    st.sampled_from(
        (("drug_supply", "suspect"), ("missing_episode", "missing"), ("cse_flag", "subject"))
    ),
)
def test_one_event_of_any_size_adds_at_most_its_link_points_to_a_person(
    size: int, ago: int, what: tuple[str, str]
) -> None:
    rows = [Event(pid, 1, *what, AS_OF - ago) for pid in range(size)]
    links = world(rows, persons=size, as_of=AS_OF).links
    kind = next(
        item
        for item in TABLES.links
        if TABLES.kinds[what[0]].id in item.kinds and TABLES.roles[what[1]] in item.roles
    )
    if size > kind.cap:
        assert not len(links.a)
        assert (1, kind.id, size) in rows_of(links.skipped, "eid", "kind", "members")
        return
    assert len(links.a) == size * (size - 1) // 2
    whole = kind.points * kind.share // 1000 * slow_factor(kind.half_life, ago)
    for pid in range(size):
        total = int(links.points[(links.a == pid) | (links.b == pid)].sum())
        assert whole - size < total <= whole <= kind.points * ONE


@pytest.mark.finding("SCO-P10")
@quick
@given(cases(), st.data())
def test_an_event_that_is_gone_or_closed_leaves_no_trace(case: Case, data: st.DataObject) -> None:
    drawn = sorted({row.eid for row in case.events})
    eid = data.draw(st.one_of(st.sampled_from(FIXED_SCORED), st.sampled_from(drawn)))
    kept = tuple(row for row in case.events if row.eid != eid)
    never = everything(replace(case, events=kept).run())

    def change(**changed: int) -> tuple[Event, ...]:
        return tuple(
            row._replace(**changed) if row.eid == eid else row  # type: ignore[arg-type]
            for row in case.events
        )

    for closed in (change(pid=-2), change(pid=-1), change(origin=1), change(source=77)):
        assert everything(replace(case, events=closed).run()) == never
    if eid in FIXED_SCORED:
        assert everything(case.run()) != never


@pytest.mark.finding("SCO-P12")
@quick
@given(cases(), st.integers(0, DRAWN - 1))
def test_without_the_rows_of_one_person_only_they_and_those_they_meet_change(
    case: Case, x: int
) -> None:
    less = replace(case, events=tuple(row for row in case.events if row.pid != x))
    met = nx.Graph()
    met.add_nodes_from(range(PERSONS))
    for rows in (
        [(row.pid, ("event", row.eid)) for row in case.events],
        [(row.pid, ("place", row.kind, row.place)) for row in case.states if row.place],
    ):
        met.add_edges_from(rows)
    near = {pid for pid in nx.single_source_shortest_path_length(met, x, cutoff=4) if pid != x}
    far = {pid for pid in range(PERSONS) if pid not in near and pid != x}
    assert ALONE in far
    assert numbers(less.run(), far) == numbers(case.run(), far)


@pytest.mark.finding("SCO-P13")
@pytest.mark.finding("SCO-T3")
@quick
@given(cases(), st.lists(st.integers(10, 17), max_size=5))
def test_somebody_who_was_only_ever_victim_or_witness_has_and_passes_on_no_harming(
    case: Case, eids: list[int]
) -> None:
    kinds = {row.eid: (row.kind, row.day) for row in case.events}
    also = tuple(
        Event(VICTIM, eid, kinds[eid][0], role, kinds[eid][1], 2)
        for eid in eids
        for role in ("victim", "witness")
        if eid in kinds
    )
    found = replace(case, events=(*case.events, *also)).run()
    harming = TRACKS.index("harming")
    mine = numbers(found, {VICTIM})
    assert any(value[0] > 0 for value in mine.values())
    assert all(key[2] != harming for key in mine)
    rows = rows_of(found.around.parts, "neighbour", "track")
    assert any(row[1] == harming for row in rows)
    assert all(row[0] != VICTIM for row in rows)


@pytest.mark.finding("SCO-P14")
@quick
@given(cases())
def test_the_parts_of_an_explanation_add_up_exactly(case: Case) -> None:
    found = case.run()
    own = np.zeros_like(found.evidence.points)
    parts = contributions(found.events, found.evidence, TABLES)
    assert (parts["points"] > 0).all()
    np.add.at(own, (parts["pid"], parts["theme"], parts["track"]), parts["points"])
    assert (own == found.evidence.points).all()
    counted = int((found.evidence.row_points > 0).sum())
    assert int(parts["count"].sum()) == counted > 0
    for table in (found.around.parts, found.around.rows):
        total = np.zeros_like(found.around.total)
        np.add.at(total, (table["pid"], table["theme"], table["track"]), table["exposure"])
        assert (total == found.around.total).all()
        assert total.any()
    first = found.around.rows["n"][found.around.rows["hop"] == 1]
    assert int(first.sum()) == int(found.around.neighbours.sum())


@pytest.mark.finding("SCO-P15")
@quick
@given(cases())
def test_doubling_every_point_and_half_point_changes_nothing_beyond_a_rounding(case: Case) -> None:
    tables = replace(
        TABLES,
        gamma=TABLES.gamma * 2,
        half_index_points={name: 2 * k for name, k in TABLES.half_index_points.items()},
        links=tuple(replace(k, points=2 * k.points, l0=2 * k.l0) for k in TABLES.links),
    )
    once, twice = numbers(case.run()), numbers(case.run(tables))
    assert set(once) == set(twice)
    for key, (own, exposed, score, points, near, state) in once.items():
        other = twice[key]
        assert (other[0], other[3], other[4], other[5]) == (own, 2 * points, near, state)
        assert abs(other[1] - exposed) <= near
        assert abs(other[2] - score) <= 1 + near // 2


@pytest.mark.finding("SCO-T5")
@quick
@given(cases())
def test_without_households_nothing_on_the_harming_track_changes(case: Case) -> None:
    harming = TRACKS.index("harming")
    # Also with the lowest floor of links, where a weight of zero must not become a neighbour.
    for tables in (TABLES, replace(TABLES, link_weight_min=0)):
        one, other = case.run(tables), replace(case, states=()).run(tables)
        with_homes = {k: v for k, v in numbers(one).items() if k[2] == harming}
        assert with_homes
        assert with_homes == {k: v for k, v in numbers(other).items() if k[2] == harming}
        assert (one.around.neighbours[..., harming] == other.around.neighbours[..., harming]).all()


@pytest.mark.finding("SCO-T7")
@quick
@given(cases(), st.integers(0, DRAWN - 1), st.integers(2, 12))
def test_moving_children_into_a_registered_home_changes_nothing(
    case: Case, first: int, size: int
) -> None:
    home = tuple(
        State((first + step) % PERSONS, "registered_home", 88, AS_OF - step) for step in range(size)
    )
    moved = replace(case, states=(*case.states, *home)).run()
    assert everything(moved) == everything(case.run())


@pytest.mark.finding("SCO-T8")
@quick
@given(cases(), st.sampled_from(("asb", "weapon")), st.integers(26, 400))
def test_an_event_past_the_cap_links_nobody_and_is_told(case: Case, kind: str, size: int) -> None:
    bands = (*case.bands, *(1,) * (size - PERSONS))
    wide = replace(case, bands=bands)
    crowd = tuple(Event(pid, 999, kind, "suspect", AS_OF - 1) for pid in range(size))
    before, after = wide.run(), replace(wide, events=(*case.events, *crowd)).run()
    names = ("a", "b", "kind", "n", "last", "points")
    assert rows_of(after.links.rows, *names) == rows_of(before.links.rows, *names)
    assert (after.links.weight == before.links.weight).all()
    skipped = rows_of(after.links.skipped, "eid", "members")
    assert skipped == [*rows_of(before.links.skipped, "eid", "members"), (999, size)]
    # What all of them share raises nobody's exposure to the others.
    assert (after.around.total == before.around.total).all()


@pytest.mark.finding("SCO-T12")
@quick
@given(cases(), st.integers(0, PERSONS - 1))
def test_a_birthday_moves_nobody_from_one_track_to_the_other(case: Case, pid: int) -> None:
    flagged = replace(
        case, events=(*case.events, Event(pid, 999, "cse_flag", "subject", AS_OF - 30, 1))
    )

    def as_band(band: int) -> World:
        bands = tuple(band if number == pid else old for number, old in enumerate(case.bands))
        return replace(flagged, bands=bands).run()

    child, adult = as_band(1), as_band(2)
    assert numbers(child) == numbers(adult)
    assert numbers(child)[pid, TABLES.themes.index("cse"), TRACKS.index("harmed")][0] > 0
    before = numbers(case.run()).get((pid, 0, TRACKS.index("harming")), (0,))
    assert numbers(adult).get((pid, 0, TRACKS.index("harming")), (0,))[0] == before[0]


@pytest.mark.finding("SCO-T13")
@settings(quick, max_examples=6)
@given(cases())
def test_ten_thousand_strangers_change_no_score_and_no_rank(case: Case) -> None:
    strangers = range(PERSONS, PERSONS + 10_000)
    crowd = tuple(
        Event(pid, 10_000 + pid // 2, "asb", "suspect", AS_OF - pid % 90) for pid in strangers
    )
    wide = replace(case, events=(*case.events, *crowd), bands=(*case.bands, *(1,) * 10_000))
    small, large = case.run(), wide.run()
    assert len(large.links.a) >= 4_000
    assert numbers(large, set(range(PERSONS))) == numbers(small)
    assert listed(large, wide.bands) == listed(small, case.bands)


@pytest.mark.finding("SCO-P3")
@quick
@given(cases(), st.data())
def test_in_equals_kept_plus_dropped_by_reason(case: Case, data: st.DataObject) -> None:
    changes = (
        {"pid": -2},
        {"pid": -1},
        {"origin": 1},
        {"day": AS_OF + 1},
        {"recorded": AS_OF + 1},
        {"source": 9},
        {"day": AS_OF - 1900},
        {},
    )
    rows = [
        row._replace(**data.draw(st.sampled_from(changes)))  # type: ignore[arg-type]
        for row in (*case.events, *case.events[:3])
    ]
    admitted = {POLICE: EVERY_KIND, MISSING_UNIT: frozenset[int]()}
    found = visible_events(event_columns(rows), AS_OF, admitted, retention_of())
    assert len(rows) == len(found.columns["pid"]) + sum(found.dropped.values())
    assert admitted != ADMIT_ALL
    assert (found.columns["pid"] >= 0).all()
    assert (found.columns["day"] <= AS_OF).all()
