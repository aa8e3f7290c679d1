"""``python -m bench [group ...]``: measure every claim and print one table.

Ends with 1 when results disagree and with 2 for an unknown group; never because of a time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from bench import (
    audit_search,
    encode,
    exposure,
    increment,
    intake,
    intake_census,
    intake_wide,
    linkage,
    memory,
    merkle,
    policy,
    pseudonyms,
    receipts,
    rfg,
)
from bench.measure import Claim, Measured, heading, measure, table

GROUPS: dict[str, Callable[[], Iterator[Claim]]] = {
    "pseudonyms": pseudonyms.claims,
    "merkle": merkle.claims,
    "receipts": receipts.claims,
    "audit_search": audit_search.claims,
    "rfg": rfg.claims,
    "exposure": exposure.claims,
    "increment": increment.claims,
    "encode": encode.claims,
    "linkage": linkage.claims,
    "intake": intake.claims,
    "intake_wide": intake_wide.claims,
    "intake_census": intake_census.claims,
    "policy": policy.claims,
}
MEMORY = "memory"


def main(names: Sequence[str]) -> int:
    """Measure the named groups, or all of them."""
    unknown = sorted(set(names) - {*GROUPS, MEMORY})
    if unknown:
        known = ", ".join([*GROUPS, MEMORY])
        print(f"unknown group {unknown[0]}; there are {known}", file=sys.stderr)
        return 2
    lines = heading()
    rows: list[Measured] = []
    for name in [one for one in names if one != MEMORY] if names else GROUPS:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        rows.extend(measure(claim) for claim in GROUPS[name]())
    print("\n".join([*lines, "", *table(rows)]))
    if not names or MEMORY in names:
        print("\n".join(["", *memory.lines()]))
    return 0 if all(row.agreed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
