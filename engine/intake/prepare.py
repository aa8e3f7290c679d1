"""From rows as they were sent to what may be kept: check, admit, minimise, gather.

Nothing that has no open gateway leaves this module. Rows pass in batches, column by column; what an
event keeps of a row is its kind, role, dates and a keyed group, and the cells themselves are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.domain.errors import GatewayError, RowsRefused
from engine.domain.ids import whole_years
from engine.domain.records import Prepared
from engine.intake.aside import file_names, in_order, set_aside, set_late_aside
from engine.intake.check import severity_of
from engine.intake.columns import CODES, Codes, ColumnCheck
from engine.intake.contract import Contract, FieldContract
from engine.intake.cross import Checks
from engine.intake.derive import derived
from engine.intake.findings import CHECK_CODE, ROWS_KEPT
from engine.intake.gather import Gathered, gathered
from engine.intake.grade import Grades
from engine.intake.kept import Kept
from engine.intake.parts import Batch, Part, shared_texts, text_of
from engine.intake.read import Opened
from engine.intake.tally import Tally
from engine.intake.terms import Intake
from policies.admit import row_findings

Mask = npt.NDArray[np.bool_]
REPLACED = "FG-ROW-23"


def require_open(intake: Intake) -> None:
    """Refuse the delivery when nothing may enter, or the field that names its people may not.

    Raises:
        GatewayError: ``FG-GATE-11`` with every reason of every field; ``FG-GATE-14`` the windows of
            the source could not be told apart.
    """
    answer = intake.admission
    key, sending = intake.contract.key, intake.contract.sending
    if sending.mode == "window" and sending.window not in answer.admitted:
        raise GatewayError(
            "FG-GATE-14",
            f"the field by which {answer.source} is sent in windows, {sending.window}, may not enter",
            "Ask the information governance lead which agreement should cover it.",
        )
    if answer.admitted and (key not in answer.fields or answer.fields[key].admitted):
        return
    reasons = list(
        dict.fromkeys(
            f"{reason.code} {reason.sentence}"
            for field_answer in answer.fields.values()
            for reason in field_answer.reasons
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
    tally = Tally(grades=Grades(intake.key))
    keeper = Gathered(intake)
    for kept in minimised(opened, intake, tally):
        keeper.add(kept)
    late = _late(tally, intake.contract, keeper)
    # Of rows that are the same the first stands for all: there is nothing to mend in the others.
    copies = {one.id for one in intake.contract.checks if one.rule == "same_row"}
    mended = {row: check for row, check in late.items() if check not in copies}
    set_late_aside(opened, intake, tally, mended)
    closed = set(late)
    closed |= _replaced(tally, intake.contract, keeper, closed)
    prepared = gathered(keeper, closed, tally.born)
    _describe(prepared, opened, intake, tally)
    if prepared.rows_kept != keeper.count(closed):
        raise AssertionError("rows that were kept do not reconcile with rows that were gathered")
    _refuse_bad(prepared, intake)
    return prepared


def minimised(opened: Opened, intake: Intake, tally: Tally) -> Iterator[Kept]:
    """Yield rows whose cells were checked, and of which only what may be kept is left.

    What is found on the way is counted in `tally`; memory does not grow with the file.
    """
    checks = Checks(intake.contract.checks, intake.today)
    parts = in_order(opened, intake)
    for part, file in zip(parts, file_names(parts), strict=True):
        for note in part.notes:
            tally.findings.add(
                CHECK_CODE, note["element"], "warning", np.array([1]), file=file, check=note["id"],
                says=(note["says"], note.get("do", "Correct it in the source system.")),
            )  # fmt: skip
        if part.above:
            tally.findings.add(
                "FG-ROW-25", "(header)", "warning", np.array(part.above, np.int64), file=file
            )
        if (
            not intake.history
            and "" < intake.contract.last_day(part.layout) < intake.today.isoformat()
        ):
            tally.findings.add("FG-ROW-26", "(header)", "warning", np.array([1]), file=file)
        columns: dict[str, ColumnCheck] = {}
        for batch in part.batches:
            intake.arrow("check")
            kept = _checked(batch, part, file, intake, tally, checks, columns)
            intake.arrow("minimise")
            _minimise(kept, intake, tally)
            yield kept
    tally.checks = checks.finish(_never_met(parts))


def _never_met(parts: Sequence[Part]) -> set[str]:
    """Return the fields of which no file of a format without a header held an element."""
    if any(part.met is None for part in parts):
        return set()
    named = {name for part in parts for name, spec in part.fields.items() if spec.columns}
    return named.difference(*(part.met or () for part in parts))


def _checked(
    batch: Batch,
    part: Part,
    file: str,
    intake: Intake,
    tally: Tally,
    checks: Checks,
    columns: dict[str, ColumnCheck],
) -> Kept:
    contract, lines = intake.contract, batch.lines
    rows = tally.places.take(file, lines)
    table = batch.table if len(contract.tables) > 1 else ""
    for code, where in (("FG-ROW-13", batch.ragged), ("FG-ROW-17", batch.quoted)):
        tally.findings.add(
            code, "(row)", "error", np.array(where, np.int64), table=table, file=file
        )
        tally.drop(code, len(where))
    tally.drop("blank", batch.blank)
    for name, again in batch.twice.items():
        tally.findings.add(
            "FG-ROW-24",
            part.headers.get(name, name),
            "warning",
            np.array(again, np.int64),
            file=file,
        )
    raw_key = batch.columns.get(contract.key)
    values: dict[str, pa.Array] = {}
    first: Codes = np.zeros(len(lines), np.uint8)
    for name, cells in batch.columns.items():
        spec = part.fields[name]
        check = columns.setdefault(name, ColumnCheck(spec, intake.today))
        converted, codes, changed = check(cells)
        values[name] = converted
        tally.grades.grade(spec, converted, codes)
        header = part.headers.get(name, name)
        if changed is not None and changed.any():
            tally.grades.note_repairs(spec, header, lines, cells, converted, changed)
        if codes.any():
            _note(spec, header, (table, file), lines, codes, raw_key, tally, first)
    good = first == 0
    for number in np.unique(first[~good]):
        tally.drop(CODES[number], int((first == number).sum()))
    rows_in = len(lines) + len(batch.ragged) + len(batch.quoted) + batch.blank
    tally.count(batch.table, rows_in, int(good.sum()))
    why = {int(place): CODES[first[place]] for place in np.flatnonzero(first)}
    set_aside(batch, file, rows, why, intake, tally, values)
    if not good.all():
        mask = pa.array(good)
        values = {name: one.filter(mask) for name, one in values.items()}
        lines, rows = lines[good], rows[good]
    _derive(values, batch, intake.contract, good)
    checks.feed(batch.table, rows, values)
    return Kept(batch.table, rows, lines, tally.grades.believed(contract, batch.table, values))


def _note(
    spec: FieldContract,
    header: str,
    where: tuple[str, str],
    lines: npt.NDArray[np.int64],
    codes: Codes,
    raw_key: pa.Array | None,
    tally: Tally,
    first: Codes,
) -> None:
    """Add a column's findings, and mark the rows that it closes first."""
    for number in np.flatnonzero(np.bincount(codes, minlength=1)[1:]) + 1:
        code = CODES[number]
        places = np.flatnonzero(codes == number)
        severity = severity_of(code, spec)
        some = places[:1000]
        keys = raw_key.take(pa.array(some)).to_pylist() if raw_key is not None else []
        tally.findings.add(
            code, header, severity, lines[places], keys, table=where[0], file=where[1]
        )
        if severity == "error":
            closed = places[first[places] == 0]
            first[closed] = number


def _derive(values: dict[str, pa.Array], batch: Batch, contract: Contract, good: Mask) -> None:
    """Read flags from free text while it passes."""
    for name, spec in contract.fields.items():
        if spec.derive is not None and spec.derive.source in batch.columns:
            texts = text_of(batch.columns[spec.derive.source])
            values[name] = derived(
                texts if good.all() else texts.filter(pa.array(good)), spec.derive
            )


def _minimise(kept: Kept, intake: Intake, tally: Tally) -> None:
    """Drop columns without an open gateway, and cells that a condition of the row closes."""
    contract, sending = intake.contract, intake.contract.sending
    # What names a row, ends it or joins two is used up here; it is no content.
    kept.note(contract, sending.row_key.get(kept.table, ()))
    answers = {name: intake.admission.fields.get(name) for name in kept.columns}
    aged = {name for name, one in answers.items() if one is not None and one.row_bases}
    born = _born(kept, intake, tally, asked=bool(aged))
    for name, answer in answers.items():
        if answer is None or not answer.admitted:
            del kept.columns[name]
        elif name in aged:
            assert born is not None
            kept.columns[name] = _open_cells(kept.columns[name], name, born, intake, tally)


def _born(kept: Kept, intake: Intake, tally: Tally, *, asked: bool) -> pa.Array | None:
    """Return each row's birth date: its own, or what another table of the delivery says.

    What a row says itself is noted for the other tables; unless `asked`, nothing is looked up.
    """
    own = next(
        (kept.columns[name] for name, spec in intake.contract.fields.items()
         if spec.part == "birth_date" and name in kept.columns),
        None,
    )  # fmt: skip
    if len(intake.contract.tables) == 1:
        return own if own is not None else pa.nulls(len(kept.lines), pa.string())
    if own is None and not asked:
        return None
    known, keys = tally.born, kept.keys.to_pylist()
    if own is None:
        return pa.array(list(map(known.get, keys)), pa.string())
    dates = shared_texts(own, tally.days)
    if own.null_count:
        known.update((key, day) for key, day in zip(keys, dates, strict=True) if key and day)
        return pa.array([day or known.get(key) for key, day in zip(keys, dates, strict=True)],
                        pa.string())  # fmt: skip
    known.update((key, day or "") for key, day in zip(keys, dates, strict=True))
    return own


def _open_cells(
    values: pa.Array, name: str, born: pa.Array, intake: Intake, tally: Tally
) -> pa.Array:
    encoded = born.dictionary_encode()
    closed: dict[int | None, bool] = {}

    def is_closed(day: str | None) -> bool:
        age = age_on(day, intake.today)
        if age not in closed:
            closed[age] = bool(
                row_findings(
                    intake.pack,
                    intake.admission,
                    name,
                    {"age_years": age},
                    host=intake.pack.vocabulary.host,
                    as_of=intake.today,
                )
            )
        return closed[age]

    by_day = np.array([is_closed(day) for day in encoded.dictionary.to_pylist()] or [False])
    places = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    known = born.is_valid().to_numpy(zero_copy_only=False)
    shut = np.where(known, by_day[places], is_closed(None) if not known.all() else False)
    filled = values.is_valid().to_numpy(zero_copy_only=False)
    count = int((shut & filled).sum())
    if count:
        tally.closed[name] = tally.closed.get(name, 0) + count
    return pc.if_else(pa.array(shut), pa.scalar(None, pa.string()), text_of(values))


def age_on(born: str | None, day: date) -> int | None:
    """Return the age in whole years, or None for a birth date that is unknown or names no day."""
    return whole_years(date.fromisoformat(born), day) if born and len(born) == 10 else None


def _late(tally: Tally, contract: Contract, keeper: Gathered) -> dict[int, str]:
    """Note what the checks over several rows found; return the rows that they close, and by which."""
    closed: dict[int, str] = {}
    for run in tally.checks:
        check = run.check
        if run.status != "run" or not len(run.rows):
            continue
        names = ", ".join(
            contract.fields[name].columns[0]
            for name in check.fields
            if name in contract.fields and contract.fields[name].columns
        )
        for file, rows in tally.places.by_file(run.rows):
            tally.findings.add(
                CHECK_CODE, names or "(row)", check.severity, tally.places.lines(rows),
                keeper.keys_of(rows[:ROWS_KEPT]),
                table=check.table if len(contract.tables) > 1 else "",
                file=file, check=check.id, says=(check.says, check.do),
            )  # fmt: skip
        if check.severity == "error":
            fresh = set(run.rows.tolist()) - closed.keys()
            closed.update(dict.fromkeys(fresh, check.id))
            tally.close(check.id, check.table, len(fresh))
    return closed


def _replaced(tally: Tally, contract: Contract, keeper: Gathered, closed: set[int]) -> set[int]:
    """Note rows whose key stands again further on: the later row counts; return the earlier ones."""
    again: set[int] = set()
    for table, found in keeper.replaced(closed).items():
        for file, rows in tally.places.by_file(found):
            tally.findings.add(
                REPLACED, "(row)", "warning", tally.places.lines(rows),
                keeper.keys_of(rows[:ROWS_KEPT]),
                table=table if len(contract.tables) > 1 else "", file=file,
            )  # fmt: skip
        tally.close(REPLACED, table, len(found))
        again.update(found.tolist())
    return again


def _describe(
    prepared: Prepared,
    opened: Opened,
    intake: Intake,
    tally: Tally,
) -> None:
    answer = intake.admission
    prepared.layout, prepared.encoding = opened.layout, opened.encoding
    prepared.columns_unknown = opened.unknown
    prepared.fields_kept = answer.admitted
    prepared.purposes = {name: list(answer.fields[name].purposes) for name in answer.admitted}
    for name in answer.refused:
        label = intake.contract.fields[name].label
        prepared.fields_dropped[label] = [
            f"{reason.code} {reason.sentence}" for reason in answer.fields[name].reasons
        ]
    prepared.findings = tally.findings.groups()
    prepared.tables = tally.tables
    prepared.rows_in = sum(counts["in"] for counts in tally.tables.values())
    prepared.rows_kept = sum(counts["kept"] for counts in tally.tables.values())
    prepared.dropped = tally.dropped
    prepared.cells_closed = tally.closed
    prepared.quarantined = tally.quarantined
    prepared.checks = [run.as_dict() for run in tally.checks]
    prepared.quality = tally.grades.quality
    prepared.repairs, prepared.repaired = tally.grades.repairs, tally.grades.repaired
    prepared.repair_key = intake.key
    if prepared.rows_in != prepared.rows_kept + sum(prepared.dropped.values()):
        raise AssertionError("rows do not reconcile")


def _refuse_bad(prepared: Prepared, intake: Intake) -> None:
    no_errors = ("blank", REPLACED)
    bad = sum(count for reason, count in prepared.dropped.items() if reason not in no_errors)
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
            f"{group.severity} {group.check or group.code} column {group.column}: {group.sentence} "
            f"({group.count}; {group.file + ' ' if group.file else ''}"
            f"row {', '.join(map(str, group.rows[:20]))})"
            for group in prepared.findings
        ],
        prepared=_findings_alone(prepared),
    )


def _findings_alone(prepared: Prepared) -> Prepared:
    """Return what may be told of a refused delivery: counts and findings, and nobody's cell."""
    told = {
        name: getattr(prepared, name)
        for name in ("findings", "rows_in", "rows_kept", "dropped", "tables", "columns_unknown",
                     "fields_dropped", "checks", "quality", "repairs", "repaired",
                     "repair_key", "layout", "encoding")
    }  # fmt: skip
    return Prepared(**told)
