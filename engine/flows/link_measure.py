"""How well a run linked, over all records and for the newest deliveries that brought them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
from sqlmodel import Session, col, select

from engine.domain.ids import EPOCH
from engine.flows.encodings import encoder_of
from engine.flows.equality import NOT_KNOWN, groups_of, helped
from engine.flows.home import Home
from engine.flows.linkage_work import UNKNOWN_MONTH
from engine.linkage.artefacts import Model
from engine.linkage.decide import Linked
from engine.linkage.encode import COLUMNS
from engine.linkage.encodings import EncodedRecords
from engine.linkage.linker import keyed_frequencies
from engine.linkage.quality import COMMON, Frozen, quality
from engine.store.session import reading
from engine.store.tables import Delivery

_AGES = (
    (5, "under 5"),
    (11, "5 to 10"),
    (16, "11 to 15"),
    (18, "16 and 17"),
    (25, "18 to 24"),
    (65, "25 to 64"),
)
"""Age below which a band ends, and what it is called."""
MOST = 50
"""Deliveries that a run keeps a report of; the newest."""


def measured(home: Home, found: EncodedRecords, model: Model, linked: Linked) -> dict[str, Any]:
    """Return what a run says of how well it linked.

    Args:
        home: The home.
        found: The records that were linked.
        model: The frozen model.
        linked: What the run found.

    Returns:
        ``quality`` of the run, and ``delivery_quality``, by number, of the newest deliveries that
        brought its encodings.
    """
    encoder = encoder_of(home)
    shares = {
        name: Frozen(
            *keyed_frequencies(encoder, model, name, found.words[:, COLUMNS.index(name)]),
            sum(share for share in model.frequencies[name].values() if share >= COMMON),
        )
        for name in ("given", "surname")
    }
    records = home.domain("linkage").open(found.records)
    help_ = helped(home, records)
    stated = {
        "age": _ages(found.birth_months, home.clock().date()),
        "ethnic group": groups_of(home, records),
        **({} if help_.labels is None else {"means-tested help": help_.labels}),
    }
    numbers = _numbers(home, set(found.deliveries))
    order = sorted(set(found.deliveries), key=numbers.__getitem__)
    place = {name: at for at, name in enumerate(order)}
    came = np.array([place[one] for one in found.deliveries], np.int64)
    run, parts = quality(found.words, found.agencies, linked, shares, model.rare, stated, came)
    told = [(numbers[name], part) for name, part in zip(order, parts, strict=True)]
    return {
        "quality": {**run, "not_told": [help_.sentence()] if help_.closed else []},
        "delivery_quality": {str(number): part for number, part in told[-MOST:]},
    }


def _ages(months: Sequence[int], today: date) -> list[str]:
    """Return the age band of each record by its birth month; the day is not known here."""
    now = (today.year - EPOCH.year) * 12 + today.month - 1

    def band(month: int) -> str:
        if month == UNKNOWN_MONTH:
            return NOT_KNOWN
        years = (now - month) // 12
        return next((name for below, name in _AGES if years < below), "65 and over")

    named = {month: band(month) for month in set(months)}
    return [named[month] for month in months]


def _numbers(home: Home, deliveries: set[str]) -> dict[str, int]:
    with Session(reading(home.casework)) as session:
        return dict(
            session.execute(
                select(Delivery.id, Delivery.number).where(col(Delivery.id).in_(deliveries))
            ).all()
        )
