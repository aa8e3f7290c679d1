"""A product is what its file says: tables that make more of its theme are another product."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import gateways.load
import policies.load
from engine.flows.product_tables import (
    PURPOSE,
    beyond,
    derived_source,
    run_purpose,
    run_purposes,
    run_tables,
    themes_of,
)
from scoring.errors import ScoringFault
from scoring.tables import (
    AGE_UNDER_18,
    AGE_UNKNOWN,
    TRACKS,
    ListRule,
    load_tables,
    narrowed,
    shipped,
)

PACK = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
TABLES = load_tables(shipped())
CSE = PACK.products["cse"]
VIOLENCE = "serious_violence_prevention"


def test_what_ships_makes_no_more_than_its_products_declare() -> None:
    for one in PACK.products.values():
        assert not beyond(one, run_tables(PACK, TABLES, one.purpose))


def test_a_run_has_the_themes_links_and_lists_of_its_purpose_and_no_points_of_another() -> None:
    assert run_purposes(PACK, TABLES) == [PURPOSE, VIOLENCE]
    assert themes_of(PACK, TABLES, PURPOSE) == ["cse", "cce"]
    assert themes_of(PACK, TABLES, VIOLENCE) == ["serious_violence"]
    assert themes_of(PACK, TABLES, "crime_prevention") == []
    assert run_purpose(PACK, TABLES, "crime_prevention") == PURPOSE
    mine = run_tables(PACK, TABLES, VIOLENCE)
    assert {one.name for one in mine.links} == {"suspects_together", "missing_together"}
    assert {one.theme for one in mine.lists} == {"serious_violence"}
    place = TABLES.themes.index("serious_violence")
    assert mine.gamma[place].any()
    assert not mine.gamma[[n for n in range(len(TABLES.themes)) if n != place]].any()
    # The tables are the same tables: a run of any purpose names one version of them.
    assert mine.hash == TABLES.hash
    first = run_tables(PACK, TABLES, PURPOSE)
    assert not first.gamma[place].any()
    assert len(first.links) == len(TABLES.links)
    # A child is never scored as somebody who may do violence, whoever suspects them.
    harming = mine.gamma[place, TRACKS.index("harming")]
    assert not harming[:, :, [AGE_UNKNOWN, AGE_UNDER_18]].any()


@pytest.mark.finding("LAW-11")
def test_what_serious_violence_makes_stands_apart_and_has_nothing_of_health_or_care_behind_it() -> (
    None
):
    names = ("review_list", "score", "contributions", "associates", "group")
    assert {derived_source(PACK, VIOLENCE, one) for one in names} == {"engine.violence"}
    assert derived_source(PACK, PURPOSE, "score") == "engine.scores"
    assert derived_source(PACK, VIOLENCE, "indicators") == ""
    barred = set(PACK.register.gateways["pcsc2022.s16"].deny)
    assert not PACK.sources["engine.violence"].inputs & barred
    assert (
        PACK.sources["engine.scores"].inputs & barred
    )  # Which is why it may not be the same source.


def test_a_run_is_not_made_with_less_than_was_asked() -> None:
    for themes, links in ((["cse", "another"], []), (["cse"], ["another"])):
        with pytest.raises(ScoringFault, match="FG-RUN-01"):
            narrowed(TABLES, themes, links)


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
