"""How well a run linked, and for whom: match rates by group, drift of frequencies, and what waits.

Computed from keyed words alone. A group of fewer than ten records is not told (LNK-34). What stands for
the origin of a name here is how common it is in the frozen table: a name that the table does not hold is
where recall is lost first, and no list of origins enters the linkage lane.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np
import numpy.typing as npt

from engine.linkage.decide import Linked
from engine.linkage.encode import ADULT, CHILD, COLUMNS, Words

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

COMMON = 0.001
"""Share of people from which a name is common."""
SMALL = 10
"""Records below which a group is not told."""
PLACEHOLDER = 0.005
"""Share of records under one birth date from which it is a placeholder that nobody cleaned."""
ENOUGH = 5000
"""Names from which a distance says something: of few, chance alone makes one of a quarter and more."""
DRIFT = 0.10
"""Distance between the names of these records and of the frozen table from which the model is old."""
_PLACE = {name: number for number, name in enumerate(COLUMNS)}


@dataclass(frozen=True)
class Frozen:
    """The frozen table of a name, as far as it concerns these records.

    Attributes:
        tokens: Tokens that are there.
        shares: Share of people of each of them in the table.
        common: Share of people whose name is a common one in the table.
    """

    tokens: Words = field(repr=False)
    shares: Floats = field(repr=False)
    common: float


def quality(
    words: Words,
    agencies: Sequence[str],
    linked: Linked,
    frequencies: Mapping[str, Frozen],
    rare: float,
    stated: Mapping[str, Sequence[str]] | None = None,
    came: Ints | None = None,
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the report of a run, and of the records of each delivery, as plain data.

    What is told of one is decided with what is told of all others: no group of fewer than ten follows
    from the run less its deliveries, nor from a delivery less its groups (LNK-34).

    Args:
        words: Encoded records.
        agencies: Agency of each record.
        linked: What the run found.
        frequencies: ``given`` and ``surname``: what the frozen table says of them.
        rare: Share taken for a name that the frozen table does not hold.
        stated: Name of a group to one label per record, from where such things are kept apart; ages in
            finer bands than the words have.
        came: Number of the delivery of each record, from 0 without a gap; one for all when None.
    """
    came = np.zeros(len(words), np.int64) if came is None else came
    matched = _matched(linked.clusters.cluster, agencies)
    groups = {
        "agency": np.array(agencies, dtype=object),
        "age": _age(words),
        "sex": sexes(words),
        "given name": _commonness(words, frequencies["given"], rare),
        **{
            f"has {label}": np.where(words[:, _PLACE[name]] != 0, "yes", "no").astype(object)
            for name, label in (("dob", "birth date"), ("postcode", "postcode"),
                                ("nhs", "NHS number"), ("upn", "pupil number"))
        },
        "form of name": _form(words),
        **{name: np.array(labels, dtype=object) for name, labels in (stated or {}).items()},
    }  # fmt: skip
    cells = {name: _Cells.of(labels, came, matched, linked) for name, labels in groups.items()}
    run = {
        "rates": [row for name, one in cells.items() for row in one.whole(name)],
        **_names(words, frequencies),
        "waiting": dict(sorted(Counter(one.reason for one in linked.questions).items())),
    }
    order = np.argsort(came, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(came))[:-1]) if len(came) else []
    return run, [
        {
            "rates": [row for name, one in cells.items() for row in one.part(name, number)],
            **_names(words[rows], frequencies),
        }
        for number, rows in enumerate(parts)
    ]


def _names(words: Words, frequencies: Mapping[str, Frozen]) -> dict[str, Any]:
    return {
        "drift": [_drift(words, name, frequencies[name]) for name in ("given", "surname")],
        "alerts": _alerts(words, frequencies),
    }


@dataclass(frozen=True)
class _Cells:
    """Counts of a group by label and delivery, and which of them are not told."""

    labels: list[str]
    counts: Ints
    matched: Ints
    unusable: Ints
    hidden: Mask
    hidden_whole: Mask

    @classmethod
    def of(
        cls, labels: npt.NDArray[np.object_], came: Ints, matched: Mask, linked: Linked
    ) -> _Cells:
        names, at = np.unique(labels.astype(str), return_inverse=True)
        shape = (len(names), int(came.max(initial=-1)) + 1)
        key = at * shape[1] + came

        def count(of: Mask) -> Ints:
            return np.bincount(key[of], minlength=shape[0] * shape[1]).reshape(shape)

        counts = count(np.ones(len(key), dtype=bool))
        hidden, whole = suppressed(counts)
        return cls(names.tolist(), counts, count(matched), count(~linked.usable), hidden, whole)

    def whole(self, name: str) -> list[dict[str, Any]]:
        return [
            _rate(name, label, *map(int, (self.counts[at].sum(), self.matched[at].sum(),
                                          self.unusable[at].sum())), told=not self.hidden_whole[at])
            for at, label in enumerate(self.labels)
        ]  # fmt: skip

    def part(self, name: str, number: int) -> list[dict[str, Any]]:
        return [
            _rate(name, label, *map(int, (one[at, number] for one in (
                self.counts, self.matched, self.unusable))), told=not self.hidden[at, number])
            for at, label in enumerate(self.labels) if self.counts[at, number]
        ]  # fmt: skip


def suppressed(counts: Ints, least: int = SMALL) -> tuple[Mask, Mask]:
    """Return which cells, and which totals of labels, are not told.

    A cell or a total of fewer than `least` is not told, and none follows from what is. What is told adds
    up along three kinds of lines: a label to its total, a delivery to its number of records, which the
    receipt and the agency's row tell, and the totals to all records. So every unknown stands on two
    lines, and one follows exactly when it is a bridge between them: then the smallest others that close
    a ring through it are hidden with it. What is hidden of a line comes to `least` at the least.

    Args:
        counts: int64 ``[label, delivery]``.
        least: Records from which a group is told.
    """
    totals = counts.sum(axis=1)
    hidden, whole = (counts > 0) & (counts < least), totals < least
    while True:
        before = int(hidden.sum() + whole.sum())
        for line, some in (
            *(
                (one, mine)
                for one, mine, gone in zip(counts, hidden, whole, strict=True)
                if not gone
            ),
            *zip(counts.T, hidden.T, strict=True),
            (totals, whole),
        ):
            rest = np.flatnonzero(~some & (line > 0))
            if some.any() and line[some].sum() < least and len(rest):
                some[rest[np.argmin(line[rest])]] = True
        _close_rings(counts, hidden, whole, least)
        if int(hidden.sum() + whole.sum()) == before:
            return hidden, whole


def _close_rings(counts: Ints, hidden: Mask, whole: Mask, least: int) -> None:
    """Hide what closes a ring through each small unknown that follows from the rest."""
    every = nx.Graph()
    for label, delivery in np.argwhere(counts > 0).tolist():
        every.add_edge(("label", label), ("delivery", delivery), count=int(counts[label, delivery]),
                       at=(label, delivery))  # fmt: skip
    for label, total in enumerate(counts.sum(axis=1).tolist()):
        every.add_edge(("label", label), "all", count=total, at=(label, None))

    def is_hidden(at: tuple[int, int | None]) -> bool:
        return bool(whole[at[0]] if at[1] is None else hidden[at])

    unknown = nx.Graph()
    unknown.add_edges_from(one for one in every.edges if is_hidden(every.edges[one]["at"]))
    for one in list(nx.bridges(unknown)):
        if every.edges[one]["count"] >= least:
            continue
        other = nx.restricted_view(every, [], [one])
        try:
            path = nx.shortest_path(
                other, *one, weight=lambda _u, _v, at: 0 if is_hidden(at["at"]) else at["count"] + 1
            )
        except nx.NetworkXNoPath:
            continue  # The only label of its delivery: it is the number of records that came.
        for step in itertools.pairwise(path):
            label, delivery = every.edges[step]["at"]
            if delivery is None:
                whole[label] = True
            else:
                hidden[label, delivery] = True


def _rate(
    name: str, label: str, count: int, matched: int, unusable: int, *, told: bool
) -> dict[str, Any]:
    return {
        "group": name,
        "value": label,
        "records": count if told else None,
        "matched": round(matched / count, 4) if told else None,
        "not_enough": round(unusable / count, 4) if told else None,
    }


def _matched(clusters: Words, agencies: Sequence[str]) -> Mask:
    """Return which records are one person with a record of another agency."""
    number = {name: place for place, name in enumerate(sorted(set(agencies)))}
    of = np.array([number[name] for name in agencies], np.int64)
    pairs = np.unique(np.stack([clusters, of], axis=1), axis=0)
    several, counts = np.unique(pairs[:, 0], return_counts=True)
    found: Mask = np.isin(clusters, several[counts > 1])
    return found


def _age(words: Words) -> npt.NDArray[np.object_]:
    band = words[:, _PLACE["band"]]
    names = {CHILD: "under 18", ADULT: "18 and over"}
    return np.array([names.get(one, "not known") for one in band.tolist()], dtype=object)


def sexes(words: Words) -> npt.NDArray[np.object_]:
    """Return the sex as a group; which token is which is not known here, so they are numbered."""
    tokens = words[:, _PLACE["sex"]]
    order = sorted(set(tokens.tolist()) - {0}, key=lambda one: (-int((tokens == one).sum()), one))
    names = {token: f"group {place}" for place, token in enumerate(order, 1)}
    return np.array([names.get(one, "not known") for one in tokens.tolist()], dtype=object)


def _form(words: Words) -> npt.NDArray[np.object_]:
    """Return how a name is built: where naming customs differ from a form's two boxes, recall is lost."""
    given, surname = (words[:, _PLACE[name]] != 0 for name in ("given", "surname"))
    rest, initial = words[:, _PLACE["given_rest"]] != 0, words[:, _PLACE["given_is_initial"]] != 0
    one = given ^ surname
    labels = np.select(
        [~given & ~surname, one, initial, rest],
        ["not known", "one name only", "an initial", "several given names"],
        "a given name and a surname",
    )
    return labels.astype(object)


def _commonness(words: Words, frozen: Frozen, rare: float) -> npt.NDArray[np.object_]:
    share = dict(zip(frozen.tokens.tolist(), frozen.shares.tolist(), strict=True))

    def group(token: int) -> str:
        if not token:
            return "not known"
        if share.get(token, rare) <= rare:
            return "not in the table"
        return "common" if share[token] >= COMMON else "less common"

    return np.array([group(one) for one in words[:, _PLACE["given"]].tolist()], dtype=object)


def _drift(words: Words, name: str, frozen: Frozen) -> dict[str, Any]:
    """Return how far the common names are from the frozen table (total variation, the rest as one)."""
    column = words[:, _PLACE[name]]
    column = column[column != 0]
    if len(column) < ENOUGH:
        return {"field": name, "distance": None, "too_far": False}
    common = frozen.shares >= COMMON
    tokens, shares = frozen.tokens[common], frozen.shares[common]
    values, counts = np.unique(column, return_counts=True)
    known = dict(zip(values.tolist(), (counts / len(column)).tolist(), strict=True))
    held = np.array([known.get(token, 0.0) for token in tokens.tolist()])
    absent = frozen.common - float(shares.sum())
    rest = abs((1 - float(held.sum())) - (1 - frozen.common))
    distance = round((float(np.abs(held - shares).sum()) + absent + rest) / 2, 4)
    return {"field": name, "distance": distance, "too_far": bool(distance > DRIFT)}


def _alerts(words: Words, frequencies: Mapping[str, Frozen]) -> list[dict[str, Any]]:
    """Return tokens that are far too frequent: a placeholder that came through (linkage.md 5.3)."""
    found = []
    dates = words[:, _PLACE["dob"]]
    dates = dates[dates != 0]
    if len(dates) >= 1000:
        top = int(np.unique(dates, return_counts=True)[1].max())
        if top >= SMALL and top / len(dates) > PLACEHOLDER:
            found.append({"field": "birth date", "records": top,
                          "says": "one birth date is far too frequent: a placeholder?"})  # fmt: skip
    for name, frozen in frequencies.items():
        column = words[:, _PLACE[name]]
        column = column[column != 0]
        if len(column) < 1000:
            continue
        values, counts = np.unique(column, return_counts=True)
        expected = dict(zip(frozen.tokens.tolist(), frozen.shares.tolist(), strict=True))
        for token, count in zip(values.tolist(), counts.tolist(), strict=True):
            if count >= SMALL and count / len(column) > max(0.02, 5 * expected.get(token, 0.0)):
                found.append({"field": name, "records": count,
                              "says": "one name is far more frequent than the table says"})  # fmt: skip
    return found
