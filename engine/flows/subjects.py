"""Whom a bulk event is about: how many people, and one root over their names in the trail (DPA 2018 s.62).

The event of a delivery, a run or a list names no person. It holds the root of a Merkle tree over their
audit pseudonyms in order, so that whoever may know the people can prove who was in it and who was not, and
nobody else learns anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from audit.merkle import leaf_hash, root_of
from engine.flows.home import Home


def bulk_subjects(home: Home, ids: Iterable[bytes]) -> dict[str, Any]:
    """Return the ``subjects`` of an event: their count and the root over them.

    Args:
        home: The home.
        ids: Ids of the people or records, as they are under no domain; one that comes twice counts once.
    """
    names = sorted(home.domain("audit").seal(sorted(set(ids))))
    return {"count": len(names), "root": root_of([leaf_hash(one) for one in names]).hex()}
