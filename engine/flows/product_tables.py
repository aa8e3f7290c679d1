"""What a run of a purpose may make, and what the tables make beyond what a product declares.

A run serves one purpose (ADR 0016): its themes are those of the products of that purpose, its links those
that they declare, and nothing else of the tables takes part.
"""

from __future__ import annotations

import numpy as np

from policies.model import Pack, Product
from scoring.tables import TRACKS, Tables, narrowed

PURPOSE = "safeguard_child"
"""The purpose of runs, lists and pages where no product serves the purpose of whoever looks."""


def products_of(pack: Pack, tables: Tables, purpose: str) -> list[Product]:
    """Return the products that make lists for a purpose and have points, by id."""
    return [
        one
        for _, one in sorted(pack.products.items())
        if one.kind == "list" and one.purpose == purpose and one.theme in tables.themes
    ]


def run_purposes(pack: Pack, tables: Tables) -> list[str]:
    """Return the purposes of which runs are made, `PURPOSE` first."""
    found = {one.purpose for one in pack.products.values() if one.theme in tables.themes
             and one.kind == "list"}  # fmt: skip
    return sorted(found, key=lambda one: (one != PURPOSE, one))


def run_purpose(pack: Pack, tables: Tables, purpose: str) -> str:
    """Return the purpose of the runs that somebody with a purpose is shown."""
    return purpose if purpose in run_purposes(pack, tables) else PURPOSE


def themes_of(pack: Pack, tables: Tables, purpose: str) -> list[str]:
    """Return the themes of a run of a purpose, in the order of the tables."""
    mine = {one.theme for one in products_of(pack, tables, purpose)}
    return [one for one in tables.themes if one in mine]


def told_themes(pack: Pack, tables: Tables, purpose: str) -> list[str]:
    """Return the themes that pages for a purpose speak of, also to say that nothing is shown of one.

    A theme of another purpose is not spoken of. One that no product covers is told where safeguarding is.
    """
    covered = {one.theme for one in pack.products.values() if one.kind == "list"}
    mine = set(themes_of(pack, tables, purpose))
    return [one for one in tables.themes if one in mine
            or (purpose == PURPOSE and one not in covered)]  # fmt: skip


def links_of(pack: Pack, tables: Tables, purpose: str) -> list[str]:
    """Return the kinds of links of a run of a purpose, in the order of the tables."""
    mine = {name for one in products_of(pack, tables, purpose) for name in one.links}
    return [one.name for one in tables.links if one.name in mine]


def run_tables(pack: Pack, tables: Tables, purpose: str) -> Tables:
    """Return what of the tables a run of a purpose uses."""
    return narrowed(tables, themes_of(pack, tables, purpose), links_of(pack, tables, purpose))


def derived_source(pack: Pack, purpose: str, name: str) -> str:
    """Return the source of derived data that holds a field for a purpose, "" when there is none.

    Args:
        pack: The policy.
        purpose: Purpose of the run.
        name: The field, ``score`` for example.
    """
    return next(
        (
            source.id
            for _, source in sorted(pack.sources.items())
            if source.derived_from
            and name in source.fields
            and purpose in source.fields[name].purposes
        ),
        "",
    )


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
