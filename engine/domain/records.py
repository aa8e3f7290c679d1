"""What passes between the parts: findings, prepared rows, receipts, normalised identities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

IDENTITY_PARTS = (
    *("local_id", "given_name", "surname", "preferred_name", "birth_date", "sex"),
    *("address", "postcode", "nhs_number", "upn", "phone", "email"),
)


@dataclass(frozen=True, slots=True)
class RowFinding:
    """One thing wrong with one cell: a row number (the header is row 1), a column and a code."""

    row: int
    column: str
    code: str
    severity: str


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """All findings of one cause: what, where, how often, and what to do next."""

    code: str
    column: str
    severity: str
    sentence: str
    next_step: str
    count: int
    rows: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for a receipt."""
        return {
            "code": self.code,
            "column": self.column,
            "severity": self.severity,
            "sentence": self.sentence,
            "next_step": self.next_step,
            "count": self.count,
            "rows": list(self.rows),
        }


@dataclass
class Prepared:
    """A delivery after reading, checking, admitting and minimising; still in memory only.

    Attributes:
        local_keys: Local key of each record, in order of first appearance.
        identities: Identity part to one clear value per record (or None).
        events: ``record, kind, role, day, recorded, group, age_band, row`` per event; `record` is an
            index into `local_keys`, `group` a local reference or "".
        states: ``record, kind, start, end, recorded, place, row`` per state.
        flags: (record index, flag, ``y`` or ``n``).
        rows_in: Rows read.
        rows_kept: Rows that went on.
        dropped: Reason to number of rows; ``rows_in == rows_kept + sum(dropped)``.
        fields_kept: Fields that entered.
        fields_dropped: Field label to the reasons.
        cells_closed: Field to the number of cells closed by a condition of the row.
        columns_unknown: Columns of the file that the contract does not name.
        not_yielded: Yield id to the number of rows that led to no event, by design of the contract.
    """

    local_keys: list[str] = field(default_factory=list, repr=False)
    identities: dict[str, list[str | None]] = field(default_factory=dict, repr=False)
    events: list[tuple[int, int, int, int, int, str, int, int]] = field(
        default_factory=list, repr=False
    )
    states: list[tuple[int, int, int, int, int, str, int]] = field(default_factory=list, repr=False)
    flags: list[tuple[int, str, str]] = field(default_factory=list, repr=False)
    findings: list[FindingGroup] = field(default_factory=list)
    rows_in: int = 0
    rows_kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    fields_kept: tuple[str, ...] = ()
    fields_dropped: dict[str, list[str]] = field(default_factory=dict)
    purposes: dict[str, list[str]] = field(default_factory=dict)
    cells_closed: dict[str, int] = field(default_factory=dict)
    columns_unknown: tuple[str, ...] = ()
    not_yielded: dict[str, int] = field(default_factory=dict)
    layout: str = ""
    encoding: str = ""


@dataclass(frozen=True)
class Normalised:
    """Normalised identities of a column of records: what linkage may turn into keyed words.

    Every list has one entry per record; None is "not known", which counts neither for nor against.
    Birth dates are ``YYYY-MM-DD``.
    """

    version: str
    given: list[tuple[str, ...]] = field(repr=False)
    surname: list[tuple[str, ...]] = field(repr=False)
    preferred: list[str | None] = field(repr=False)
    nickname: list[str | None] = field(repr=False)
    skeleton: list[str | None] = field(repr=False)
    surname_skeleton: list[str | None] = field(repr=False)
    birth_date: list[str | None] = field(repr=False)
    sex: list[str | None] = field(repr=False)
    postcode: list[str | None] = field(repr=False)
    house: list[str | None] = field(repr=False)
    street: list[str | None] = field(repr=False)
    nhs_number: list[str | None] = field(repr=False)
    upn: list[str | None] = field(repr=False)
    local_id: list[str | None] = field(repr=False)
