"""What passes between the parts: findings, prepared rows, receipts, normalised identities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Ints = npt.NDArray[np.int64]

EVENT_COLUMNS = (
    *(
        "record",
        "kind",
        "role",
        "day",
        "recorded",
        "age_band",
        "review",
        "row",
        "key",
        "rule",
        "window",
    ),
)
STATE_COLUMNS = (*("record", "kind", "start", "end", "recorded", "row", "key", "rule", "window"),)


@dataclass(frozen=True, slots=True)
class AsideRow:
    """A row that was set aside because of an error.

    Attributes:
        row: Its number, unique in the delivery.
        file: The file or sheet it stands in, where there are several.
        line: Physical line.
        key: The agency's own key of it.
        cells: What may be kept of it.
        row_key: Text that names the row, where the contract names rows; else empty.
    """

    row: int
    table: str
    file: str
    line: int
    code: str
    key: str = field(repr=False)
    cells: dict[str, str] = field(repr=False)
    row_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """All findings of one cause: what, where, how often, and what to do next.

    Attributes:
        code: Stable code; ``FG-CHK-01`` for a check of the contract, whose id is `check`.
        column: The column as the agency names it.
        rows: Physical lines, at most the first thousand.
        keys: The agency's own key of each of those rows; told to that agency only.
        file: The file or sheet of those rows, where the delivery has several.
    """

    code: str
    column: str
    severity: str
    sentence: str
    next_step: str
    count: int
    rows: tuple[int, ...]
    table: str = ""
    check: str = ""
    keys: tuple[str, ...] = field(default=(), repr=False)
    file: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for a receipt; the agency's own keys are no part of it."""
        return {
            "code": self.code,
            "column": self.column,
            "severity": self.severity,
            "sentence": self.sentence,
            "next_step": self.next_step,
            "count": self.count,
            "rows": list(self.rows),
            "table": self.table,
            "file": self.file,
            "check": self.check,
        }


@dataclass
class Rows:
    """Events or states as columns; one place per row.

    Attributes:
        columns: Names of the integer columns, in order.
        ints: One array of int64 for each of them.
        text: A local reference for each row (an occurrence of events, a place of states), or null.
    """

    columns: tuple[str, ...]
    ints: dict[str, Ints] = field(repr=False)
    text: pa.Array = field(repr=False)

    @classmethod
    def of(cls, columns: tuple[str, ...], batches: list[tuple[dict[str, Ints], pa.Array]]) -> Rows:
        """Join batches of rows."""
        if not batches:
            empty = np.zeros(0, np.int64)
            return cls(columns, dict.fromkeys(columns, empty), pa.array([], pa.string()))
        return cls(
            columns,
            {name: np.concatenate([ints[name] for ints, _ in batches]) for name in columns},
            pa.concat_arrays([text for _, text in batches]),
        )

    def __len__(self) -> int:
        return len(self.text)

    def take(self, places: Ints | npt.NDArray[np.bool_]) -> Rows:
        """Return some of the rows."""
        chosen = np.flatnonzero(places) if places.dtype == bool else places
        return Rows(
            self.columns,
            {name: one[chosen] for name, one in self.ints.items()},
            self.text.take(pa.array(chosen)),
        )


@dataclass
class Prepared:
    """A delivery after reading, checking, admitting and minimising; still in memory only.

    Attributes:
        local_keys: Local key of each record, in order of first appearance.
        identities: Identity part to one clear value per record (or None).
        equality: Part kept for counts of fairness to one group per record (or None); never in the vault.
        event_rows, state_rows: What the rows led to; ``record`` is an index into `local_keys`, ``key``
            an index into `row_keys` or -1, ``rule`` the place of the contract's yield, from 1,
            ``window`` the day by which a later window replaces its row.
        row_keys: Texts that name a row of a table, where the contract names rows.
        spoken: (record index, row key index or -1, day or the least day) of every row that was kept.
        gone: Row key indexes of rows that the delivery says are deleted.
        merges: (old local key, new local key, undone) that the delivery states.
        flags: (record index, flag, ``y`` or ``n``, row key index or -1, day or the least day).
        rows_in: Rows read.
        rows_kept: Rows that went on.
        dropped: Reason to number of rows; ``rows_in == rows_kept + sum(dropped)``.
        tables: Table to its rows in, kept and dropped.
        quarantined: Rows that were set aside.
        fields_kept: Fields that entered.
        fields_dropped: Field label to the reasons.
        cells_closed: Field to the number of cells closed by a condition of the row.
        columns_unknown: Columns of the file that the contract does not name.
        not_yielded: Yield id to the number of rows that led to no event, by design of the contract.
        checks: Each check over several cells with what became of it.
        quality: Identifier to how many values are good, weak, unusable or missing.
        repairs: Rule of a repair to how often it was made; see `repaired`.
        repaired: (rule, line, column, keyed hash before, keyed hash after), at most a thousand a rule.
        repair_key: Key of those hashes, for the agency whose cells they are.
    """

    local_keys: list[str] = field(default_factory=list, repr=False)
    identities: dict[str, list[str | None]] = field(default_factory=dict, repr=False)
    equality: dict[str, list[str | None]] = field(default_factory=dict, repr=False)
    event_rows: Rows = field(default_factory=lambda: Rows.of(EVENT_COLUMNS, []), repr=False)
    state_rows: Rows = field(default_factory=lambda: Rows.of(STATE_COLUMNS, []), repr=False)
    row_keys: list[str] = field(default_factory=list, repr=False)
    spoken: Ints = field(default_factory=lambda: np.zeros((0, 3), np.int64), repr=False)
    gone: list[int] = field(default_factory=list, repr=False)
    merges: list[tuple[str, str, bool]] = field(default_factory=list, repr=False)
    flags: list[tuple[int, str, str, int, int]] = field(default_factory=list, repr=False)
    findings: list[FindingGroup] = field(default_factory=list)
    rows_in: int = 0
    rows_kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    quarantined: list[AsideRow] = field(default_factory=list, repr=False)
    fields_kept: tuple[str, ...] = ()
    fields_dropped: dict[str, list[str]] = field(default_factory=dict)
    purposes: dict[str, list[str]] = field(default_factory=dict)
    cells_closed: dict[str, int] = field(default_factory=dict)
    columns_unknown: tuple[str, ...] = ()
    not_yielded: dict[str, int] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    quality: dict[str, dict[str, int]] = field(default_factory=dict)
    repairs: dict[str, int] = field(default_factory=dict)
    repaired: list[tuple[str, int, str, str, str]] = field(default_factory=list, repr=False)
    repair_key: bytes = field(default=b"", repr=False)
    layout: str = ""
    encoding: str = ""

    @property
    def events(self) -> list[tuple[int, int, int, int, int, str, int, int]]:
        """``record, kind, role, day, recorded, group, age band, row`` of each event."""
        ints, texts = self.event_rows.ints, self.event_rows.text.to_pylist()
        names = ("record", "kind", "role", "day", "recorded")
        head = zip(*(ints[name].tolist() for name in names), strict=True)
        tail = zip(ints["age_band"].tolist(), ints["row"].tolist(), strict=True)
        return [
            (*first, text or "", *last) for first, text, last in zip(head, texts, tail, strict=True)
        ]

    @property
    def states(self) -> list[tuple[int, int, int, int, int, str, int]]:
        """``record, kind, start, end, recorded, place, row`` of each state."""
        ints, texts = self.state_rows.ints, self.state_rows.text.to_pylist()
        names = ("record", "kind", "start", "end", "recorded")
        head = zip(*(ints[name].tolist() for name in names), strict=True)
        return [
            (*first, text or "", row)
            for first, text, row in zip(head, texts, ints["row"].tolist(), strict=True)
        ]


@dataclass(frozen=True)
class Normalised:
    """Normalised identities of a column of records: what linkage may turn into keyed words.

    Every list has one entry per record; None is "not known", which counts neither for nor against.
    Birth dates are ``YYYY-MM-DD``; `nhs_failed` says that an NHS number was given whose check digit does
    not hold, so that somebody's number is wrong.
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
    nhs_failed: list[bool] = field(repr=False)
    upn: list[str | None] = field(repr=False)
    former_surname: list[str | None] = field(repr=False)
    former_nhs_number: list[str | None] = field(repr=False)
    former_upn: list[str | None] = field(repr=False)
    birth_year: list[str | None] = field(repr=False)
    uprn: list[str | None] = field(repr=False)
    given_is_known: list[bool] = field(repr=False)
    given_is_short: list[bool] = field(repr=False)
    local_id: list[str | None] = field(repr=False)
