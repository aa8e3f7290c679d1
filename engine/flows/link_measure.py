"""How well a run linked, over all records and for the newest deliveries that brought them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sqlmodel import Session, col, select

from engine.flows.encodings import encoder_of
from engine.flows.equality import groups_of
from engine.flows.home import Home
from engine.linkage.artefacts import Model
from engine.linkage.decide import Linked
from engine.linkage.encode import COLUMNS
from engine.linkage.encodings import EncodedRecords
from engine.linkage.linker import keyed_frequencies
from engine.linkage.quality import COMMON, Frozen, quality
from engine.store.session import reading
from engine.store.tables import Delivery

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
    stated = {"ethnic group": groups_of(home, home.domain("linkage").open(found.records))}
    numbers = _numbers(home, set(found.deliveries))
    order = sorted(set(found.deliveries), key=numbers.__getitem__)
    place = {name: at for at, name in enumerate(order)}
    came = np.array([place[one] for one in found.deliveries], np.int64)
    run, parts = quality(found.words, found.agencies, linked, shares, model.rare, stated, came)
    told = [(numbers[name], part) for name, part in zip(order, parts, strict=True)]
    return {
        "quality": run,
        "delivery_quality": {str(number): part for number, part in told[-MOST:]},
    }


def _numbers(home: Home, deliveries: set[str]) -> dict[str, int]:
    with Session(reading(home.casework)) as session:
        return dict(
            session.execute(
                select(Delivery.id, Delivery.number).where(col(Delivery.id).in_(deliveries))
            ).all()
        )
