"""Who the records were before a run, and whose place on a list is open: they are not changed unasked."""

from __future__ import annotations

import numpy as np
from sqlmodel import Session, col, select

from engine.flows.home import Home
from engine.linkage.encodings import EncodedRecords
from engine.linkage.hold import SPLIT, Known
from engine.linkage.index import review_pairs
from engine.store.session import reading
from engine.store.tables import ReviewItem, ScoreRun


def known_people(home: Home, found: EncodedRecords, before: dict[bytes, bytes]) -> Known:
    """Return who the records were, and who of them has an open place on a list of a newest run.

    The newest run of each purpose counts (ADR 0016).

    Whom the run before kept whole stays so while their newest place is open: that they dropped off the
    list since, because nobody was sure of them, is no answer.
    """
    people = {person: number for number, person in enumerate(sorted(set(before.values())), 1)}
    numbers = [people.get(before.get(record, b""), 0) for record in found.records]
    casework, runs = home.domain("casework"), home.link_runs()
    asked = review_pairs(home.linkage, runs[-1]) if runs else []
    kept = {before.get(one.left, b"") for one in asked if one.reason == SPLIT}
    with Session(reading(home.casework)) as session:
        order = select(ScoreRun.id, ScoreRun.purpose).order_by(col(ScoreRun.number))
        newest = {purpose: run for run, purpose in session.execute(order).all()}
        waiting = session.exec(
            select(ReviewItem.person).where(
                col(ReviewItem.run).in_(sorted(newest.values())),
                col(ReviewItem.decided_by).is_(None),
            )
        ).all()
        places = session.execute(
            select(ReviewItem.person, ReviewItem.decided_by, ScoreRun.purpose)
            .join(ScoreRun, col(ScoreRun.id) == col(ReviewItem.run))
            .order_by(col(ScoreRun.number))
        ).all() if kept else []  # fmt: skip
    # Of several runs the newest that has a place of theirs: an older one can be decided no more.
    last = {(person, purpose): decided for person, decided, purpose in places}
    waiting = [
        *waiting,
        *(
            one
            for (one, _), decided in last.items()
            if decided is None and casework.parse(one) in kept
        ),
    ]
    alerted = {people.get(casework.parse(one), 0) for one in waiting} - {0}
    return Known(np.array(numbers, np.int64), frozenset(alerted))
