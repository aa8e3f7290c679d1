"""How sure a run is that the records of a person are one person's: the weakest join between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix  # type: ignore[import-untyped]
from scipy.sparse.csgraph import minimum_spanning_tree  # type: ignore[import-untyped]
from sqlalchemy import Engine, delete, select

from engine.linkage.edges import Edges
from engine.linkage.encode import Words
from engine.linkage.index_tables import person_sure

SURE = 1000
"""Thousandths of a person of one record, or of joins that people or an agency's own id make."""
UNJOINED = 500
"""Thousandths where nothing that links holds a person together: kept whole until somebody looks."""
_MOST, _ABOVE = 100.0, 200.0


def sureness(
    clusters: Words, edges: Edges, certain: Sequence[tuple[int, int]]
) -> npt.NDArray[np.int64]:
    """Return per record the match probability of its person, in thousandths.

    A person is as sure as the weakest join of the strongest tree that spans their records: without it
    they would be two. A weight of w bits is a probability of ``1 / (1 + 2**-w)`` (linkage.md 3.5).

    Args:
        clusters: Cluster of each record.
        edges: Pairs that may link.
        certain: Pairs that an own id or a person joins.
    """
    sure = np.array(certain, np.int64).reshape(len(certain), 2)
    left = np.concatenate([edges.left, sure[:, 0]])
    right = np.concatenate([edges.right, sure[:, 1]])
    weight = np.concatenate([np.minimum(edges.weight, _MOST), np.full(len(sure), _MOST)])
    inside = clusters[left] == clusters[right]
    left, right, weight = left[inside], right[inside], weight[inside]
    low, high = np.minimum(left, right), np.maximum(left, right)
    order = np.lexsort([-weight, high, low])
    low, high, weight = low[order], high[order], weight[order]
    first = np.append(True, (low[1:] != low[:-1]) | (high[1:] != high[:-1]))[: len(low)]
    low, high, weight = low[first], high[first], weight[first]
    count = len(clusters)
    # The tree of least cost is the one of most weight; a cost of zero would be no edge.
    tree = minimum_spanning_tree(
        coo_matrix((_ABOVE - weight, (low, high)), shape=(count, count)).tocsr()
    ).tocoo()
    numbers, of, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    worst = np.zeros(len(numbers))
    np.maximum.at(worst, of[tree.row], tree.data)
    joins = np.bincount(of[tree.row], minlength=len(numbers))
    odds = np.exp2(np.clip(_ABOVE - worst, -_MOST, _MOST))
    parts = np.rint(SURE * odds / (1 + odds)).astype(np.int64)
    parts[worst <= _ABOVE - _MOST] = SURE
    parts[joins < sizes - 1] = np.minimum(parts[joins < sizes - 1], UNJOINED)
    parts[sizes == 1] = SURE
    found: npt.NDArray[np.int64] = parts[of]
    return found


def write_sure(
    engine: Engine, run: str, people: Mapping[bytes, int], keep: Sequence[str] = ()
) -> None:
    """Stage how sure a run is of the persons of whom it is not quite; of older runs `keep` stays."""
    rows = [
        {"run": run, "person_id": person, "thousandths": part}
        for person, part in people.items()
        if part < SURE
    ]
    with engine.begin() as connection:
        connection.execute(delete(person_sure).where(person_sure.c.run.not_in([*keep])))
        if rows:
            connection.execute(person_sure.insert(), rows)


def forget_sure(engine: Engine, run: str) -> None:
    """Take back what a run staged; harmless when it staged nothing."""
    with engine.begin() as connection:
        connection.execute(delete(person_sure).where(person_sure.c.run == run))


def read_sure(engine: Engine, run: str) -> dict[bytes, int]:
    """Return the persons of whom a run is not quite sure, in thousandths."""
    with engine.connect() as connection:
        rows = connection.execute(select(person_sure).where(person_sure.c.run == run))
        return {bytes(row.person_id): row.thousandths for row in rows}
