"""Communities of households: whom events bring together, for folds that part nobody from their circle."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from scoring.tables import Ints
from scoring.visible import Columns

LARGEST = 25
"""Members of an event beyond which it says nothing of who knows whom (scoring.md 1.5)."""


def communities(events: Columns, households: Ints, until: int, seed: int) -> Ints:
    """Return the community of each person; a household is never parted.

    Households are the nodes, and two are joined as often as an event had people of both (Leiden by
    modularity, scoring.md 2.5). Who shares no event with anybody is a community of their household.

    Args:
        events: Visible events.
        households: Household of each person.
        until: Day up to which events count, so that a fold knows nothing of what it foretells.
        seed: Seed of the partition.
    """
    import igraph

    names, home = np.unique(households, return_inverse=True)
    use = (events["day"] <= until) & (events["recorded"] <= until)
    eid, place = events["eid"][use], home[events["pid"][use]]
    both = np.unique(np.stack([eid, place], axis=1), axis=0)
    starts = np.flatnonzero(both[1:, 0] != both[:-1, 0]) + 1
    pairs: dict[tuple[int, int], int] = {}
    for some in np.split(both[:, 1], starts):
        members = some.tolist()
        if 1 < len(members) <= LARGEST:
            for at, one in enumerate(members):
                for other in members[at + 1 :]:
                    pairs[one, other] = pairs.get((one, other), 0) + 1
    edges = sorted(pairs)
    graph: Any = igraph.Graph(n=len(names), edges=edges)
    try:
        igraph.set_random_number_generator(random.Random(seed))  # noqa: S311  # repeatable
        parts = graph.community_leiden(
            objective_function="modularity", weights=[pairs[one] for one in edges] or None,
            n_iterations=4,
        )  # fmt: skip
    finally:
        igraph.set_random_number_generator(random)
    found: Ints = np.array(parts.membership, np.int64)[home]
    return found
