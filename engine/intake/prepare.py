"""From checked rows to what may be kept: admit, minimise, and turn content into events and states.

Nothing that has no open gateway leaves this module. What an event keeps of a row is its kind, role,
dates and a keyed group; the cells themselves are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from engine.domain.errors import GatewayError, RowsRefused
from engine.domain.ids import day_number, whole_years
from engine.domain.records import Prepared, RowFinding
from engine.intake.check import Findings, Value, check_column
from engine.intake.contract import Contract, FieldContract, Yield
from engine.intake.read import Batch, Opened
from policies.admit import Admission, row_findings
from policies.model import Pack

OPEN_END = 2**31 - 1


@dataclass(frozen=True)
class Intake:
    """Everything a delivery is prepared with.

    Attributes:
        kinds: Kind name to its number (scoring tables).
        roles: Role name to its number.
        today: Date of the delivery; also the recorded date where the contract names none.
        arrow: Called with the name of each arrow as it is passed, for spans and fault points.
    """

    pack: Pack
    contract: Contract
    admission: Admission
    from_agency: str
    host: str
    today: date
    kinds: Mapping[str, int]
    roles: Mapping[str, int]
    arrow: Callable[[str], None]


def require_open(intake: Intake) -> None:
    """Refuse the delivery when nothing may enter, or the field that names its people may not.

    Raises:
        GatewayError: ``FG-GATE-11`` with every reason of every field.
    """
    answer = intake.admission
    key = intake.contract.key
    if answer.admitted and (key not in answer.fields or answer.fields[key].admitted):
        return
    reasons = list(
        dict.fromkeys(
            f"{reason.code} {reason.sentence}"
            for field in answer.fields.values()
            for reason in field.reasons
        )
    )
    raise GatewayError(
        "FG-GATE-11",
        f"no gateway and agreement are open for {answer.source} today, so nothing was taken",
        "Ask the information governance lead which agreement should cover it.",
        reasons,
    )


def prepare(opened: Opened, intake: Intake) -> Prepared:
    """Read every batch and return what may be kept.

    Raises:
        GatewayError: ``FG-GATE-11`` nothing may enter.
        RowsRefused: ``FG-SUB-11`` more rows have errors than the contract allows, or no row is left;
            the findings are attached.
    """
    require_open(intake)
    prepared = Prepared(
        layout=opened.layout, encoding=opened.encoding, columns_unknown=opened.unknown
    )
    _describe_fields(prepared, intake)
    findings = Findings()
    records: dict[str, int] = {}
    parts = [
        spec.part
        for spec in intake.contract.fields.values()
        if spec.part and spec.name in intake.admission.admitted
    ]
    prepared.identities = {part: [] for part in dict.fromkeys(parts)}
    for batch in opened.batches:
        intake.arrow("check")
        kept = _check_batch(batch, intake, findings, prepared)
        intake.arrow("minimise")
        _minimise(kept, intake, prepared)
        _add_records(kept, intake, records, prepared)
    prepared.local_keys = list(records)
    prepared.findings = findings.groups()
    if prepared.rows_in != prepared.rows_kept + sum(prepared.dropped.values()):
        raise AssertionError("rows do not reconcile")
    _refuse_bad(prepared, intake)
    return prepared


@dataclass
class _Kept:
    rows: list[int]
    columns: dict[str, list[Value]]


def _describe_fields(prepared: Prepared, intake: Intake) -> None:
    answer = intake.admission
    prepared.fields_kept = answer.admitted
    prepared.purposes = {name: list(answer.fields[name].purposes) for name in answer.admitted}
    for name in answer.refused:
        label = intake.contract.fields[name].label
        prepared.fields_dropped[label] = [
            f"{reason.code} {reason.sentence}" for reason in answer.fields[name].reasons
        ]


def _check_batch(batch: Batch, intake: Intake, findings: Findings, prepared: Prepared) -> _Kept:
    found = [RowFinding(row, "(row)", "FG-ROW-13", "error") for row in batch.ragged]
    columns: dict[str, list[Value]] = {}
    for name, values in batch.columns.items():
        spec = intake.contract.fields[name]
        columns[name], more = check_column(values, batch.rows, spec, intake.today)
        found.extend(more)
    findings.add(found)
    first_error: dict[int, str] = {}
    for finding in found:
        if finding.severity == "error":
            first_error.setdefault(finding.row, finding.code)
    keep = [row not in first_error for row in batch.rows]
    prepared.rows_in += len(batch.rows) + len(batch.ragged) + batch.blank
    prepared.rows_kept += sum(keep)
    for code in first_error.values():
        prepared.dropped[code] = prepared.dropped.get(code, 0) + 1
    if batch.blank:
        prepared.dropped["blank"] = prepared.dropped.get("blank", 0) + batch.blank
    return _Kept(
        [row for row, good in zip(batch.rows, keep, strict=True) if good],
        {
            name: [value for value, good in zip(values, keep, strict=True) if good]
            for name, values in columns.items()
        },
    )


def _minimise(kept: _Kept, intake: Intake, prepared: Prepared) -> None:
    """Drop columns without an open gateway, and cells that a condition of the row closes."""
    for name in intake.admission.refused:
        kept.columns.pop(name, None)
    born = kept.columns.get("birth_date") or [None] * len(kept.rows)
    for name, answer in intake.admission.fields.items():
        if not answer.row_bases or name not in kept.columns:
            continue
        closed: dict[int | None, bool] = {}
        values = kept.columns[name]
        for number, value in enumerate(values):
            if value is None:
                continue
            age = _age(born[number], intake.today)
            if age not in closed:
                closed[age] = bool(
                    row_findings(
                        intake.pack,
                        intake.admission,
                        name,
                        {"age_years": age},
                        host=intake.host,
                        as_of=intake.today,
                    )
                )
            if closed[age]:
                values[number] = None
                prepared.cells_closed[name] = prepared.cells_closed.get(name, 0) + 1


def _age(born: Value, today: date) -> int | None:
    return whole_years(date.fromisoformat(born), today) if born else None


def _add_records(kept: _Kept, intake: Intake, records: dict[str, int], prepared: Prepared) -> None:
    keys = _local_keys(kept, intake.contract)
    numbers = []
    for key in keys:
        if key not in records:
            records[key] = len(records)
            for column in prepared.identities.values():
                column.append(None)
        numbers.append(records[key])
    for spec in intake.contract.fields.values():
        if spec.part and spec.part in prepared.identities and spec.name in kept.columns:
            column = prepared.identities[spec.part]
            for number, value in zip(numbers, kept.columns[spec.name], strict=True):
                if value is not None:
                    column[number] = value  # The last row of a file about a person wins.
    for rule in intake.contract.yields:
        _apply_yield(rule, kept, numbers, intake, prepared)


def _local_keys(kept: _Kept, contract: Contract) -> list[str]:
    key = contract.fields[contract.key]
    if key.type != "derived":
        return [value or "" for value in kept.columns[key.name]]
    # A list without ids of its own: the identity as sent stands in for a local key.
    parts = [
        kept.columns[spec.name]
        for spec in contract.fields.values()
        if spec.part in ("given_name", "surname", "birth_date") and spec.name in kept.columns
    ]
    return [
        "\x1f".join((value or "").casefold() for value in row) for row in zip(*parts, strict=True)
    ]


def _apply_yield(
    rule: Yield, kept: _Kept, numbers: Sequence[int], intake: Intake, prepared: Prepared
) -> None:
    """Turn rows into events, states or flags; a closed field yields nothing."""
    if not rule.fields <= set(intake.admission.admitted):
        prepared.not_yielded[rule.id] = prepared.not_yielded.get(rule.id, 0) + len(numbers)
        return
    made = 0
    for place, number in enumerate(numbers):
        if not _holds(rule, kept, place):
            continue
        if rule.kind == "event":
            made += _event(rule, kept, place, number, intake, prepared)
        elif rule.kind == "state":
            made += _state(rule, kept, place, number, intake, prepared)
        else:
            value = _cell(kept, rule.spec["field"], place)
            if value in ("yes", "no"):
                flag = "y" if value == "yes" else "n"
                prepared.flags.append((number, rule.spec["name"], flag))
                made += 1
    if made < len(numbers):
        prepared.not_yielded[rule.id] = prepared.not_yielded.get(rule.id, 0) + len(numbers) - made


def _cell(kept: _Kept, name: str | None, place: int) -> Value:
    column = kept.columns.get(name or "")
    return column[place] if column else None


def _holds(rule: Yield, kept: _Kept, place: int) -> bool:
    when = rule.when
    if "in" in when:
        return _cell(kept, when["field"], place) in when["in"]
    if "ratio" in when:
        part, whole = (_cell(kept, name, place) for name in when["ratio"])
        if not part or not whole or int(whole) == 0:
            return False
        return int(part) * 1000 < int(whole) * int(when["below_thousandths"])
    return True


def _word(spec: str | Mapping[str, object], kept: _Kept, place: int) -> str | None:
    if isinstance(spec, str):
        return spec
    mapping = spec["map"]
    value = _cell(kept, str(spec["field"]), place)
    return mapping.get(value or "") if isinstance(mapping, Mapping) else None


def _day(text: Value) -> int | None:
    return day_number(date.fromisoformat(text)) if text else None


def _event(
    rule: Yield,
    kept: _Kept,
    place: int,
    number: int,
    intake: Intake,
    prepared: Prepared,
) -> int:
    kind = _word(rule.spec["kind"], kept, place)
    role = _word(rule.spec["role"], kept, place)
    day = _day(_cell(kept, rule.spec["day"], place))
    if kind is None or role is None or day is None:
        return 0
    recorded = _day(_cell(kept, rule.spec.get("recorded"), place))
    born = _cell(kept, "birth_date", place)
    prepared.events.append(
        (
            number,
            intake.kinds[kind],
            intake.roles[role],
            day,
            day_number(intake.today) if recorded is None else recorded,
            _cell(kept, rule.spec.get("group"), place) or "",
            _age_band(born, day),
            kept.rows[place],
        )
    )
    return 1


def _age_band(born: Value, day: int) -> int:
    """Age band at the event's own date, so that a birthday changes nobody's role (T12)."""
    if not born:
        return 0
    on = date.fromordinal(day + date(1970, 1, 1).toordinal())
    return 1 if whole_years(date.fromisoformat(born), on) < 18 else 2


def _state(
    rule: Yield,
    kept: _Kept,
    place: int,
    number: int,
    intake: Intake,
    prepared: Prepared,
) -> int:
    kind = _word(rule.spec["kind"], kept, place)
    start = _day(_cell(kept, rule.spec["from"], place))
    where = _cell(kept, rule.spec.get("place"), place)
    if kind is None or start is None or ("place" in rule.spec and where is None):
        return 0
    end = _day(_cell(kept, rule.spec.get("to"), place))
    recorded = _day(_cell(kept, rule.spec.get("recorded"), place))
    prepared.states.append(
        (
            number,
            intake.kinds[kind],
            start,
            OPEN_END if end is None else end,
            day_number(intake.today) if recorded is None else recorded,
            where or "",
            kept.rows[place],
        )
    )
    return 1


def _refuse_bad(prepared: Prepared, intake: Intake) -> None:
    bad = sum(count for reason, count in prepared.dropped.items() if reason != "blank")
    filled = prepared.rows_kept + bad
    too_many = filled and bad > filled * intake.contract.row_error_limit
    if prepared.rows_kept and not too_many:
        return
    if not filled:
        raise RowsRefused(
            "FG-SUB-10",
            "the file holds a header and no rows",
            "Send the extract again.",
        )
    raise RowsRefused(
        "FG-SUB-11",
        f"{bad} of {filled} rows have errors, more than the contract of "
        f"{intake.contract.source} allows, so nothing was taken",
        "Correct the rows below and send the whole file again.",
        [
            f"{group.severity} {group.code} column {group.column}: {group.sentence} "
            f"({group.count}; row {', '.join(map(str, group.rows[:20]))})"
            for group in prepared.findings
        ],
    )


def used_fields(contract: Contract, present: Sequence[str]) -> list[str]:
    """Return the fields of a delivery in contract order: those in the file, and derived keys."""
    return [
        spec.name
        for spec in contract.fields.values()
        if spec.name in present or _is_derived_key(spec, contract)
    ]


def _is_derived_key(spec: FieldContract, contract: Contract) -> bool:
    return spec.type == "derived" and spec.name == contract.key
