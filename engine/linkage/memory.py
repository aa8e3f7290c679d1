"""What people decided about pairs of records: it survives every relink.

A decision is staged here under its own id and counts once casework says that it is final; the newest
final decision about a pair is the one that holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, delete, select

from engine.linkage.index_tables import pair_decision

MUST, CANNOT = "must", "cannot"


@dataclass(frozen=True, slots=True)
class PairDecision:
    """Two records, and whether they must or cannot be one person."""

    decision: str
    left: bytes
    right: bytes
    kind: str


def write_decision(
    engine: Engine, decision: str, pairs: Iterable[tuple[bytes, bytes]], kind: str
) -> None:
    """Stage a decision; it counts for nothing until casework calls it final."""
    rows = [
        {"decision": decision, "left": min(pair), "right": max(pair), "kind": kind}
        for pair in pairs
    ]
    if rows:
        with engine.begin() as connection:
            connection.execute(pair_decision.insert(), rows)


def forget_decision(engine: Engine, decision: str) -> None:
    """Take back what a decision staged; harmless when it staged nothing."""
    with engine.begin() as connection:
        connection.execute(delete(pair_decision).where(pair_decision.c.decision == decision))


def final_decisions(engine: Engine, final: Sequence[str]) -> list[PairDecision]:
    """Return the newest final decision about each pair.

    Args:
        engine: The linkage store.
        final: Final decisions, oldest first.
    """
    order = {decision: number for number, decision in enumerate(final)}
    with engine.connect() as connection:
        rows = connection.execute(select(pair_decision)).all()
    newest: dict[tuple[bytes, bytes], tuple[int, PairDecision]] = {}
    for row in rows:
        name = str(row.decision)
        if name not in order:
            continue
        made = PairDecision(name, bytes(row.left), bytes(row.right), row.kind)
        pair = (made.left, made.right)
        if pair not in newest or order[name] > newest[pair][0]:
            newest[pair] = (order[name], made)
    return [made for _, made in sorted(newest.values(), key=lambda one: one[0])]


def decided_about(engine: Engine, records: Sequence[bytes]) -> dict[str, set[bytes]]:
    """Return, by decision, which of some records it is about; also of decisions that hold no more."""
    found: dict[str, set[bytes]] = {}
    with engine.connect() as connection:
        for start in range(0, len(records), 500):
            some = set(records[start : start + 500])
            for side in (pair_decision.c.left, pair_decision.c.right):
                asked = select(pair_decision.c.decision, side).where(side.in_(sorted(some)))
                for decision, record in connection.execute(asked):
                    found.setdefault(str(decision), set()).add(bytes(record))
    return found


def pairs_of(engine: Engine, decision: str) -> list[tuple[bytes, bytes]]:
    """Return the pairs of records that a decision is about."""
    asked = select(pair_decision).where(pair_decision.c.decision == decision)
    with engine.connect() as connection:
        return [(bytes(row.left), bytes(row.right)) for row in connection.execute(asked)]
