"""Exposure over one hop and two, against the same push written as a networkx loop."""

from __future__ import annotations

from collections.abc import Iterator

import networkx as nx
import numpy as np

from bench.measure import PEER, Claim
from scoring.graph import first_hop
from scoring.hops import second_hop
from scoring.plt import Links
from scoring.rfg import FULL, OwnEvidence
from scoring.tables import ONE, TRACKS, Ints, Tables, load_tables, shipped

PEOPLE, LINKS = 100_000, 500_000
FEW, FEW_LINKS = 10_000, 50_000
AT_RISK, SHARED = 0.2, 0.1


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    tables = load_tables(shipped())
    links, evidence = _town(tables, np.random.default_rng(5), PEOPLE, LINKS)
    bands = np.ones(PEOPLE, np.int64)
    graph = _graph(links, evidence)

    def agree(theirs: tuple[Ints, Ints], ours: tuple[Ints, Ints, object]) -> bool:
        return all(np.array_equal(a, b) for a, b in zip(theirs, ours[:2], strict=True))

    yield Claim(
        f"exposure, {PEOPLE:,} people, {LINKS:,} links, by band",
        "networkx loop, totals only",
        PEER,
        lambda: _push(graph, tables),
        lambda: first_hop(links, evidence, bands, tables),
        agree,
    )
    few, some = _town(tables, np.random.default_rng(6), FEW, FEW_LINKS)
    small = _graph(few, some)
    yield Claim(
        f"two hops exactly, {FEW:,} people, {FEW_LINKS:,} links",
        "networkx loop, totals only",
        PEER,
        lambda: _push_two(small, tables),
        lambda: _totals(second_hop(few, some, _NO_EVENTS, tables), some.points.shape),
        np.array_equal,
    )


_NO_EVENTS = {name: np.zeros(0, np.int64) for name in ("pid", "eid")}


def _totals(parts: dict[str, Ints], shape: tuple[int, ...]) -> Ints:
    total = np.zeros(shape, np.int64)
    np.add.at(total, (parts["pid"], parts["theme"], parts["track"]), parts["exposure"])
    return total


def _push_two(graph: nx.Graph, tables: Tables) -> Ints:
    """Walk two steps from everybody who has points, keeping the best path to each person."""
    total = np.zeros((FEW, len(tables.themes), len(TRACKS)), np.int64)
    floor = tables.link_weight_min * ONE // 1000
    for track in range(len(TRACKS)):
        used = nx.Graph()
        used.add_nodes_from(graph)
        used.add_weighted_edges_from(
            (a, b, link["weight"][track])
            for a, b, link in graph.edges(data=True)
            if link["weight"][track] > floor
        )
        for theme, name in enumerate(tables.themes):
            half = tables.half_index_points[name] * ONE
            for person, own in graph.nodes(data="points"):
                points = own[theme][track]
                if points == 0:
                    continue
                risk, best = FULL * points // (points + half), {}
                for middle, one in used.adj[person].items():
                    for far, two in used.adj[middle].items():
                        if far != person and far not in used.adj[person]:
                            path = one["weight"] * two["weight"] // ONE
                            best[far] = max(best.get(far, 0), path)
                for far, path in best.items():
                    total[far, theme, track] += path * risk // ONE * tables.hop_factor // 1000
    return total


def _town(
    tables: Tables, chance: np.random.Generator, people: int, count: int
) -> tuple[Links, OwnEvidence]:
    """Make people of whom one in five has points, and links of whom one in ten shares an event."""
    shape = (len(tables.themes), len(TRACKS))
    points = chance.integers(ONE, 200 * ONE, (people, *shape))
    points *= chance.random(points.shape) < AT_RISK
    found = chance.integers(0, people, (count + count // 50, 2))
    low, high = found.min(axis=1), found.max(axis=1)
    keys = np.unique((low * people + high)[low != high])
    keys = np.sort(chance.choice(keys, count, replace=False))
    a, b = keys // people, keys % people
    both = np.stack([points[b], points[a]])
    common = (chance.random(count) < SHARED)[None, :, None, None]
    shared = both * common * chance.integers(0, 5, both.shape) // 4
    empty: dict[str, Ints] = {}
    weight = chance.integers(0, ONE, (count, len(TRACKS)))
    strength = chance.integers(1, 400 * ONE, count)
    links = Links(empty, a, b, weight, strength, shared, empty)
    return links, OwnEvidence(points, np.zeros((0, *shape), np.int64))


def _graph(links: Links, evidence: OwnEvidence) -> nx.Graph:
    """The same town as plain Python numbers on nodes and edges; its making is not timed."""
    graph = nx.Graph()
    graph.add_nodes_from(
        (person, {"points": points}) for person, points in enumerate(evidence.points.tolist())
    )
    weights = links.weight.tolist()
    first, second = links.shared[0].tolist(), links.shared[1].tolist()
    common: list[bool] = np.any(links.shared, axis=(0, 2, 3)).tolist()
    for place, (a, b) in enumerate(zip(links.a.tolist(), links.b.tolist(), strict=True)):
        # Points of the one who is counted, from events that both are in.
        shared = {b: first[place], a: second[place]} if common[place] else {}
        graph.add_edge(a, b, weight=weights[place], shared=shared)
    return graph


def _push(graph: nx.Graph, tables: Tables) -> tuple[Ints, Ints]:
    """Push from everybody who has points, as our code does: the fast direction for a loop too."""
    shape = (PEOPLE, len(tables.themes), len(TRACKS))
    total, neighbours = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    floor = tables.link_weight_min * ONE // 1000
    for theme, name in enumerate(tables.themes):
        half = tables.half_index_points[name] * ONE
        for track in range(len(TRACKS)):
            sums, counts = [0] * PEOPLE, [0] * PEOPLE
            for person, own in graph.nodes(data="points"):
                points = own[theme][track]
                if points == 0:
                    continue
                for other, link in graph.adj[person].items():
                    weight = link["weight"][track]
                    if weight <= floor:
                        continue
                    shared = link["shared"]
                    rest = points - shared[person][theme][track] if shared else points
                    risk = FULL * rest // (rest + half)
                    if risk > 0:
                        sums[other] += weight * risk // ONE
                        counts[other] += 1
            total[:, theme, track], neighbours[:, theme, track] = sums, counts
    return total, neighbours
