"""Which pairs wait for a person: what the newest run left open, less what somebody has answered."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session, col, select

from engine.domain.errors import LinkageError
from engine.domain.ids import Actor, as_utc
from engine.flows.home import Home
from engine.flows.intent import Flow
from engine.linkage.hold import SPLIT
from engine.linkage.index import ReviewPair, first_runs, members_of, review_pairs
from engine.linkage.memory import CANNOT, MUST, PairDecision, final_decisions
from engine.store.session import reading
from engine.store.tables import LinkDecision, LinkRun


@dataclass(frozen=True)
class Pair:
    """A pair of the queue: the heaviest of all pairs between two persons."""

    token: str
    left: bytes = field(repr=False)
    right: bytes = field(repr=False)
    people: tuple[str, str]
    reason: str
    weight: float
    levels: Mapping[str, int]
    others: int = 0


def no_pair() -> LinkageError:
    """Return the error of a pair or a decision that does not wait."""
    return LinkageError(
        "FG-LNK-07",
        "no such pair or decision waits",
        "Look at the queue again: fieldgate pairs list.",
    )


def waiting_pair(home: Home, token: str, actor: Actor) -> Pair:
    """Return a pair of the queue.

    Raises:
        LinkageError: ``FG-LNK-07`` no such pair waits.

    That somebody asked for a pair that does not wait is audited as ``consultation``: whoever tries
    references leaves a trace (AUD-8).
    """
    for one in open_pairs(home):
        if hmac.compare_digest(one.token.encode(), token.encode()):
            return one
    with Flow(home, "pair", "consultation", actor, {}):
        raise no_pair()


def pair_token(home: Home, left: bytes, right: bytes) -> str:
    """Return the reference of a pair of records: keyed, the same in every run."""
    key = home.keyring("psn").derive("review-pair", 32)
    return hmac.digest(key, min(left, right) + max(left, right), "sha256").hex()[:32]


def open_pairs(home: Home) -> list[Pair]:
    """Return what the newest run left to people and nobody has answered, one pair per two persons.

    Who was said to be two people is not asked about again by way of their other records, unless a
    record came since.
    """
    runs = home.link_runs()
    if not runs:
        return []
    asked = review_pairs(home.linkage, runs[-1])
    answers = all_decisions(home)
    told = final_decisions(home.linkage, home.final_decisions())
    records = sorted(
        {side for one in asked for side in (one.left, one.right)}
        | {side for one in told for side in (one.left, one.right)}
    )
    member = members_of(home.linkage, runs, records)
    apart = _said_apart(home, runs, answers, told, member, records)
    held: dict[tuple[bytes, bytes], list[ReviewPair]] = {}
    for one in asked:
        low, high = sorted((member.get(one.left, b""), member.get(one.right, b"")))
        one_person = low == high and one.reason != SPLIT
        if low and not one_person and not apart(one, (low, high)):
            held.setdefault((low, high), []).append(one)
    if not held:
        return []
    ids = sorted({one for pair in held for one in pair})
    casework = home.domain("casework")
    names = dict(zip(ids, map(casework.text, casework.seal(ids)), strict=True))
    with Session(reading(home.casework)) as session:
        run = session.get(LinkRun, runs[-1])
    answered = {
        one.pair
        for one in answers
        if one.state == "final"
        # Who could not tell is asked again when a later run has seen more.
        and (one.answer != "unsure" or run is None
             or as_utc(one.decided_at) >= as_utc(run.published_at))
    }  # fmt: skip
    found = []
    for pairs in held.values():
        left = [one for one in pairs if pair_token(home, one.left, one.right) not in answered]
        if len(left) < len(pairs):
            continue  # Somebody has answered for these two; the next run knows it.
        best = pairs[0]
        found.append(
            Pair(
                pair_token(home, best.left, best.right), best.left, best.right,
                (names[member[best.left]], names[member[best.right]]),
                best.reason, best.weight, best.levels, len(pairs) - 1,
            )
        )  # fmt: skip
    return found


def _said_apart(
    home: Home,
    runs: Sequence[str],
    answers: Sequence[LinkDecision],
    told: Sequence[PairDecision],
    member: Mapping[bytes, bytes],
    records: Sequence[bytes],
) -> Callable[[ReviewPair, tuple[bytes, bytes]], bool]:
    """Return what says whether a pair is of two persons of whom somebody said that they are two."""
    decided = {one.id: as_utc(one.decided_at) for one in answers}
    with Session(reading(home.casework)) as session:
        published = {
            one.id: as_utc(one.published_at) for one in session.exec(select(LinkRun)).all()
        }
    since: dict[tuple[bytes, bytes], datetime] = {}
    for one in told:
        low, high = sorted((member.get(one.left, b""), member.get(one.right, b"")))
        if one.kind == CANNOT and low and low != high:
            before = since.get((low, high))
            since[low, high] = max(decided[one.decision], before or decided[one.decision])
    # Two words that contradict each other are asked about until one of them is taken back.
    joined = {(one.left, one.right) for one in told if one.kind == MUST}
    first = first_runs(home.linkage, runs, records) if since else {}

    def apart(pair: ReviewPair, persons: tuple[bytes, bytes]) -> bool:
        said = since.get(persons)
        if said is None or (min(pair.left, pair.right), max(pair.left, pair.right)) in joined:
            return False
        return all(published[first[one]] <= said for one in (pair.left, pair.right))

    return apart


def all_decisions(home: Home) -> list[LinkDecision]:
    """Return every decision, the oldest first."""
    with Session(reading(home.casework), expire_on_commit=False) as session:
        return list(session.exec(select(LinkDecision).order_by(col(LinkDecision.number))).all())
