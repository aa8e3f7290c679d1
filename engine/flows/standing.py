"""Which deliveries stand: one takes the place of another, is taken back, and gives the place back.

What a correction replaced does not count and is kept, so that withdrawing the correction leaves things as
if it had never been sent. It goes for good when somebody withdraws it as well.
"""

from __future__ import annotations

import hashlib

from sqlmodel import Session, col, select

from engine.domain.errors import PolicyRefused
from engine.flows.intent import Flow
from engine.flows.stated import settle_words, take_back
from engine.store.tables import Delivery, DeliveryDetail

STANDS = ("accepted", "paused")
KEPT = (*STANDS, "replaced")


def corrected(session: Session, delivery: str | None) -> list[str]:
    """Return what a correction replaces: a delivery, and what that one was to correct while it waits."""
    found: list[str] = []
    while delivery is not None and delivery not in found:
        one = session.get(Delivery, delivery)
        if one is None or one.state not in STANDS:
            break
        found.append(delivery)
        delivery = one.receipt.get("replaces") if one.state == "paused" else None
    return found


def replace_row(session: Session, delivery: str, flow: Flow, by: str) -> None:
    """Let a delivery count no more because another one took its place; nothing of it is destroyed.

    Its bytes may be sent again afterwards, as what corrects the correction.

    Args:
        session: The transaction.
        delivery: What is replaced.
        flow: The flow that publishes the correction.
        by: The correction.

    Raises:
        PolicyRefused: ``FG-SUB-22`` it was withdrawn, refused or replaced meanwhile.
    """
    found = _standing(session, delivery, STANDS)
    found.stood, found.state, found.replaced_by = found.state, "replaced", by
    found.content_hash = _no_bytes("replaced", found.id)
    settle_words(session, flow, found)


def withdraw_row(session: Session, delivery: str, flow: Flow) -> list[int]:
    """Mark a delivery as withdrawn and let what it replaced stand as it did before.

    Of a delivery that is itself replaced, the successor holds from then on what it had replaced.

    Args:
        session: The transaction.
        delivery: What is withdrawn; its bytes may be sent again afterwards.
        flow: The flow that withdraws it.

    Returns:
        The numbers of what stands again.

    Raises:
        PolicyRefused: ``FG-SUB-22`` it was withdrawn or refused meanwhile.
    """
    found = _standing(session, delivery, KEPT)
    successor, held, back = (
        found.replaced_by,
        replaced_of(session, found),
        comes_back(session, found),
    )
    _drop(session, flow, found)
    for one in held:
        if successor is not None:
            one.replaced_by = successor
        elif one in back:
            one.state, one.stood, one.replaced_by = one.stood or "accepted", None, None
            one.content_hash = one.receipt["content_sha256"]
            settle_words(session, flow, one)
        else:
            _drop(session, flow, one)
    return [one.number for one in back]


def replaced_of(session: Session, found: Delivery) -> list[Delivery]:
    """Return what a delivery has replaced, the oldest first."""
    query = select(Delivery).where(Delivery.replaced_by == found.id)
    return list(session.exec(query.order_by(col(Delivery.number))).all())


def comes_back(session: Session, found: Delivery) -> list[Delivery]:
    """Return what stands again once a delivery is withdrawn, the oldest first.

    What was sent anew meanwhile does not come back: it would count twice.
    """
    if found.replaced_by is not None:
        return []
    return [
        one
        for one in replaced_of(session, found)
        if (anew := same_bytes(session, one.agency, one.source, one.receipt["content_sha256"]))
        is None
        or anew.id == found.id
    ]


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
