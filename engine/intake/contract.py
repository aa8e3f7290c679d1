"""A source's contract as typed values: which columns, of which type, leading to which events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.domain.errors import ContractError
from policies.load import yield_fields
from policies.model import Source


@dataclass(frozen=True, slots=True)
class FieldContract:
    """How one field is read and checked."""

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


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout of a source: format and, for XML, the elements that make a row."""

    id: str
    format: str
    root: str
    parent: str
    row: str


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
class Contract:
    """Everything intake needs to know of a source."""

    source: str
    agency: str
    scheme: str
    key: str
    fields: dict[str, FieldContract]
    layouts: tuple[Layout, ...]
    yields: tuple[Yield, ...]
    row_error_limit: float

    def layout(self, file_format: str) -> Layout:
        """Return the layout of a format.

        Raises:
            ContractError: ``FG-SUB-03`` when the source is never sent in that format.
        """
        for layout in self.layouts:
            if layout.format == file_format:
                return layout
        raise ContractError(
            "FG-SUB-03",
            f"{self.source} is not sent as {file_format}",
            f"Send {' or '.join(layout.format for layout in self.layouts)}.",
        )


def contract_of(source: Source) -> Contract:
    """Build the contract of a source from its pack entry."""
    return Contract(
        source=source.id,
        agency=source.agency,
        scheme=source.scheme,
        key=source.key,
        fields={name: _field(name, field.spec) for name, field in source.fields.items()},
        layouts=tuple(
            Layout(
                layout["id"],
                layout["format"],
                layout.get("root", ""),
                layout.get("parent", ""),
                layout.get("row", ""),
            )
            for layout in source.layouts
        ),
        yields=tuple(_yield(item) for item in source.yields),
        row_error_limit=source.row_error_limit,
    )


def _field(name: str, spec: Mapping[str, Any]) -> FieldContract:
    codes = {str(code).casefold(): value for code, value in spec.get("codes", {}).items()}
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
        placeholders=frozenset(text.casefold() for text in spec.get("placeholders", [])),
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
