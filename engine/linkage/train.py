"""Make the frozen model from planted truth: its own act, never inside a delivery.

The probabilities are counted, not estimated: m over all true pairs of a training city, u over random
pairs. The city is synthetic and the model card says so.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from engine.linkage import artefacts
from engine.linkage.artefacts import Model
from engine.linkage.cluster import cluster, enough_to_identify, same_local_id
from engine.linkage.edges import Edges
from engine.linkage.encode import ENCODER_VERSION, Encoder, Words
from engine.linkage.guard import may_link
from engine.linkage.linker import SplinkLinker, arrow_table
from engine.linkage.settings_v2 import COMPARISONS, NULLS, TERM_FREQUENCY

_RANDOM_PAIRS = 4_000_000
_APART = 10**9
_LABELS = 2000
"""Labelled pairs of two agencies from which they may have a threshold of their own."""
REVIEW_BITS = 6.0
"""Bits below the weight that links in which a pair is shown to a reviewer."""
LEADER_MARGIN = 3.0
"""Bits by which the best person must lead the next: eight times as likely."""


@dataclass(frozen=True)
class Town:
    """Labelled records of one population; two towns share nobody, whatever their numbers say.

    Attributes:
        words: Encoded records.
        people: True person of each.
        agencies: Agency of each.
    """

    words: Words = field(repr=False)
    people: Words = field(repr=False)
    agencies: list[str] = field(repr=False)

    def usable(self) -> Town:
        """Return the records that say enough to be compared."""
        rows = np.flatnonzero(enough_to_identify(self.words))
        return Town(
            self.words[rows], self.people[rows], [self.agencies[row] for row in rows.tolist()]
        )


def train(
    folder: Path,
    encoder: Encoder,
    towns: Sequence[Town],
    names: dict[str, list[str]],
    *,
    fewest: int = 1,
    told: str = "a synthetic city",
    normaliser: str = "",
) -> dict[str, float]:
    """Count the probabilities, choose the weights, and write the artefacts (unsigned).

    Args:
        folder: Where the artefacts go.
        encoder: The encoder that made the words.
        towns: Labelled records.
        names: ``given`` and ``surname``: the folded name of each true person.
        fewest: People who must bear a name before the table holds it; of a real population a rare name
            is somebody's.
        told: What the records are, for the first line of the tables.
        normaliser: Version of the normaliser that the words were made with.

    Returns:
        What was measured on the training data.
    """
    towns = [one.usable() for one in towns]
    counts = {column: Counter(values) for column, values in names.items()}
    for column, file in (("given", artefacts.GIVEN), ("surname", artefacts.SURNAME)):
        total = sum(counts[column].values())
        shares = sorted(
            ((name, count / total) for name, count in counts[column].items() if count >= fewest),
            key=lambda item: (-item[1], item[0]),
        )
        artefacts.write_frequencies(folder / file, shares, told)
    columns = arrow_table(np.concatenate([one.words for one in towns]))
    probabilities, unseen = count_levels(towns, columns)
    true_pairs = sum(
        count * (count - 1) // 2 for one in towns for count in Counter(one.people.tolist()).values()
    )
    prior = true_pairs / sum(len(one.words) * (len(one.words) - 1) / 2 for one in towns)
    frequencies = {
        "given": artefacts.read_frequencies(folder / artefacts.GIVEN),
        "surname": artefacts.read_frequencies(folder / artefacts.SURNAME),
    }
    rare = 1 / 200_000
    model = Model(probabilities, prior, 0.0, -8.0, frequencies, rare, "")
    linker = SplinkLinker(encoder, model)
    auto, bands, measured = choose_weights([linker.edges(one.words) for one in towns], towns)
    document = {
        "version": "v2",
        "probabilities": probabilities,
        "prior": prior,
        "rare": rare,
        "auto_weight": auto,
        "review_weight": auto - REVIEW_BITS,
        "leader_margin": LEADER_MARGIN,
        "bands": bands,
        # What it was counted on: words of another version mean something else.
        "encoder": ENCODER_VERSION,
        "normaliser": normaliser,
        # Comparisons of which no true pair had both values: their numbers are a guess (splink 161).
        "unseen": unseen,
    }
    (folder / artefacts.MODEL).write_text(
        json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    return measured


def _case(name: str, say: Callable[[str], str]) -> str:
    levels = [(label, say(sql)) for label, sql in COMPARISONS[name]]
    arms = "".join(
        f" when {sql} then {len(levels) - number}" for number, (_, sql) in enumerate(levels)
    )
    return f"case when {NULLS[name]} then -1{arms} else 0 end"


def count_levels(
    towns: Sequence[Town], columns: pa.Table, say: Callable[[str], str] = str
) -> tuple[dict[str, dict[str, tuple[float, float]]], list[str]]:
    """Return the probabilities, and the comparisons of which no true pair has both values.

    Args:
        towns: Labelled records that say enough to be compared.
        columns: The records of all of them as they are compared.
        say: Turns the condition of a level into that of these columns.
    """
    truth = np.concatenate([one.people + number * _APART for number, one in enumerate(towns)])
    starts = np.cumsum([0, *(len(one.words) for one in towns)])
    connection = duckdb.connect(":memory:")
    connection.register("words", columns)
    rng = np.random.default_rng(11)
    # Two records drawn at random are of one town: in another one nobody is looked for. Of a small town
    # no more are drawn than there are.
    drawn = [
        tuple(rng.integers(start, stop, min(_RANDOM_PAIRS // len(towns), (stop - start) ** 2))
              for _ in range(2))
        for start, stop in itertools.pairwise(starts.tolist())
    ]  # fmt: skip
    one, two = (np.concatenate([pair[side] for pair in drawn]) for side in (0, 1))
    different = truth[one] != truth[two]
    order = np.argsort(truth, kind="stable")
    pairs = []
    for run in np.split(order, np.flatnonzero(np.diff(truth[order])) + 1):
        pairs += [(a, b) for place, a in enumerate(run) for b in run[place + 1 :]]
    same = np.array(pairs, np.int64)
    found: dict[str, dict[str, tuple[float, float]]] = {}
    m, seen = _level_shares(connection, columns, say, same[:, 0], same[:, 1])
    u, _ = _level_shares(connection, columns, say, one[different], two[different])
    for name, levels in COMPARISONS.items():
        labels = [label for label, _ in levels] + ["else"]
        found[name] = {
            label: (
                m[name].get(len(levels) - number, 1e-6),
                u[name].get(len(levels) - number, 1e-6),
            )
            for number, label in enumerate(labels)
        }
    connection.close()
    return _floored_frequencies(found), sorted(name for name, count in seen.items() if not count)


def _level_shares(
    connection: duckdb.DuckDBPyConnection,
    columns: pa.Table,
    say: Callable[[str], str],
    left: np.ndarray,
    right: np.ndarray,
) -> tuple[dict[str, dict[int, float]], dict[str, int]]:
    """Return the share of each level of each comparison, and how many pairs it was counted on."""
    connection.register("pairs", pa.table({"l": left, "r": right}))
    names = columns.column_names
    sides = ", ".join(f"a.{name} as {name}_l, b.{name} as {name}_r" for name in names)
    found: dict[str, dict[int, float]] = {}
    seen: dict[str, int] = {}
    connection.execute(
        f"create or replace temp table sides as select {sides} from pairs "  # noqa: S608
        "join words a on a.rid = pairs.l join words b on b.rid = pairs.r"
    )
    for name in COMPARISONS:
        rows = connection.execute(
            f"select {_case(name, say)} as g, count(*) from sides group by 1 having g >= 0"  # noqa: S608
        ).fetchall()
        seen[name] = sum(count for _, count in rows)
        total = seen[name] + 0.5 * (len(COMPARISONS[name]) + 1)
        found[name] = {
            level: (dict(rows).get(level, 0) + 0.5) / total
            for level in range(len(COMPARISONS[name]) + 1)
        }
    return found, seen


def _floored_frequencies(
    found: dict[str, dict[str, tuple[float, float]]],
) -> dict[str, dict[str, tuple[float, float]]]:
    """Keep every probability off zero and one, and of a length that a reader can compare."""
    assert set(TERM_FREQUENCY.values()) == {"given", "surname"}
    return {
        name: {
            label: (
                float(f"{min(max(m, 1e-6), 1 - 1e-6):.6g}"),
                float(f"{min(max(u, 1e-9), 1 - 1e-6):.6g}"),
            )
            for label, (m, u) in levels.items()
        }
        for name, levels in found.items()
    }


def _lowest(weight: np.ndarray, false: np.ndarray) -> float:
    """Return the lowest weight at which at most one linked edge in 1,000 is false."""
    order = np.argsort(-weight, kind="stable")
    wrong = np.cumsum(false[order])
    good = np.flatnonzero(wrong <= (np.arange(len(wrong)) + 1) / 1000)
    return float(np.floor(weight[order][int(good[-1]) if len(good) else 0]))


def _bands(
    weight: np.ndarray, false: np.ndarray, names: np.ndarray, auto: float
) -> dict[str, tuple[float, float]]:
    """Return the thresholds of agency pairs that have labels enough and need a higher one.

    A lower one is never taken from a few hundred labels: a false merge costs more than a missed one
    (20 to 1 in the design that the leader margin comes from, linkage.md 2.1).
    """
    found = {}
    for pair in sorted(set(names.tolist())):
        mine = names == pair
        if mine.sum() >= _LABELS:
            own = _lowest(weight[mine], false[mine])
            if own > auto:
                found[pair] = (own, own - REVIEW_BITS)
    return found


def choose_weights(
    scored: Sequence[Edges], towns: Sequence[Town]
) -> tuple[float, dict[str, tuple[float, float]], dict[str, float]]:
    """Choose the weights at which at most one linked edge in 1,000 is false.

    Args:
        scored: The pairs of each town.
        towns: Labelled records that say enough to be compared.

    Returns:
        The weight that links, the weights of two agencies that need a higher one, and what was measured.
    """
    found = [
        edges.take(np.flatnonzero(may_link(edges, one.words)))
        for edges, one in zip(scored, towns, strict=True)
    ]
    weight = np.concatenate([edges.weight for edges in found])
    false = np.concatenate(
        [one.people[edges.left] != one.people[edges.right]
         for one, edges in zip(towns, found, strict=True)]
    )  # fmt: skip
    names = np.array(
        ["|".join(sorted((one.agencies[left], one.agencies[right])))
         for one, edges in zip(towns, found, strict=True)
         for left, right in zip(edges.left.tolist(), edges.right.tolist(), strict=True)]
    )  # fmt: skip
    auto = _lowest(weight, false)
    bands = _bands(weight, false, names, auto)
    linked = weight >= auto
    measured = [_clustered(one, edges, auto) for one, edges in zip(towns, found, strict=True)]
    return (
        auto,
        bands,
        {
            "auto_weight": auto,
            "edges": float(linked.sum()),
            "false_edges": float(false[linked].sum()),
            "precision": float(np.mean([one[0] for one in measured])),
            "recall": float(np.mean([one[1] for one in measured])),
        },
    )


def _clustered(town: Town, edges: Edges, auto: float) -> tuple[float, float]:
    kept = edges.take(np.flatnonzero(edges.weight >= auto))
    return pairwise(cluster(town.words, same_local_id(town.words), kept).cluster, town.people)


def pairwise(clusters: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Return pairwise precision and recall of a clustering."""

    def pairs(values: Counter[object]) -> int:
        return sum(count * (count - 1) // 2 for count in values.values())

    together = pairs(Counter(zip(clusters.tolist(), truth.tolist(), strict=True)))
    said = pairs(Counter(clusters.tolist()))
    true = pairs(Counter(truth.tolist()))
    return (together / said if said else 1.0), (together / true if true else 1.0)
