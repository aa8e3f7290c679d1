"""The levels of a source's fields: one compiled answer, against asking casbin field by field."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import gateways.load
import policies.load
from bench.measure import PEER, Claim
from policies.authorise import authorise, open_bases
from policies.model import Level, Pack, Request, Source
from policies.shadow import shadow_level

TODAY = date(2026, 11, 25)
TIMES = 10
FACTS = {"reason_given": True, "decision_recorded": True}
MET = frozenset({"justify", "case_ref"})
CHILD = {"child": "y", "protected": "n", "restricted": "n", "embargoed": "n"}
STATES: tuple[dict[str, str], ...] = (
    CHILD,
    {},
    {**CHILD, "child": "n"},
    {**CHILD, "protected": "y"},
    {**CHILD, "restricted": "y"},
    {**CHILD, "embargoed": "y"},
)
Levels = list[Level]


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    request = Request("social_worker", "council", "safeguard_child", FACTS)
    for name in ("council.persons", "police.occurrences"):
        source = pack.sources[name]
        # The peer is given the open bases, and its enforcers are built before the clock runs.
        bases = {
            field: open_bases(pack, request, source, spec, TODAY)[0]
            for field, spec in source.fields.items()
        }
        yield _claim(pack, request, source, bases)


def _claim(
    pack: Pack, request: Request, source: Source, bases: dict[str, list[tuple[str, str]]]
) -> Claim:
    def casbin() -> Levels:
        return [
            shadow_level(pack, request, source, name, state, bases[name])
            for _ in range(TIMES)
            for state in STATES
            for name in source.fields
        ]

    def ours() -> Levels:
        found: Levels = []
        for _ in range(TIMES):
            view = authorise(pack, request, source.id, source.fields, TODAY, MET)
            found.extend(view.level(name, state) for state in STATES for name in source.fields)
        return found

    return Claim(
        f"authorise, {TIMES} x {source.id}: {len(source.fields)} fields, {len(STATES)} states",
        "casbin, one enforcer a field",
        PEER,
        casbin,
        ours,
        lambda theirs, mine: theirs == mine and max(mine) > Level.REFUSE,
    )
