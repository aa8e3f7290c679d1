"""A product is what its file says: tables that make more of its theme are another product."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import gateways.load
import policies.load
from engine.flows.product_tables import beyond
from scoring.tables import ListRule, load_tables, shipped

PACK = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
TABLES = load_tables(shipped())
CSE = PACK.products["cse"]


def test_what_ships_makes_no_more_than_its_products_declare() -> None:
    assert not any(beyond(one, TABLES) for one in PACK.products.values())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evidence": ("cse_flag", "sexual_offence")}, ["points for missing_episode"]),
        ({"links": tuple(one for one in CSE.links if one != "household")}, ["risk along household"]),
        ({"lists": ("cse.harmed", "cse.increasing")}, ["the list cse.emerging"]),
        ({"tracks": {"harmed": "under18"}}, ["points on the track harming"]),
        (
            {"tracks": {"harmed": "over18", "harming": "any"}},
            [f"the list cse.{name} of under18 by the track harmed"
             for name in ("emerging", "harmed", "increasing")],
        ),
    ],
)  # fmt: skip
def test_each_thing_that_a_product_leaves_out_is_named(
    changes: dict[str, Any], said: list[str]
) -> None:
    assert beyond(replace(CSE, **changes), TABLES) == said


def test_a_list_of_adults_by_harm_suffered_needs_a_track_of_any_age() -> None:
    adults = ListRule("cse.adults", "cse", "harmed", "over18", "Adults", 5)
    tables = replace(TABLES, lists=(*TABLES.lists, adults))
    assert beyond(CSE, tables) == [
        "the list cse.adults",
        "the list cse.adults of over18 by the track harmed",
    ]
    wide = replace(
        CSE, lists=(*CSE.lists, "cse.adults"), tracks={"harmed": "any", "harming": "any"}
    )
    assert beyond(wide, tables) == []
