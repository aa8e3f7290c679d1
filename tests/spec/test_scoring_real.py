"""Public data sets with published or computed figures: the numbers come out, and so do the warnings."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from scoring.evaluate import Confusion, area, truncated
from scoring.tables import ONE, TRACKS
from tests.builders.scoring_columns import TABLES, Event, World, rows_of, world

HARMED, HARMING = TRACKS.index("harmed"), TRACKS.index("harming")
EPOCH = date(1970, 1, 1)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


# COMPAS: rates to four digits, and the trap of an unfinished window.


@pytest.fixture
def compas(realdata: Path) -> list[dict[str, str]]:
    return _rows(realdata / "scoring" / "compas" / "compas-scores-two-years.csv")


def test_the_published_rates_of_compas_come_out_to_four_digits(
    compas: list[dict[str, str]],
) -> None:
    assert len(compas) == 7214
    found = {}
    for race in ("African-American", "Caucasian"):
        mine = [one for one in compas if one["race"] == race]
        figures = Confusion.of(
            np.array([int(one["decile_score"]) >= 5 for one in mine]),
            np.array([one["two_year_recid"] == "1" for one in mine]),
        ).metrics()
        found[race] = tuple(
            round(figures[name] or 0, 4) for name in ("false_positive_rate", "false_negative_rate")
        )
    assert found == {"African-American": (0.4485, 0.2799), "Caucasian": (0.2345, 0.4772)}


def test_the_trap_of_an_unfinished_window_is_found_in_the_raw_file(
    compas: list[dict[str, str]],
) -> None:
    day = [date.fromisoformat(one["compas_screening_date"]) for one in compas]
    quarter = [f"{one.year} Q{(one.month + 2) // 3}" for one in day]
    outcome = np.array([one["two_year_recid"] == "1" for one in compas])
    assert truncated(quarter, outcome) == ["2014 Q2", "2014 Q3", "2014 Q4"]
    whole = [one < date(2014, 4, 1) for one in day]
    kept = [quarter[row] for row, fits in enumerate(whole) if fits]
    assert truncated(kept, outcome[np.array(whole)]) == []


# St Louis: victims are no associates of those who harmed them.


def test_people_who_were_only_ever_victims_have_no_harming_and_no_link(realdata: Path) -> None:
    rows = _rows(realdata / "scoring" / "stlouis" / "participation.csv")
    assert Counter(one["role"] for one in rows) == {
        "victim": 569, "suspect": 682, "witness": 195, "dual": 41,
    }  # fmt: skip
    people = sorted({int(one["person"]) for one in rows})
    pid = {person: place for place, person in enumerate(people)}
    events = []
    for one in rows:
        day = (date(int(one["year"]), 6, 30) - EPOCH).days
        for role in ("victim", "suspect") if one["role"] == "dual" else (one["role"],):
            events.append(
                Event(pid[int(one["person"])], int(one["event"]), "sexual_offence", role, day, 2)
            )
    found = world(events, persons=len(people), as_of=(date(1997, 12, 31) - EPOCH).days)
    roles = defaultdict(set)
    for event in events:
        roles[event.pid].add(event.role)
    victims = {one for one, held in roles.items() if held == {"victim"}}
    assert len(victims) == 242
    assert not found.evidence.points[sorted(victims), :, HARMING].any()
    linked = set(found.links.a.tolist()) | set(found.links.b.tolist())
    assert not victims & linked
    # Linked as if they were associates, most of them would stand beside a suspect (counted here; the
    # reference page has 224 by another merging of the events).
    beside: dict[int, set[str]] = defaultdict(set)
    for event in events:
        beside[event.eid].add(event.role)
    naive = {
        event.pid for event in events if event.pid in victims and "suspect" in beside[event.eid]
    }
    assert len(naive) == 166
    _one_event_is_bounded(found)


def _one_event_is_bounded(found: World) -> None:
    """One event of any size adds at most its link points to a person (P8)."""
    most = max(kind.points for kind in TABLES.links if kind.sort == "event") * ONE
    sums = np.zeros(len(found.evidence.points), np.int64)
    counts = np.zeros_like(sums)
    for side in (found.links.rows["a"], found.links.rows["b"]):
        np.add.at(sums, side, found.links.rows["points"])
    for event in set(found.events["eid"].tolist()):
        counts[np.unique(found.events["pid"][found.events["eid"] == event])] += 1
    assert (sums <= counts * most).all()


# 'Ndrangheta: a link table from dated summits.


def test_summits_give_the_pairs_that_networkx_gives(realdata: Path) -> None:
    rows = _rows(realdata / "scoring" / "covert" / "ndrangheta_summits_participation.csv")
    assert (len(rows), len({one["event"] for one in rows})) == (455, 47)
    people = {one: place for place, one in enumerate(sorted({row["person"] for row in rows}))}
    events = [
        Event(people[one["person"]], int(one["event"]), "asb", "suspect",
              (date.fromisoformat(one["date"]) - EPOCH).days, 2)
        for one in rows
    ]  # fmt: skip
    as_of = max(event.day for event in events)
    tables_horizon = as_of - 730
    found = world(events, persons=len(people), as_of=as_of)
    graph = nx.Graph()
    by_event = defaultdict(set)
    for event in events:
        if event.day >= tables_horizon:
            by_event[event.eid].add(event.pid)
    for members in by_event.values():
        graph.add_edges_from(itertools.combinations(sorted(members), 2))
    pairs = set(zip(found.links.a.tolist(), found.links.b.tolist(), strict=True))
    assert pairs == {(min(pair), max(pair)) for pair in graph.edges}
    assert len(pairs) > 200
    assert not len(found.links.skipped["eid"])


# London: exposure is mostly degree, and it is said; children and adults are kept apart.


def test_in_the_london_gang_bands_are_apart_and_exposure_saturates(realdata: Path) -> None:
    folder = realdata / "scoring" / "covert"
    nodes, ties = _rows(folder / "london_gang_nodes.csv"), _rows(folder / "london_gang_edges.csv")
    bands = [1 if int(one["age"]) < 18 else 2 for one in nodes]
    assert (bands.count(1), bands.count(2)) == (10, 44)
    pid = {one["person"]: place for place, one in enumerate(nodes)}
    as_of = 10_000
    events = [
        Event(pid[one[side]], number, "theft", "suspect", as_of - 30 * (4 - int(one["tie"])), 2)
        for number, one in enumerate(ties)
        for side in ("a", "b")
    ]
    own = [
        Event(place, 10_000 + place, "drug_supply", "suspect", as_of - 90, 2)
        for place, one in enumerate(nodes)
        if int(one["convictions"]) > 2
    ]
    found = world([*events, *own], persons=len(nodes), as_of=as_of, bands=bands)
    assert len(found.links.a) == 315
    rows = rows_of(found.around.rows, "band", "n")
    assert {band for band, _ in rows} == {1, 2}
    scores = found.scores
    assert ((scores["score"] - scores["index"]) <= 50_000).all()
    degree = np.bincount(np.r_[found.links.a, found.links.b], minlength=len(nodes)).astype(float)
    total = found.around.total[:, TABLES.themes.index("cce"), HARMING].astype(float)
    told = _spearman(total, degree)
    # The warning of the page: sums of exposure measure degree. A run says so (T18).
    assert told > 0.6


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(values, kind="stable")) for values in (one, other)]
    return float(np.corrcoef(*ranks)[0, 1])


# Caviar: the network by phase, with its published centralities.


def test_caviar_has_its_phases_and_its_centre(realdata: Path) -> None:
    folder = realdata / "scoring" / "covert"
    phases: dict[int, set[str]] = defaultdict(set)
    for one in _rows(folder / "caviar_phases.csv"):
        phases[int(one["phase"])] |= {one["src"], one["dst"]}
    assert [len(phases[one]) for one in sorted(phases)] == [
        15,
        24,
        33,
        33,
        32,
        27,
        34,
        42,
        34,
        42,
        41,
    ]
    with (folder / "morselli_caviar.csv").open(encoding="utf-8-sig", newline="") as stream:
        matrix = list(csv.reader(stream))
    names, graph = matrix[0][1:], nx.Graph()
    graph.add_nodes_from(names)
    for row in matrix[1:]:
        for name, count in zip(names, row[1:], strict=True):
            if int(count) and row[0] != name:
                graph.add_edge(row[0], name)
    central = nx.degree_centrality(graph)
    assert [round(central[one], 3) for one in ("1", "12", "3")] == [0.55, 0.257, 0.248]


def test_what_is_seen_in_each_phase_decays_and_comes_back(realdata: Path) -> None:
    """Talks of phase after phase as events: a person who is seen no more falls, one seen again rises."""
    rows = _rows(realdata / "scoring" / "covert" / "caviar_phases.csv")
    people = {one: at for at, one in
              enumerate(sorted({row[side] for row in rows for side in ("src", "dst")}))}  # fmt: skip
    events = [
        Event(people[row[side]], number, "drug_supply", "suspect", 8000 + 60 * int(row["phase"]), 2)
        for number, row in enumerate(rows)
        for side in ("src", "dst")
    ]
    cce = TABLES.themes.index("cce")
    points = [
        world(events, persons=len(people), as_of=8000 + 60 * phase).evidence.points[:, cce, HARMING]
        for phase in range(1, 12)
    ]
    seen = [{people[row[side]] for row in rows if int(row["phase"]) == phase
             for side in ("src", "dst")} for phase in range(1, 12)]  # fmt: skip
    for at in range(1, 11):
        quiet = [one for one in range(len(people)) if one not in seen[at] and points[at - 1][one]]
        assert quiet
        assert (points[at][quiet] < points[at - 1][quiet]).all()
        assert points[at][sorted(seen[at])].all()


# Burglary: an honest prior, told as small as it is.


def test_the_network_adds_little_to_burglary_and_it_is_said_so(realdata: Path) -> None:
    path = next((realdata / "scoring" / "burglary").glob("*06-30.json"))
    nodes = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    assert len(nodes) == 1658
    cut = date(2020, 5, 1)
    early: dict[int, set[str]] = {}
    later: set[int] = set()
    for place, one in enumerate(nodes):
        days = {crime: date.fromisoformat(detail["date"][:10])
                for crime, detail in one["crime_details"].items()}  # fmt: skip
        before = {crime for crime, day in days.items() if day < cut}
        if before:
            early[place] = before
            if any(day >= cut for day in days.values()):
                later.add(place)
    known = sorted(early)
    outcome = np.array([one in later for one in known])
    assert round(float(outcome.mean()), 3) == 0.083
    events = [
        Event(at, sum(map(ord, crime)) * 100_000 + int(crime.split("#")[1]), "theft", "suspect",
              (cut - EPOCH).days - 1, 2)
        for at, one in enumerate(known)
        for crime in sorted(early[one])
    ]  # fmt: skip
    found = world(events, persons=len(known), as_of=(cut - EPOCH).days)
    own = np.array([len(early[one]) for one in known], float)
    degree = np.bincount(np.r_[found.links.a, found.links.b], minlength=len(known)).astype(float)
    assert round(area(own, outcome), 3) == 0.587
    assert area(degree, outcome) < 0.5
    assert area(own + degree / 1000, outcome) - area(own, outcome) < 0.02
