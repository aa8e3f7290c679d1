"""The places of a person on review lists, whatever the person was called when they were made."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import Session, col, select

from engine.domain.ids import as_utc
from engine.flows.home import Home
from engine.linkage.index import resolve
from engine.store.tables import ReviewItem, ScoreRun

OPENING = ("accept", "watch")
"""Outcomes after which somebody drawn from below the line may be identified (T-GM5)."""


def places_of(home: Home, session: Session, person: bytes, purpose: str) -> list[ReviewItem]:
    """Return a person's places in the newest run of a purpose that has any of theirs, redirects followed.

    A run that is older than the cool-down is left out: what it drew binds nobody any more.

    Args:
        home: The home.
        session: Where they are read, inside a commit too.
        person: The person, redirects followed.
        purpose: Purpose of the runs: what was drawn for one purpose binds nobody under another.
    """
    since = home.clock() - timedelta(days=home.tables.cool_down_days)
    asked = select(ScoreRun).where(ScoreRun.purpose == purpose)
    runs = session.exec(asked.order_by(col(ScoreRun.number).desc())).all()
    recent = [one.id for one in runs if as_utc(one.published_at) >= since]
    items = session.exec(select(ReviewItem).where(col(ReviewItem.run).in_(recent))).all()
    casework, link_runs = home.domain("casework"), home.link_runs()
    own = casework.text(casework.seal([person])[0])
    names = {one.person for one in items} - {own}
    # Only a merge gives somebody another name, so that few of them have to be followed.
    mine = {own} | {
        name for name in names if resolve(home.linkage, casework.parse(name), link_runs) == person
    }
    for run in recent:
        found = [one for one in items if one.run == run and one.person in mine]
        if found:
            return found
    return []


def without_name(items: list[ReviewItem]) -> bool:
    """Say whether these places leave somebody without a name: drawn from below the line, no view yet."""
    return bool(items) and all(one.blind and one.outcome not in OPENING for one in items)
