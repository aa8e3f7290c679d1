"""The answer of the policy engine: a level per field and state, with every reason beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

import numpy as np
import numpy.typing as npt

from gateways.model import Finding
from policies.model import Cap, Field, Level, State

Bytes = npt.NDArray[np.uint8]
_MOST_STATES = 4096
_SHIFT = 16


@dataclass(frozen=True, slots=True)
class FieldView:
    """The answer for one field, before a state is known.

    Attributes:
        ceiling: Highest level over the grants, ``refuse`` when a structural check failed.
        basis: (agreement, gateway) relied on, or None when refused.
        obligations: Union over every grant that was met, sorted.
        caps: Caps that may lower the level, depending on the state.
        reasons: Every reason against.
        grants: Ids of the grants that match.
    """

    category: str
    ceiling: Level
    basis: tuple[str, str] | None
    obligations: tuple[str, ...]
    caps: tuple[Cap, ...]
    reasons: tuple[Finding, ...]
    grants: tuple[str, ...]


class LevelTable:
    """Levels of the fields of a source by state: compiled once, then looked up.

    Args:
        flags: Flags in the order of their bits, at most 16.
        names: Field names in the order of the columns.
        ceilings: Level per field before caps.
        limits: Per denial of casbin's rows: the flags that must be ``y``, those that must be ``n``
            (as bits), and the limit per field.
    """

    __slots__ = ("_bits", "_ceilings", "_limits", "_places", "_rows", "names")

    def __init__(
        self,
        flags: tuple[str, ...],
        names: tuple[str, ...],
        ceilings: bytes,
        limits: tuple[tuple[int, int, bytes], ...],
    ) -> None:
        if len(flags) > _SHIFT:
            raise ValueError("more flags than a state has bits")
        self._bits = {flag: 1 << place for place, flag in enumerate(flags)}
        self.names = names
        self._places = {name: place for place, name in enumerate(names)}
        self._ceilings = ceilings
        self._limits = limits
        self._rows: dict[int, bytes] = {}

    def code(self, state: State) -> int:
        """Return a state as a number: bits of the flags that are ``y``, and of those that are ``n``.

        A flag with any other value is unknown; so is one that is absent.
        """
        yes = no = 0
        for flag, value in state.items():
            if value == "y":
                yes |= self._bits.get(flag, 0)
            elif value == "n":
                no |= self._bits.get(flag, 0)
        return yes | no << _SHIFT

    def row(self, code: int) -> bytes:
        """Return the level of every field in the state of that number."""
        found = self._rows.get(code)
        if found is None:
            yes, no = code & 0xFFFF, code >> _SHIFT
            found = self._ceilings
            for must_yes, must_no, limit in self._limits:
                # A denial bites unless a flag is known to be the other value.
                if not (no & must_yes or yes & must_no):
                    found = bytes(map(min, found, limit))
            if len(self._rows) >= _MOST_STATES:
                self._rows.clear()
            self._rows[code] = found
        return found

    def level(self, name: str, code: int) -> int:
        """Return the level of one field in the state of that number; 0 for an unknown field."""
        place = self._places.get(name)
        return 0 if place is None else self.row(code)[place]

    def levels(self, codes: Iterable[int], names: Iterable[str]) -> Bytes:
        """Return ``uint8[states, fields]`` of levels; an unknown field is all zero.

        Args:
            codes: Numbers of states, see `code`.
            names: Field names.
        """
        table = np.frombuffer(b"".join(self.row(code) for code in codes), dtype=np.uint8)
        table = table.reshape(-1, len(self.names)) if len(self.names) else table.reshape(0, 0)
        places = [self._places.get(name, -1) for name in names]
        found = table[:, places]
        found[:, [place < 0 for place in places]] = 0
        return found


_EMPTY = LevelTable((), (), b"", ())


@dataclass(frozen=True, slots=True)
class View:
    """The policy engine's answer for one source. Data code accepts nothing else.

    There is no truth value: a caller asks for the level of a field in a state.
    """

    source: str
    role: str
    purpose: str
    fields: Mapping[str, FieldView]
    policy_version: str
    table: LevelTable = field(default=_EMPTY, repr=False, compare=False)

    def level(self, name: str, state: State) -> Level:
        """Return ``min(max over grants, min over caps)`` of field `name` in `state`."""
        if name not in self.fields:
            return Level.REFUSE
        return Level(self.table.level(name, self.table.code(state)))

    def level_on(self, spec: Field, state: State, day: date | None, as_of: date) -> Level:
        """Return the level of a dated value: past its retention it is refused (POL-P11, E11)."""
        if past_retention(spec, day, as_of):
            return Level.REFUSE
        return self.level(spec.name, state)

    def biting(self, name: str, state: State) -> tuple[Cap, ...]:
        """Return the caps that lower field `name` in `state`."""
        view = self.fields[name]
        return tuple(cap for cap in view.caps if cap.level < view.ceiling and cap.holds(state))

    def __bool__(self) -> bool:
        """Refuse to be a bare yes or no."""
        raise TypeError("a View has no truth value; ask it for a level")


def past_retention(spec: Field, day: date | None, as_of: date) -> bool:
    """Say whether a value of that day may no longer be used; without a period it never may.

    Args:
        spec: The field, with its retention in whole years.
        day: Day of the event, or last day of the state; None when the value has no date of its own.
        as_of: Date of the decision.
    """
    if spec.retention_years is None:
        return True
    if day is None:
        return False
    years = day.year + spec.retention_years
    try:
        last = day.replace(year=years)
    except ValueError:  # 29 February
        last = day.replace(year=years, day=28)
    return as_of > last


def mask(
    levels: Bytes,
    states: npt.NDArray[np.intp],
    columns: list[npt.NDArray[np.float64]],
    at_least: Level = Level.CLEAR,
) -> list[npt.NDArray[np.float64] | None]:
    """Null what may not be shown in full, a column at a time.

    Args:
        levels: ``uint8[states, fields]`` from `LevelTable.levels`.
        states: Row of `levels` for each data row.
        columns: One float column per field.
        at_least: Lowest level at which the value itself is shown.

    Returns:
        Columns in the same order: None where no row may be shown (dropped, so never read), the same
        array where all may, else a copy with NaN in the refused places.
    """
    allowed = levels >= at_least
    used = np.bincount(states, minlength=len(levels)) > 0
    result: list[npt.NDArray[np.float64] | None] = []
    for place, column in enumerate(columns):
        cell = allowed[:, place]
        if not cell[used].any():
            result.append(None)
        elif cell[used].all():
            result.append(column)
        else:
            shown = column.copy()
            shown[~cell[states]] = np.nan
            result.append(shown)
    return result
