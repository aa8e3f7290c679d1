"""Which person id each cluster of records bears: an id that people have stays with who bore it first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.domain.ids import Randomness
from engine.linkage.encode import Words


@dataclass
class Assignment:
    """Which person each record belongs to, and what changed.

    Attributes:
        merged: Persons that ended in this run to the one they became.
        leads: Every former person to the one that holds the records which bore it first.
        revived: Former persons whose merge no longer holds: they have their own id again.
    """

    people: list[bytes] = field(repr=False)
    created: int = 0
    merged: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    leads: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    split: int = 0
    revived: list[bytes] = field(default_factory=list, repr=False)


def assign(
    records: Sequence[bytes],
    clusters: Words,
    before: Mapping[bytes, bytes],
    randomness: Randomness,
    past: Mapping[bytes, Sequence[bytes]] | None = None,
    age: Mapping[bytes, int] | None = None,
) -> Assignment:
    """Give every cluster a person id, keeping the ids that people already have.

    When persons merge, the older id stays; when one splits, the id stays with the records that bore it
    first, and what was merged into it has its former id back (linkage.md 4). An id that nobody bears
    leads to whoever holds the records that bore it first.

    Args:
        records: Record pseudonyms, sorted.
        clusters: Cluster of each record.
        before: Record to its person before this run.
        randomness: Source of new ids.
        past: Record to every person it has belonged to, the earliest first.
        age: Person to the run that made it; lower is older.
    """
    past, age = past or {}, age or {}
    members: dict[int, list[int]] = {}
    for row, cluster in enumerate(clusters.tolist()):
        members.setdefault(cluster, []).append(row)
    votes = {
        cluster: Counter(before[records[row]] for row in rows if records[row] in before)
        for cluster, rows in members.items()
    }
    first = {
        cluster: Counter(past[records[row]][0] for row in rows if past.get(records[row]))
        for cluster, rows in members.items()
    }
    owner, former = _owners(votes, first), _owners(first, first)
    result = Assignment([b""] * len(records))
    for cluster, rows in members.items():
        mine = sorted(
            (old for old in votes[cluster] if owner[old] == cluster),
            key=lambda old: (age.get(old, 0), -votes[cluster][old], old),
        )
        if mine:
            chosen = mine[0]
            result.merged.update(dict.fromkeys(mine[1:], chosen))
        else:
            own = sorted(
                (old for old in first[cluster] if old not in owner and former[old] == cluster),
                key=lambda old: (-first[cluster][old], age.get(old, 0), old),
            )
            chosen = own[0] if own else randomness(16)
            result.created += not own
            result.split += bool(votes[cluster])
            result.revived += own[:1]
        for row in rows:
            result.people[row] = chosen
    result.leads = _leads(result.people, members, former, result.merged)
    return result


def _owners(
    votes: Mapping[int, Counter[bytes]], first: Mapping[int, Counter[bytes]]
) -> dict[bytes, int]:
    """Return the cluster that an id stays with: of records that bore it first, then of most of them."""
    claims: dict[bytes, tuple[int, int, int]] = {}
    for cluster, counted in votes.items():
        for old, count in counted.items():
            claim = (-first[cluster][old], -count, cluster)
            if old not in claims or claim < claims[old]:
                claims[old] = claim
    return {old: claim[2] for old, claim in claims.items()}


def _leads(
    people: Sequence[bytes],
    members: Mapping[int, Sequence[int]],
    former: Mapping[bytes, int],
    merged: Mapping[bytes, bytes],
) -> dict[bytes, bytes]:
    """Return where each id leads that nobody bears any more."""
    current = set(people)
    now = {old: people[members[cluster][0]] for old, cluster in former.items()}
    return {old: new for old, new in {**merged, **now}.items() if old not in current}
