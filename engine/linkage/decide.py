"""From encoded records to persons and questions: what links, what a person has to decide, and why.

Pure: the same records, model and memory give the same answer, whatever the order they came in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from engine.linkage.aliases import Aliases, aliases, with_present_numbers
from engine.linkage.apart import cluster_apart
from engine.linkage.artefacts import Model
from engine.linkage.blocks import Capped, capped, communal, without_home, without_shared_numbers
from engine.linkage.cluster import (
    Clusters,
    Memory,
    enough_to_identify,
    same_local_id,
)
from engine.linkage.edge_store import Digests, Scored, score
from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Words, columnar, distinct, mix, take
from engine.linkage.guard import may_link
from engine.linkage.hold import ALERT, SPLIT, Known, held_pairs, rejoined
from engine.linkage.leader import without_leader
from engine.linkage.linker import Linker
from engine.linkage.settings_v2 import gamma
from engine.linkage.sure import sureness

Mask = npt.NDArray[np.bool_]

ASK_BITS = 3.0
"""Bits below the weight that links from which a pair that the guard holds back is a question."""
GUARD, LEADER, BAND = "merge_guard", "no_clear_leader", "review_band"
CONFUSED, NAMELESS = "one_nhs_number", "no_given_name"
_ASKED = 3
"""Persons that a record without a given name is held against; a house full of twins has no more."""


@dataclass(frozen=True)
class Question:
    """Two records that a person has to decide about.

    Attributes:
        left, right: Rows.
        reason: `GUARD`, `LEADER`, `BAND`, or what contradicts.
        weight: Match weight in bits; 0 for a pair that no rule scored.
        levels: Comparison to the number of its level.
    """

    left: int
    right: int
    reason: str
    weight: float
    levels: dict[str, int]


@dataclass(frozen=True)
class Linked:
    """What a run found.

    Attributes:
        usable: Rows that say enough to be compared with others.
        scored, linking: Number of pairs scored, and of pairs that link.
        capped: Blocking keys that were too large.
        homes_set_aside: Records whose address is shared by too many, or hidden, and was not used.
        compared: Records that were compared anew; the pairs of all others were taken over.
        numbers: Former numbers that were read as present ones.
        edges, digests: What the next run may take over.
        sure: Per record the match probability of its person, in thousandths.
    """

    clusters: Clusters
    usable: Mask = field(repr=False)
    scored: int
    linking: int
    questions: list[Question] = field(repr=False)
    capped: list[Capped]
    homes_set_aside: int
    compared: int
    numbers: Aliases
    edges: Edges = field(repr=False)
    digests: Digests = field(repr=False)
    sure: npt.NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class Comparable:
    """Records as they are compared.

    Attributes:
        plain: Words with present numbers, and without an address that must not speak.
        blocked: The same, with large blocking keys refined.
        usable: Rows that say enough to be compared and that nothing keeps apart.
        numbers: Former numbers that were read as present ones.
        capped: Blocking keys that were too large.
        homes_set_aside: Records whose address was not used.
    """

    plain: Words = field(repr=False)
    blocked: Words = field(repr=False)
    usable: Mask = field(repr=False)
    numbers: Aliases
    capped: list[Capped]
    homes_set_aside: int


def comparable(
    words: Words, hidden: Mask | None, apart: Mask, listed: Mask | None = None
) -> Comparable:
    """Return records as a run compares them; see `decide` for the arguments."""
    # An adopted child's former number leads nowhere: the link is protected (LNK-15).
    numbers = aliases(words if not apart.any() else take(words, np.flatnonzero(~apart)))
    words = with_present_numbers(words, numbers)
    homeless = communal(words)
    for more in (hidden, listed):
        homeless = homeless if more is None else homeless | more
    plain, shared = without_shared_numbers(without_home(words, homeless))
    usable = (enough_to_identify(plain) != 0) & ~apart
    blocked, large = capped(plain)
    return Comparable(plain, blocked, usable, numbers, [*large, *shared], int(homeless.sum()))


def decide(
    words: Words,
    agencies: Sequence[str],
    linker: Linker,
    model: Model,
    memory: Memory,
    *,
    hidden: Mask | None = None,
    listed: Mask | None = None,
    apart: Mask | None = None,
    records: Sequence[bytes] = (),
    earlier: Scored | None = None,
    known: Known | None = None,
) -> Linked:
    """Decide which records are one person, and which pairs are left to people.

    A person with one record whose address is hidden has it hidden on all of them, whoever sent them: the
    run is decided again without those (LNK-17: the flag wins over every source).

    Args:
        words: Encoded records.
        agencies: Agency of each record; two agencies may have thresholds of their own.
        linker: Scores pairs.
        model: The frozen model with its thresholds.
        memory: What people decided.
        hidden: Records whose address must not speak for or against anybody (LNK-17).
        listed: Records that name an address which is nobody's home (LNK-23).
        apart: Records that nothing links to others: adopted children and who changed identity, for whom
            the link itself is protected (LNK-15, LNK-16).
        records: Record pseudonyms; needed with `earlier`.
        earlier: What an earlier run scored; the answer is the same without it.
        known: Who the records were; a merge that touches an open place on a list waits for a person.
    """
    words = columnar(words)
    apart = np.zeros(len(words), dtype=bool) if apart is None else apart
    found = _decided(
        agencies, linker, model, memory, comparable(words, hidden, apart, listed), apart,
        records, earlier, known,
    )  # fmt: skip
    if hidden is None or not hidden.any():
        return found
    clusters = found.clusters.cluster
    whole = np.isin(clusters, clusters[hidden])
    if not (whole & ~hidden).any():
        return found
    first = Scored("", list(records), found.digests, found.edges) if records else None
    again = _decided(
        agencies, linker, model, memory, comparable(words, whole, apart, listed), apart,
        records, first, known,
    )  # fmt: skip
    return replace(again, compared=max(found.compared, again.compared))


def _decided(
    agencies: Sequence[str],
    linker: Linker,
    model: Model,
    memory: Memory,
    ready: Comparable,
    apart: Mask,
    records: Sequence[bytes],
    earlier: Scored | None,
    known: Known | None,
) -> Linked:
    """Decide over records of which it is settled what speaks; see `decide`."""
    plain, usable = ready.plain, ready.usable
    edges, digests, compared = score(linker, ready.blocked, usable, records, earlier)
    auto, review = model.thresholds(agencies, edges)
    allowed, heavy = may_link(edges, plain), edges.weight >= auto
    links = np.flatnonzero(allowed & heavy)
    linking = edges.take(links)
    # What is protected is linked by nobody's earlier word either (LNK-15).
    must = [pair for pair in memory.must if not (apart[pair[0]] or apart[pair[1]])]
    memory = replace(memory, must=must)
    unclear = _unclear(plain, edges, allowed, links, auto, model.leader_margin, memory)
    certain = [pair for pair in same_local_id(plain) if not (apart[pair[0]] or apart[pair[1]])]
    joining = linking.take(np.flatnonzero(~unclear))
    clusters = cluster_apart(plain, certain, joining, memory)
    held = held_pairs(clusters.cluster, known, must) if known is not None else []
    if held:
        clusters = _holding(plain, certain, joining, memory, clusters, held)
    kept: list[tuple[int, int]] = []
    if known is not None:
        whole, kept = rejoined(clusters.cluster, known, memory.cannot, apart)
        clusters = Clusters(whole, clusters.refused)
    reasons = {
        GUARD: np.flatnonzero(~allowed & (edges.weight >= auto - ASK_BITS)),
        LEADER: links[unclear],
        BAND: np.flatnonzero(allowed & ~heavy & (edges.weight >= review)),
    }
    return Linked(
        clusters,
        usable,
        len(edges.left),
        len(linking.left) - int(unclear.sum()),
        _questions(
            edges,
            reasons,
            clusters,
            memory,
            [(pair, CONFUSED) for pair in _one_number_two_people(plain, clusters, apart, digests)]
            + [
                (pair, NAMELESS)
                for pair in _without_a_name(plain, clusters, usable, apart, memory, digests)
            ]
            + [(pair, SPLIT) for pair in kept],
        ),
        ready.capped,
        ready.homes_set_aside,
        compared,
        ready.numbers,
        edges,
        digests,
        sureness(clusters.cluster, joining, [*certain, *must]),
    )


def _holding(
    words: Words,
    certain: list[tuple[int, int]],
    joining: Edges,
    memory: Memory,
    before: Clusters,
    held: list[tuple[int, int]],
) -> Clusters:
    """Cluster again with some pairs kept apart for now, and say of what that refuses why."""
    apart = replace(memory, cannot=[*memory.cannot, *held])
    again = cluster_apart(words, certain, joining, apart)
    known = set(before.refused)
    refused = [
        one if one in known or one[2] != "decided_apart" else (one[0], one[1], ALERT)
        for one in again.refused
    ]
    return Clusters(again.cluster, refused)


def _unclear(
    words: Words,
    edges: Edges,
    allowed: Mask,
    links: npt.NDArray[np.int64],
    auto: npt.NDArray[np.float64],
    margin: float,
    memory: Memory,
) -> Mask:
    """Return which of the linking pairs have a rival within the margin, one that links itself or not.

    A threshold must not make a rival vanish: with a higher one nothing may be joined that a lower one
    leaves to a person (anonlink 82).
    """
    contenders = np.flatnonzero(allowed & (edges.weight >= auto - margin))
    numbered = np.flatnonzero(allowed & (edges.gammas["nhs"] == gamma("nhs", "exact")))
    certain = edges.left[numbered], edges.right[numbered]
    found = without_leader(words, edges.take(contenders), margin, memory, certain)
    return np.asarray(np.isin(links, contenders[found]), dtype=bool)


def _one_number_two_people(
    words: Words, clusters: Clusters, apart: Mask, digests: Digests
) -> list[tuple[int, int]]:
    """Return a pair of rows for each two persons who have one NHS number: somebody has another's (LNK-19).

    Their pair is far too light to be scored, so that nobody would be asked.
    """
    numbers = words[:, COLUMNS.index("nhs")]
    rows = np.flatnonzero((numbers != 0) & ~apart)
    if not len(rows):
        return []
    held = distinct(numbers[rows], clusters.cluster[rows])
    shared = held[1:, 0][held[1:, 0] == held[:-1, 0]]
    rows = _by_words(digests, rows[np.isin(numbers[rows], shared)])
    # Of each person with a number the first record, in the order of what the records say.
    firsts = rows[
        np.sort(np.unique(mix(numbers[rows], clusters.cluster[rows] + 1), return_index=True)[1])
    ]
    order = firsts[np.argsort(numbers[firsts], kind="stable")]
    same = np.flatnonzero(numbers[order][1:] == numbers[order][:-1])
    return [
        (min(one, two), max(one, two))
        for one, two in zip(order[same].tolist(), order[same + 1].tolist(), strict=True)
    ]


def _by_words(digests: Digests, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return rows in the order of what they say: no question hangs on the order that records came in."""
    return rows[np.argsort(digests[rows], kind="stable")]


def _without_a_name(
    words: Words,
    clusters: Clusters,
    usable: Mask,
    apart: Mask,
    memory: Memory,
    digests: Digests,
) -> list[tuple[int, int]]:
    """Return each record without a given name beside whom it may be: one birth date, surname and postcode.

    "Baby" and "Twin 1" are no names, and such a record is compared with nobody, because twins share all
    the rest: it links to neither, and a person looks (LNK-3).
    """
    place = {name: COLUMNS.index(name) for name in ("given", "dob", "surname", "postcode")}
    key = mix(*(words[:, place[name]] for name in ("dob", "surname", "postcode")))
    nameless = np.flatnonzero((words[:, place["given"]] == 0) & (key != 0) & ~usable & ~apart)
    # Who is one person with a named record already, by an own id or a decision, is no question.
    nameless = nameless[
        ~np.isin(clusters.cluster[nameless], clusters.cluster[np.flatnonzero(usable)])
    ]
    if not len(nameless):
        return []
    others = _by_words(digests, np.flatnonzero(usable & np.isin(key, key[nameless]) & ~apart))
    found: dict[int, dict[int, int]] = {}
    for row in others.tolist():
        found.setdefault(int(key[row]), {}).setdefault(int(clusters.cluster[row]), row)
    # What was said of one record of a person was said of the person, whichever record stands first now.
    of = clusters.cluster.tolist()
    answered = {
        (one, of[other])
        for pair in (*memory.must, *memory.cannot)
        for one, other in (pair, pair[::-1])
    }
    asked = []
    for row in nameless.tolist():
        beside = found.get(int(key[row]), {}).items()
        left = [other for person, other in beside if (row, person) not in answered]
        asked += [(min(row, other), max(row, other)) for other in left[:_ASKED]]
    return asked


def _questions(
    edges: Edges,
    reasons: dict[str, npt.NDArray[np.int64]],
    clusters: Clusters,
    memory: Memory,
    unscored: list[tuple[tuple[int, int], str]],
) -> list[Question]:
    """Return the pairs that are left to people; what is one person or was decided is no question.

    Two decisions that contradict each other are one again: people have to say which holds.
    """
    contradicted = {
        (min(left, right), max(left, right))
        for left, right, reason in clusters.refused
        if reason == "decided_apart"
    } & {(min(pair), max(pair)) for pair in memory.must}
    answered = {(min(pair), max(pair)) for pair in (*memory.must, *memory.cannot)} - contradicted
    place = {
        pair: number
        for number, pair in enumerate(
            zip(edges.left.tolist(), edges.right.tolist(), strict=True)
        )
    } if clusters.refused else {}  # fmt: skip
    asked: dict[tuple[int, int], tuple[str, int]] = {}
    for left, right, reason in clusters.refused:
        pair = (min(left, right), max(left, right))
        asked[pair] = (reason, place.get(pair, -1))
    for reason, numbers in reasons.items():
        for number in numbers.tolist():
            asked.setdefault((int(edges.left[number]), int(edges.right[number])), (reason, number))
    for pair, reason in unscored:
        if reason == SPLIT:
            asked[pair] = (reason, asked.get(pair, ("", place.get(pair, -1)))[1])
        else:
            asked.setdefault(pair, (reason, -1))
    of = clusters.cluster.data
    open_ = [
        (pair, reason, number)
        for pair, (reason, number) in sorted(asked.items())
        if (of[pair[0]] != of[pair[1]] or reason == SPLIT) and pair not in answered
    ]
    scored = np.array([number for _, _, number in open_ if number >= 0], np.int64)
    weights = iter(edges.weight[scored].tolist())
    names, columns = list(edges.gammas), [edges.gammas[name][scored] for name in edges.gammas]
    levels = iter(np.stack(columns, axis=1).tolist() if columns else [])
    return [
        Question(*pair, reason, next(weights), dict(zip(names, next(levels), strict=True)))
        if number >= 0
        else Question(*pair, reason, 0.0, {})
        for pair, reason, number in open_
    ]
