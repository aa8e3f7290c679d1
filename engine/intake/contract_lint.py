"""What is wrong with a contract before any file comes: told all at once, by its own ids."""

from __future__ import annotations

from collections.abc import Iterator

from engine.intake.contract import Contract, FieldContract
from engine.intake.cross import RULES
from engine.intake.derive import example_problems


def contract_problems(contract: Contract) -> list[str]:
    """Return every problem of a contract, as sentences; nothing when it can be used."""
    return [
        *_checks(contract),
        *_sending(contract),
        *_window(contract),
        *_tables(contract),
        *_days(contract),
        *example_problems(contract),
    ]


def _checks(contract: Contract) -> Iterator[str]:
    tables = {one.id for one in contract.tables}
    seen: set[str] = set()
    for check in contract.checks:
        if check.id in seen:
            yield f"the check {check.id} stands twice"
        seen.add(check.id)
        if check.rule not in RULES:
            yield f"the check {check.id} names the rule {check.rule}, which there is not"
        named = [*check.fields, *(check.spec.get(one, "") for one in ("from", "to"))]
        for name in named:
            if name and name not in contract.fields:
                yield f"the check {check.id} names the field {name}, which there is not"
        for table in (check.table, check.spec.get("in", "")):
            if table and table not in tables:
                yield f"the check {check.id} names the table {table}, which there is not"


def _sending(contract: Contract) -> Iterator[str]:
    sending, tables = contract.sending, {one.id for one in contract.tables}
    for table, names in sending.row_key.items():
        if table not in tables:
            yield f"row_key names the table {table}, which there is not"
        for name in names:
            if name not in contract.fields:
                yield f"row_key names the field {name}, which there is not"
    for what, name in (
        ("window", sending.window),
        ("deleted", sending.deleted_field),
        ("merges.into", sending.merges.get("into", "")),
        ("merges.undone", sending.merges.get("undone", "")),
    ):
        if name and name not in contract.fields:
            yield f"delivery.{what} names the field {name}, which there is not"
    if sending.deleted_field and not sending.row_key:
        yield "delivery.deleted needs a row_key: a row without a name cannot be deleted"
    if sending.merges and sending.merges.get("table") not in tables:
        yield "delivery.merges names a table that there is not"


def _window(contract: Contract) -> Iterator[str]:
    sending = contract.sending
    if sending.mode != "window":
        return
    if not sending.window:
        yield "delivery.mode is window, and no field says which day a row has"
    spec = contract.fields.get(sending.window)
    if spec is not None and not spec.required:
        yield f"a row without {spec.name} lies in no window and could never be replaced: require it"
    for layout in contract.layouts:
        day = layout.fields.get(sending.window)
        if day is not None and (day.precision != "day" or _all_vague(day)):
            yield f"{sending.window} names no day in the layout {layout.id}, so no window can replace a row"


def _tables(contract: Contract) -> Iterator[str]:
    tables = {one.id for one in contract.tables}
    for spec in contract.fields.values():
        if spec.table and spec.table not in tables:
            yield f"the field {spec.name} stands in the table {spec.table}, which there is not"
        if spec.derive is not None and spec.derive.source not in contract.fields:
            yield f"the field {spec.name} is read from {spec.derive.source}, which there is not"
    if contract.fields[contract.key].table:
        yield "the key of the source must stand in every table"
    for rule in contract.yields:
        used = {contract.fields[name].table for name in rule.fields if name in contract.fields}
        if len(used - {""}) > 1:
            yield f"{rule.id} reads fields of several tables; a row is of one"


def _all_vague(spec: FieldContract) -> bool:
    vague = [one for one in spec.formats if "%d" not in one and "%j" not in one]
    return bool(vague) and len(vague) == len(spec.formats)


def _days(contract: Contract) -> Iterator[str]:
    """An event needs a day: what is known by month only can never be put beside a person."""
    for rule in contract.yields:
        name = rule.spec.get("day") or rule.spec.get("from")
        for layout in contract.layouts:
            spec = layout.fields.get(name or "")
            if spec is None:
                continue
            if _all_vague(spec):
                yield (
                    f"{rule.id} takes its day from {name}, whose dates name no day "
                    f"(layout {layout.id}): data by month is never linked to a person"
                )
