"""Leader advantage: a record is linked only when its best person leads the next one by a margin.

Ties are never broken by the order of rows, and a rival counts whether it links itself or not (LNK-14).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.linkage.cluster import NOTHING, Groups, Memory
from engine.linkage.contradict import LARGEST, TELLING
from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Words

_PLACE = {name: number for number, name in enumerate(COLUMNS)}


def without_leader(
    words: Words,
    edges: Edges,
    margin: float,
    memory: Memory = NOTHING,
    certain: tuple[Words, Words] | None = None,
) -> npt.NDArray[np.bool_]:
    """Return which pairs have a rival: the record fits another person, who is not this one, as well.

    A record is linked only when its best person leads the next by a margin; else a person decides
    (leader advantage, linkage.md 2.1; ties are never broken by the order of rows, LNK-14).

    Args:
        words: Encoded records.
        edges: Pairs that may link, by descending weight.
        margin: Lead in bits of match weight.
        memory: What people decided.
        certain: Pairs that are one person by a number of the person's own, so that they are no rivals.
    """
    groups = Groups(words, memory)
    for left, right in memory.must:
        groups.join(left, right, decided=True)
    if certain is not None:
        groups.join_pairs(*certain)
    unclear = np.zeros(len(edges.left), dtype=bool)
    ends = np.concatenate([edges.left, edges.right])
    pairs = np.tile(np.arange(len(edges.left), dtype=np.int64), 2)
    order = np.lexsort([pairs, ends])
    ends, pairs = ends[order], pairs[order]
    if not len(ends):
        return unclear
    starts = np.flatnonzero(np.append(True, ends[1:] != ends[:-1]))
    stops = np.append(starts[1:], len(ends))
    others = edges.left[pairs] + edges.right[pairs] - ends
    asks = _may_differ(words, others, starts, memory)
    asks &= stops - starts > 1
    for begin, stop in zip(starts[asks].tolist(), stops[asks].tolist(), strict=True):
        mine = pairs[begin:stop]
        # Pairs stand by descending weight, so that the first is the best.
        near = edges.weight[mine[0]] - edges.weight[mine] < margin
        close = mine[near]
        rivals = sorted(set(others[begin:stop][near].tolist()))
        if len(rivals) > LARGEST or any(
            groups.two_people(one, other) for at, one in enumerate(rivals) for other in rivals[:at]
        ):
            unclear[close] = True
    return unclear


def _may_differ(
    words: Words, others: Words, starts: npt.NDArray[np.int64], memory: Memory
) -> npt.NDArray[np.bool_]:
    """Say of which records the rivals may be two people: anything in them that differs at all.

    It only spares the comparison of rivals that agree in everything that could contradict.
    """
    differ = np.zeros(len(starts), dtype=bool)
    for name in TELLING:
        column = words[others, _PLACE[name]]
        least = np.where(column == 0, np.iinfo(np.int64).max, column)
        differ |= np.maximum.reduceat(column, starts) > np.minimum.reduceat(least, starts)
    if memory.once is not None:
        differ[_twice_in_one_source(words, others, starts, memory.once)] = True
    decided = np.zeros(len(words), dtype=bool)
    decided[[row for pair in (*memory.must, *memory.cannot) for row in pair]] = True
    return np.asarray(differ | np.logical_or.reduceat(decided[others], starts), dtype=bool)


def _twice_in_one_source(
    words: Words, others: Words, starts: npt.NDArray[np.int64], once: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Return the records two of whose rivals are two ids of one source that holds nobody twice."""
    asks = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(others))))
    source, local = once[others], words[others, _PLACE["local"]]
    order = np.lexsort([local, source, asks])
    asks, source, local = asks[order], source[order], local[order]
    same = (asks[1:] == asks[:-1]) & (source[1:] == source[:-1]) & (source[1:] != 0)
    return np.asarray(asks[1:][same & (local[1:] != local[:-1])])
