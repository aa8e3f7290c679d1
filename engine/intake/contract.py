"""A source's contract as typed values: how it is sent, which columns, leading to which events."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from engine.domain.errors import ContractError
from policies.load import yield_fields
from policies.model import Source

ONLY = "rows"
"""Name of the one table of a source whose contract names no tables."""


_SMALL = str.maketrans({chr(n): chr(n + 32) for n in range(65, 91)})


def small(text: str) -> str:
    """Return a text with the letters A to Z small, which every library does alike."""
    return text.translate(_SMALL)


@dataclass(frozen=True, slots=True)
class Derive:
    """A flag read from free text in memory; the text itself is never stored.

    Attributes:
        source: Field that holds the text.
        any: Words or phrases of which one must stand there.
        none: Phrases that do not count, taken out before `any` is looked for.
        yes: Examples that must give the flag.
        no: Examples that must not.
    """

    source: str
    any: tuple[str, ...]
    none: tuple[str, ...]
    yes: tuple[str, ...]
    no: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldContract:
    """How one field is read and checked.

    Attributes:
        table: The table of a file set that holds it; empty for every table.
        precision: Coarsest precision of a date that is kept: ``day``, ``month`` or ``year``.
        lettered: Whether codes may carry a letter before them, as workbooks write them.
        derive: For a flag that is read from free text.
    """

    name: str
    label: str
    lane: str
    part: str | None
    type: str
    columns: tuple[str, ...]
    required: bool
    formats: tuple[str, ...]
    codes: Mapping[str, str]
    severity: str
    placeholders: frozenset[str]
    table: str = ""
    precision: str = "day"
    lettered: bool = False
    derive: Derive | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Files, sheets or elements that hold rows of one kind.

    Attributes:
        files: Patterns of file names.
        sheets: Names of sheets in a workbook.
        row: XML element that makes a row.
        required: Whether a delivery without it is incomplete.
    """

    id: str
    files: tuple[str, ...] = ()
    sheets: tuple[str, ...] = ()
    row: str = ""
    required: bool = False

    def named(self, name: str) -> bool:
        """Say whether a file or sheet of this name is this table."""
        low = name.rsplit("/", 1)[-1].casefold()
        return any(fnmatch.fnmatchcase(low, one.casefold()) for one in self.files) or any(
            low == sheet.casefold() for sheet in self.sheets
        )


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout of a source: a format, and its fields with what this layout changes about them.

    Attributes:
        rows: Table to the XML element that makes its rows.
        header: Checks of values that stand before the first person of an XML file.
        instructions: How the first cell of a line begins that only explains the columns.
        first, last: First and last day on which it is sent, as ISO dates; empty for open.
    """

    id: str
    format: str
    root: str
    parent: str
    rows: Mapping[str, str]
    fields: Mapping[str, FieldContract]
    instructions: str = ""
    header: tuple[Mapping[str, str], ...] = ()
    first: str = ""
    last: str = ""

    def of_table(self, table: str) -> dict[str, FieldContract]:
        """Return the fields that a row of a table may hold."""
        return {name: one for name, one in self.fields.items() if one.table in ("", table)}


@dataclass(frozen=True, slots=True)
class Yield:
    """What a row leads to.

    Attributes:
        show: The field whose level decides whether this event or state is shown to somebody.
        fields: The fields it reads, `show` among them; unless all are admitted it leads to nothing.
        spec: ``event``, ``state`` or ``flag`` with its mappings, as the contract words them.
    """

    id: str
    show: str
    kind: str
    spec: Mapping[str, Any]
    when: Mapping[str, Any]
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class Sending:
    """How a source is sent (``delivery:`` of the contract).

    Attributes:
        mode: ``full`` replaces everything of the source, ``window`` what lies between two days,
            ``delta`` adds and changes.
        window: Field whose day decides what lies in the window.
        every_days: Days between two deliveries; 0 when nobody promised any.
        grace_days: Days after which a missing delivery shows as amber.
        rows_min, rows_max: Rows of a delivery beyond which it pauses for a person.
        rows_change: Change against the delivery before, as a share of it, beyond which it pauses.
        deletions_max: Share of the source's rows that may vanish without a person's release.
        row_key: Table to the fields that name a row: a later row with the same key replaces it.
        deleted_field, deleted_in: A row whose field holds one of these says that it is deleted.
        merges: Table that says which local key became which.
    """

    mode: str = "delta"
    window: str = ""
    every_days: int = 0
    grace_days: int = 0
    rows_min: int = 0
    rows_max: int = 0
    rows_change: float = 0.0
    deletions_max: float = 0.0
    row_key: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    deleted_field: str = ""
    deleted_in: frozenset[str] = frozenset()
    merges: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckRule:
    """A check over several cells, rows or tables, by the name of its rule in `engine.intake.cross`."""

    id: str
    rule: str
    severity: str
    says: str
    do: str
    table: str
    fields: tuple[str, ...]
    spec: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contract:
    """Everything intake needs to know of a source."""

    source: str
    agency: str
    scheme: str
    key: str
    title: str
    fields: dict[str, FieldContract]
    layouts: tuple[Layout, ...]
    tables: tuple[Table, ...]
    yields: tuple[Yield, ...]
    checks: tuple[CheckRule, ...]
    sending: Sending
    changes: tuple[Mapping[str, Any], ...]
    row_error_limit: float

    def last_day(self, layout: str) -> str:
        """Return the last day on which a layout, as a part names it, is sent; empty for open."""
        return next((one.last for one in self.layouts if f"{self.source}/{one.id}" == layout), "")

    def layouts_of(self, file_format: str) -> list[Layout]:
        """Return the layouts of a format.

        Raises:
            ContractError: ``FG-SUB-03`` when the source is never sent in that format.
        """
        found = [layout for layout in self.layouts if layout.format == file_format]
        if not found:
            formats = list(dict.fromkeys(layout.format for layout in self.layouts))
            raise ContractError(
                "FG-SUB-03",
                f"{self.source} is not sent as {file_format}",
                f"Send {' or '.join(formats)}.",
            )
        return found

    def table(self, name: str) -> Table:
        """Return a table by its id."""
        return next(one for one in self.tables if one.id == name)


def contract_of(source: Source) -> Contract:
    """Build the contract of a source from its pack entry."""
    fields = {name: _field(name, item.spec) for name, item in source.fields.items()}
    tables = tuple(_table(item) for item in source.tables) or (Table(ONLY),)
    return Contract(
        source=source.id,
        agency=source.agency,
        scheme=source.scheme,
        key=source.key,
        title=source.title,
        fields=fields,
        layouts=_layouts(source, fields, tables),
        tables=tables,
        yields=tuple(_yield(item) for item in source.yields),
        checks=tuple(_check(item, tables) for item in source.checks),
        sending=_sending(source.delivery),
        changes=source.changes,
        row_error_limit=source.row_error_limit,
    )


_NOT_KNOWN = ("unknown", "not known", "n/a", "tbc", "tba", "-")


def _placeholders(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what stands in place of an identity in any source, beside what its contract lists.

    A code has a map of its own, which may say what "unknown" stands for.
    """
    return _NOT_KNOWN if spec["lane"] == "identity" and spec["type"] != "code" else ()


def _field(name: str, spec: Mapping[str, Any]) -> FieldContract:
    codes = {str(code).casefold(): value for code, value in spec.get("codes", {}).items()}
    derive = spec.get("derive")
    return FieldContract(
        name=name,
        label=spec["label"],
        lane=spec["lane"],
        part=spec.get("part"),
        type=spec["type"],
        columns=tuple(spec.get("columns", [])),
        required=spec.get("required") == "yes",
        formats=tuple(spec.get("formats", [])),
        codes=codes,
        severity=spec.get("on_bad") or spec.get("on_unknown") or "warning",
        placeholders=frozenset(
            small(text) for text in (*spec.get("placeholders", ()), *_placeholders(spec))
        ),
        table=spec.get("table", ""),
        precision=spec.get("precision", "day"),
        lettered=spec.get("lettered") == "yes",
        derive=Derive(
            derive["from"],
            *(tuple(derive.get(name, [])) for name in ("any", "none", "yes", "no")),
        )
        if derive
        else None,
    )


def _table(item: Mapping[str, Any]) -> Table:
    return Table(
        item["id"],
        tuple(item.get("files", [])),
        tuple(item.get("sheets", [])),
        item.get("row", ""),
        item.get("required") == "yes",
    )


def _layouts(
    source: Source, fields: Mapping[str, FieldContract], tables: tuple[Table, ...]
) -> tuple[Layout, ...]:
    found: dict[str, Layout] = {}
    for item in source.layouts:
        if item["format"] == "none":
            continue
        base = found.get(item.get("differs_from", ""))
        own = dict(base.fields if base else fields)
        for name in item.get("without", []):
            own.pop(name, None)
        for name, columns in item.get("columns", {}).items():
            own[name] = replace(own[name], columns=tuple(columns))
        for name, formats in item.get("formats", {}).items():
            own[name] = replace(own[name], formats=tuple(formats))
        for name, codes in item.get("codes", {}).items():
            more = {str(code).casefold(): value for code, value in codes.items()}
            own[name] = replace(own[name], codes={**own[name].codes, **more})
        rows = {one.id: one.row or item.get("row", "") for one in tables}
        found[item["id"]] = Layout(
            item["id"],
            item["format"],
            item.get("root", base.root if base else ""),
            item.get("parent", base.parent if base else ""),
            {**(base.rows if base else rows), **item.get("rows", {})},
            own,
            item.get("instructions", base.instructions if base else ""),
            tuple(item.get("header", base.header if base else ())),
            item.get("from", ""),
            item.get("to", ""),
        )
    return tuple(found.values())


def _check(item: Mapping[str, Any], tables: tuple[Table, ...]) -> CheckRule:
    return CheckRule(
        item["id"],
        item["rule"],
        item["severity"],
        item["says"],
        item.get("do", "Correct the rows in the source system."),
        item.get("table", tables[0].id),
        tuple(item.get("fields", [])),
        item,
    )


def _sending(item: Mapping[str, Any]) -> Sending:
    deleted = item.get("deleted", {})
    return Sending(
        mode=item.get("mode", "delta"),
        window=item.get("window", ""),
        every_days=int(item.get("every_days", 0)),
        grace_days=int(item.get("grace_days", 0)),
        rows_min=int(item.get("rows_min", 0)),
        rows_max=int(item.get("rows_max", 0)),
        rows_change=float(item.get("rows_change", 0)),
        deletions_max=float(item.get("deletions_max", 0)),
        row_key={name: tuple(key) for name, key in item.get("row_key", {}).items()},
        deleted_field=deleted.get("field", ""),
        deleted_in=frozenset(deleted.get("in", [])),
        merges=dict(item.get("merges", {})),
    )


def _yield(item: Mapping[str, Any]) -> Yield:
    kind = next(name for name in ("event", "state", "flag") if name in item)
    return Yield(
        id=item["id"],
        show=item["show"],
        kind=kind,
        spec=item[kind],
        when=item.get("when", {}),
        fields=frozenset(yield_fields(item)),
    )
