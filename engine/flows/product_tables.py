"""What the tables make beyond what a product declares: then the product is not what it says it is."""

from __future__ import annotations

import numpy as np

from policies.model import Product
from scoring.tables import TRACKS, Tables


def beyond(product: Product, tables: Tables) -> list[str]:
    """Return what the tables of scoring make of a theme and its product does not declare; sorted.

    A release is of what stands in the product's file: evidence, links, tracks and lists. A table that
    gives points to more, passes risk along more, or makes another list, is another product.

    Args:
        product: The product of the theme.
        tables: The tables that runs are made with.
    """
    if product.theme not in tables.themes:
        return []
    theme, kinds = tables.themes.index(product.theme), tables.kind_by_id()
    found: set[str] = set()
    tracks, numbers = np.nonzero(tables.gamma[theme].any(axis=(2, 3)))
    for track, number in zip(tracks.tolist(), numbers.tolist(), strict=True):
        if kinds[number].name not in product.evidence:
            found.add(f"points for {kinds[number].name}")
        if TRACKS[track] not in product.tracks:
            found.add(f"points on the track {TRACKS[track]}")
    for link in tables.links:
        if link.omega and link.tracks and link.name not in product.links:
            found.add(f"risk along {link.name}")
    for rule in (one for one in tables.lists if one.theme == product.theme):
        if rule.id not in product.lists:
            found.add(f"the list {rule.id}")
        if product.tracks.get(rule.track) not in ("any", rule.age):
            found.add(f"the list {rule.id} of {rule.age} by the track {rule.track}")
    return sorted(found)
