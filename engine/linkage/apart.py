"""What people decided are two people: it parts, and never joins anything.

Clustering with such a pair from the start could join either of the two with somebody else, whom only the
other one had kept out: a decision would merge, and nobody would have been asked. The clusters are made
without these pairs, and each decision then parts the one that it is about, the oldest first; what a pair
refuses beyond that is a question.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.linkage.cluster import NOTHING, Clusters, Memory, cluster
from engine.linkage.edges import Edges
from engine.linkage.encode import Words

Pairs = list[tuple[int, int]]


def cluster_apart(words: Words, certain: Pairs, edges: Edges, memory: Memory = NOTHING) -> Clusters:
    """Cluster records, and part what people decided are two; see `engine.linkage.cluster.cluster`.

    Args:
        words: Encoded records.
        certain: Pairs that are one person by an agency's own id.
        edges: Pairs that may link, by descending weight.
        memory: What people decided, the oldest first. One more pair in `cannot` at its end joins no two
            records that were not one person without it.
    """
    whole = cluster(words, certain, edges, replace(memory, cannot=()))
    labels, refused = whole.cluster.copy(), list(whole.refused)
    together: dict[int, Pairs] = {}
    for left, right in memory.cannot:
        if labels[left] == labels[right]:
            together.setdefault(int(labels[left]), []).append((left, right))
    if not together:
        return whole
    inside = np.flatnonzero(
        (labels[edges.left] == labels[edges.right]) & np.isin(labels[edges.left], list(together))
    )
    mine = edges.take(inside)
    for name, apart in together.items():
        rows = np.flatnonzero(labels == name)
        held = mine.take(np.flatnonzero(whole.cluster[mine.left] == name))
        refused += _parted(words, certain, held, memory, labels, rows, apart)
    return Clusters(labels, list(dict.fromkeys(refused)))


def _parted(
    words: Words,
    certain: Pairs,
    edges: Edges,
    memory: Memory,
    labels: Words,
    rows: Words,
    apart: Pairs,
) -> list[tuple[int, int, str]]:
    """Part one cluster in `labels` by its decisions, one after the other; return what was refused."""
    refused: list[tuple[int, int, str]] = []
    for number, (left, right) in enumerate(apart, 1):
        if labels[left] != labels[right]:
            continue
        some = rows[labels[rows] == labels[left]]
        place = {row: at for at, row in enumerate(some.tolist())}

        def within(pairs: Pairs, place: dict[int, int] = place) -> Pairs:
            return [(place[one], place[two]) for one, two in pairs if one in place and two in place]

        kept = np.flatnonzero(np.isin(edges.left, some) & np.isin(edges.right, some))
        held = edges.take(kept)
        local = Edges(
            np.searchsorted(some, held.left),
            np.searchsorted(some, held.right),
            held.weight,
            held.gammas,
        )
        decided = Memory(
            within(list(memory.must)),
            within(apart[:number]),
            memory.once[some] if memory.once is not None else None,
        )
        found = cluster(words[some], within(certain), local, decided)
        labels[some] = some[found.cluster]
        refused += [(int(some[one]), int(some[two]), why) for one, two, why in found.refused]
    return refused
