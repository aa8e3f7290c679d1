"""How well a run linked, over all records and for each delivery that is new in it."""

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
from engine.linkage.quality import COMMON, Frozen, quality, quality_of
from engine.store.session import reading
from engine.store.tables import Delivery, LinkRun


def measured(
    home: Home, found: EncodedRecords, model: Model, linked: Linked, runs: list[str]
) -> dict[str, Any]:
    """Return what a run says of how well it linked.

    Args:
        home: The home.
        found: The records that were linked.
        model: The frozen model.
        linked: What the run found.
        runs: The runs before.

    Returns:
        ``quality`` of the run; ``deliveries``, the numbers of those that brought its encodings; and
        ``delivery_quality``, by number, of those that the run before did not have.
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
    frame = (found.words, found.agencies, linked, shares, model.rare, stated)
    numbers, before = _numbers(home, set(found.deliveries), runs)
    came = np.array([numbers[one] for one in found.deliveries], np.int64)
    return {
        "quality": quality(*frame),
        "deliveries": sorted(numbers.values()),
        "delivery_quality": {
            str(number): quality_of(came == number, *frame)
            for number in sorted(set(numbers.values()) - before)
        },
    }


def _numbers(home: Home, deliveries: set[str], runs: list[str]) -> tuple[dict[str, int], set[int]]:
    """Return the number of each delivery, and those that the run before had."""
    with Session(reading(home.casework)) as session:
        numbers = dict(
            session.execute(
                select(Delivery.id, Delivery.number).where(col(Delivery.id).in_(deliveries))
            ).all()
        )
        newest = session.get(LinkRun, runs[-1]) if runs else None
        before = set(newest.summary.get("deliveries", ())) if newest is not None else set()
    return numbers, before
