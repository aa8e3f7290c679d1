"""Feed reading with bytes that coverage leads to: ``make fuzz``.

Whatever comes, reading ends with an answer or with an error of ours, and rows in are rows kept and
dropped. The first byte chooses the format's source.
"""

from __future__ import annotations

import io
import sys
from datetime import date
from typing import Any

SOURCES = ("council.persons", "council.cin_census", "council.annex_a", "schools.class_list")
TODAY = date(2026, 11, 25)


def target() -> Any:
    """Return the function that is fed; what it needs is imported here, so that it is instrumented."""
    import gateways.load
    import policies.load
    from engine.domain.errors import FieldgateError
    from engine.intake.contract import contract_of
    from engine.intake.package import members_of
    from engine.intake.prepare import Intake, minimised, used_fields
    from engine.intake.read import open_delivery
    from engine.intake.tally import Tally
    from policies import admit
    from scoring.tables import load_tables, shipped

    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    tables = load_tables(shipped())
    kinds = {kind.name: kind.id for kind in tables.kinds.values()}

    def feed(data: bytes) -> None:
        contract = contract_of(pack.sources[SOURCES[(data[:1] or b"\0")[0] % len(SOURCES)]])
        tally = Tally()
        try:
            opened = open_delivery(members_of([("upload", io.BytesIO(data[1:]))]), contract)
            answer = admit(
                pack, from_agency=contract.agency, host="council", source=contract.source,
                fields=used_fields(contract, opened.present), as_of=TODAY,
            )  # fmt: skip
            intake = Intake(pack, contract, answer, contract.agency, "council", TODAY, kinds,
                            tables.roles, str)  # fmt: skip
            kept = sum(len(one.lines) for one in minimised(opened, intake, tally))
        except FieldgateError:
            return
        counts = tally.tables.values()
        if sum(one["in"] for one in counts) != kept + sum(tally.dropped.values()):
            raise AssertionError("rows do not reconcile")

    return feed


def main() -> None:
    """Run until the time that the arguments give is over."""
    import atheris

    with atheris.instrument_imports(include=["engine.intake"]):
        feed = target()
    atheris.Setup(sys.argv, feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
