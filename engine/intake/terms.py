"""What a delivery is prepared by: its contract, what may enter today, and the words of the scoring tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from engine.intake.contract import Contract
from policies.admit import Admission, admit
from policies.model import Pack
from scoring.tables import Tables


@dataclass(frozen=True)
class Intake:
    """Everything a delivery is prepared with.

    Attributes:
        kinds: Kind name to its number (scoring tables).
        roles: Role name to its number.
        today: Date of the delivery; also the recorded date where the contract names none.
        arrow: Called with the name of each arrow as it is passed, for spans and fault points.
        history: Whether this is a back-load: what it tells is recorded as on its own day.
        key: A random key of this delivery, for hashes of repaired values.
    """

    pack: Pack
    contract: Contract
    admission: Admission
    today: date
    kinds: Mapping[str, int]
    roles: Mapping[str, int]
    arrow: Callable[[str], None]
    history: bool = False
    key: bytes = field(default=b"", repr=False)


def intake_for(
    pack: Pack,
    contract: Contract,
    present: Sequence[str],
    tables: Tables,
    today: date,
    *,
    arrow: Callable[[str], None] = lambda _: None,
    history: bool = False,
    key: bytes = b"",
) -> Intake:
    """Return what a delivery is prepared with: its fields are asked of the policy, as at its day.

    Args:
        pack: The policy.
        contract: The contract of its source, whose agency sends.
        present: Fields that its files hold.
        tables: The scoring tables, for the numbers of kinds and roles.
        today: Date of the delivery.
        arrow: As in `Intake`.
        history: As in `Intake`.
        key: As in `Intake`.
    """
    answer = admit(
        pack,
        from_agency=contract.agency,
        host=pack.vocabulary.host,
        source=contract.source,
        fields=used_fields(contract, present),
        as_of=today,
    )
    kinds = {kind.name: kind.id for kind in tables.kinds.values()}
    return Intake(
        pack, contract, answer, today, kinds, tables.roles, arrow, history=history, key=key
    )


def used_fields(contract: Contract, present: Sequence[str]) -> list[str]:
    """Return the fields of a delivery in contract order: those in the file, and what is read from them."""
    there = set(present)
    return [
        spec.name
        for spec in contract.fields.values()
        if spec.name in there
        or (spec.type == "derived" and spec.name == contract.key)
        or (spec.derive is not None and spec.derive.source in there)
    ]
