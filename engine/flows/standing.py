"""Which deliveries stand: one takes the place of another, is taken back, and gives the place back.

What a correction replaced does not count and is kept, so that withdrawing the correction leaves things as
if it had never been sent. It goes for good when somebody withdraws it as well.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from sqlmodel import Session, col, select

from engine.domain.errors import PolicyRefused
from engine.flows.intent import Flow
from engine.flows.stated import settle_words, take_back
from engine.store.tables import Delivery, DeliveryDetail

STANDS = ("accepted", "paused")
KEPT = (*STANDS, "replaced")


@dataclass(frozen=True)
class Undone:
    """What else a withdrawal did.

    Attributes:
        restored: Numbers of what stands again.
        destroyed: Numbers of what was sent anew meanwhile, and goes for good.
    """

    restored: list[int]
    destroyed: list[int]


def corrected(session: Session, delivery: str | None) -> list[str]:
    """Return what a correction replaces: a delivery, and what that one was to correct while it waits.

    Raises:
        PolicyRefused: ``FG-SUB-22`` another correction has taken the place of one of them: both would
            count.
    """
    found: list[str] = []
    while delivery is not None and delivery not in found:
        one = session.get(Delivery, delivery)
        if one is not None and one.state == "replaced":
            raise PolicyRefused(
                "FG-SUB-22",
                "another delivery has corrected the same one meanwhile",
                "Refuse this one, and correct the other: fieldgate submit --replaces.",
            )
        if one is None or one.state not in STANDS:
            break
        found.append(delivery)
        delivery = one.receipt.get("replaces") if one.state == "paused" else None
    return found


def replace_row(session: Session, delivery: str, flow: Flow, by: str) -> int:
    """Let a delivery count no more because another one took its place; nothing of it is destroyed.

    Its bytes may be sent again afterwards, as what corrects the correction.

    Args:
        session: The transaction.
        delivery: What is replaced.
        flow: The flow that publishes the correction.
        by: The correction.

    Returns:
        The number of what was replaced.

    Raises:
        PolicyRefused: ``FG-SUB-22`` it was withdrawn, refused or replaced meanwhile.
    """
    found = _standing(session, delivery, STANDS)
    found.stood, found.state, found.replaced_by = found.state, "replaced", by
    found.content_hash = _no_bytes("replaced", found.id)
    settle_words(session, flow, found)
    return found.number


def withdraw_row(session: Session, delivery: str, flow: Flow) -> Undone:
    """Mark a delivery as withdrawn and let what it replaced stand as it did before.

    Of a delivery that is itself replaced, the successor holds from then on what it had replaced.

    Args:
        session: The transaction.
        delivery: What is withdrawn; its bytes may be sent again afterwards.
        flow: The flow that withdraws it.

    Raises:
        PolicyRefused: ``FG-SUB-22`` it was withdrawn or refused meanwhile.
    """
    found = _standing(session, delivery, KEPT)
    successor, held, plan = (
        found.replaced_by,
        replaced_of(session, found),
        undone_by(session, found),
    )
    _drop(session, flow, found)
    for one in held:
        if successor is not None:
            one.replaced_by = successor
        elif one.number in plan.destroyed:
            stands = _stands_for(session, found, one)
            # What it had replaced in its turn is held from now on by what stands for it.
            for earlier in replaced_of(session, one):
                earlier.replaced_by = stands.id
            _drop(session, flow, one)
    for one in held:
        if one.number in plan.restored:
            one.state, one.stood, one.replaced_by = one.stood or "accepted", None, None
            one.content_hash = one.receipt["content_sha256"]
            settle_words(session, flow, one)
    return plan


def replaced_of(session: Session, found: Delivery) -> list[Delivery]:
    """Return what a delivery has replaced, the oldest first."""
    query = select(Delivery).where(Delivery.replaced_by == found.id)
    return list(session.exec(query.order_by(col(Delivery.number))).all())


def undone_by(session: Session, found: Delivery) -> Undone:
    """Return what stands again once a delivery is withdrawn, and what goes with it.

    What was sent anew meanwhile does not come back: it would count twice.
    """
    plan = Undone([], [])
    if found.replaced_by is None:
        for one in replaced_of(session, found):
            back = _stands_for(session, found, one) is one
            (plan.restored if back else plan.destroyed).append(one.number)
    return plan


def _stands_for(session: Session, found: Delivery, one: Delivery) -> Delivery:
    """Return what stands with the bytes of a replaced delivery once another is withdrawn: it, or another."""
    sent = one.receipt["content_sha256"]
    anew = same_bytes(session, one.agency, one.source, sent)
    if anew is not None and anew.id != found.id:
        return anew
    twins = [each for each in replaced_of(session, found) if each.receipt["content_sha256"] == sent]
    # One that counted goes before one that only waited.
    return min(twins, key=lambda each: (each.stood != "accepted", each.number))


def same_bytes(session: Session, agency: str, source: str, content_hash: str) -> Delivery | None:
    """Return the delivery of a source that stands and has the same bytes."""
    return session.exec(
        select(Delivery).where(
            Delivery.agency == agency,
            Delivery.source == source,
            Delivery.content_hash == content_hash,
        )
    ).first()


def _standing(session: Session, delivery: str, states: tuple[str, ...]) -> Delivery:
    found = session.get(Delivery, delivery)
    if found is None or found.state not in states:
        raise PolicyRefused(
            "FG-SUB-22",
            "that delivery does not count any more",
            "See fieldgate deliveries list.",
        )
    return found


def _drop(session: Session, flow: Flow, found: Delivery) -> None:
    found.state, found.stood, found.replaced_by = "withdrawn", None, None
    found.content_hash = _no_bytes("withdrawn", found.id)
    found.decided_by, found.decided_at = flow.actor.user, flow.home.clock()
    detail = session.get(DeliveryDetail, found.id)
    if detail is not None:
        session.delete(detail)
    # Before another row may take the hash of the same bytes.
    session.flush()
    take_back(session, flow, found)


def _no_bytes(word: str, delivery: str) -> str:
    return hashlib.sha256(f"{word} {delivery}".encode()).hexdigest()
