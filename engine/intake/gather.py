"""Rows become records, identities, events and states; rows that a later check closes leave no trace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.domain.ids import day_number
from engine.domain.records import EVENT_COLUMNS, STATE_COLUMNS, Ints, Prepared, Rows
from engine.intake.contract import Yield
from engine.intake.kept import UNIT, Kept
from engine.intake.meaning import (
    NO_DAY,
    age_bands,
    by_distinct,
    days_of,
    found_in_review,
    holding,
    texts,
    words_of,
)
from engine.intake.parts import text_of
from engine.intake.terms import Intake

OPEN_END = 2**31 - 1


class Gathered:
    """Everything that has passed so far, still by line, so that a late check can close a row."""

    def __init__(self, intake: Intake) -> None:
        self.intake = intake
        self.contract, self.admission = contract, admission = intake.contract, intake.admission
        self.records: dict[str, int] = {}
        self.row_keys: dict[str, int] = {}
        self.spoken: list[tuple[str, Ints, Ints, Ints, Ints]] = []
        self.gone: list[tuple[str, Ints, Ints]] = []
        self.joining: list[Ints] = []
        self.parts: dict[str, list[tuple[Ints, Ints, pa.Array]]] = {
            spec.part: []
            for spec in contract.fields.values()
            if spec.part and spec.name in admission.admitted
        }
        self.events: list[tuple[Ints, dict[str, Ints], pa.Array]] = []
        self.states: list[tuple[Ints, dict[str, Ints], pa.Array]] = []
        self.flags: list[tuple[Ints, dict[str, Ints], str, Ints]] = []
        self.merges: list[tuple[int, str, str, bool]] = []
        self.not_yielded: dict[str, int] = {}
        self._places = {rule.id: place for place, rule in enumerate(contract.yields, 1)}

    def add(self, kept: Kept) -> None:
        """Take in a batch of minimised rows."""
        merges = self.contract.sending.merges
        if merges and kept.table == merges["table"]:
            self.merges += kept.merges
            self.joining.append(kept.rows)
            return
        table, some = kept.table, kept
        if kept.deleted is not None and kept.deleted.any():
            gone = np.flatnonzero(kept.deleted)
            self.gone.append((table, kept.rows[gone], self._key_numbers(kept, gone)))
            some = kept.some(np.flatnonzero(~kept.deleted))
        numbers = self._record_numbers(some.keys)
        keys = self._key_numbers(some, None)
        days = days_of(some.columns.get(self.contract.sending.window), len(some.rows))
        self.spoken.append((table, some.rows, numbers, keys, days))
        for spec in self.contract.fields.values():
            if spec.part in self.parts and spec.name in some.columns:
                column = text_of(some.columns[spec.name])
                self.parts[spec.part].append((some.rows, numbers, column))
        fields = {name for name, spec in self.contract.fields.items() if spec.table in ("", table)}
        for rule in self.contract.yields:
            if rule.fields <= fields:
                self._apply(rule, some, {"record": numbers, "key": keys, "window": days})

    def count(self, closed: set[int]) -> int:
        """Return how many rows are left once some are closed."""
        held = [rows for _, rows, *_ in self.spoken] + [rows for _, rows, _ in self.gone]
        held += self.joining
        shut = _sorted(closed)
        return sum(int((~np.isin(rows, shut)).sum()) for rows in held)

    def replaced(self, closed: set[int]) -> dict[str, Ints]:
        """Return the rows, by table, whose whole key a later row of the delivery has too.

        The later one is what holds, be it the row again or the word that it is deleted. A key of
        which a part is empty may name two rows, so both stay.
        """
        held = [(table, rows, keys) for table, rows, _, keys, _ in self.spoken] + self.gone
        names = list(self.row_keys)
        shut = _sorted(closed)
        found: dict[str, Ints] = {}
        tables = list(dict.fromkeys(table for table, _, _ in held))
        for table in tables:
            rows = np.concatenate([one for name, one, _ in held if name == table])
            keys = np.concatenate([one for name, _, one in held if name == table])
            open_rows = (keys >= 0) & ~np.isin(rows, shut)
            rows, keys = rows[open_rows], keys[open_rows]
            order = np.lexsort([rows, keys])
            rows, keys = rows[order], keys[order]
            earlier = np.append(keys[1:] == keys[:-1], False)[: len(keys)]
            whole = [_is_whole(names[key]) for key in keys[earlier]]
            rows = np.sort(rows[earlier][np.array(whole, dtype=bool)])
            if len(rows):
                found[table] = rows
        return found

    def keys_of(self, rows: Ints) -> list[str]:
        """Return the agency's own key of some rows; empty where it has none or the row is no record."""
        if self.contract.fields[self.contract.key].type == "derived" or not len(rows):
            return [""] * len(rows)
        names = list(self.records)
        found = dict.fromkeys(rows.tolist(), "")
        for _, held, numbers, *_ in self.spoken:
            for place in np.flatnonzero(np.isin(held, rows)):
                found[int(held[place])] = names[numbers[place]]
        return [found[row] for row in rows.tolist()]

    def _record_numbers(self, keys: pa.Array) -> Ints:
        encoded = keys.dictionary_encode()
        known = self.records
        places = np.array(
            [known.setdefault(key or "", len(known)) for key in encoded.dictionary.to_pylist()]
            or [0],
            np.int64,
        )
        if keys.null_count:
            empty = known.setdefault("", len(known))
            found = encoded.indices.fill_null(0).to_numpy(zero_copy_only=False)
            valid = keys.is_valid().to_numpy(zero_copy_only=False)
            return np.where(valid, places[found], empty)
        numbers: Ints = places[encoded.indices.to_numpy(zero_copy_only=False)]
        return numbers

    def _key_numbers(self, kept: Kept, places: Ints | None) -> Ints:
        count = len(kept.lines) if places is None else len(places)
        if kept.row_keys is None:
            return np.full(count, -1, np.int64)
        texts = kept.row_keys if places is None else kept.row_keys.take(pa.array(places))
        known = self.row_keys
        return np.array(
            [
                -1 if text is None else known.setdefault(text, len(known))
                for text in texts.to_pylist()
            ],
            np.int64,
        )

    def _apply(self, rule: Yield, kept: Kept, common: dict[str, Ints]) -> None:
        """Turn rows into events, states or flags; a closed field yields nothing."""
        count = len(kept.lines)
        if not self._open(rule):
            self._missed(rule, count)
            return
        holds = holding(rule, kept.columns, count)
        if rule.kind == "event":
            made = self._event(rule, kept, common, holds)
        elif rule.kind == "state":
            made = self._state(rule, kept, common, holds)
        else:
            made = self._flag(rule, kept, common, holds)
        self._missed(rule, count - made)

    def _open(self, rule: Yield) -> bool:
        """Say whether every field that a yield reads may be kept.

        A day of recording, an end, a group or a word about a review that the file does not have is not
        known; one that it has and that is closed stops the yield.
        """
        optional = {rule.spec.get(name) for name in ("recorded", "to", "group")}
        optional.add(rule.spec.get("review", {}).get("field"))
        missing = rule.fields - set(self.admission.admitted)
        return all(name in optional and name not in self.admission.fields for name in missing)

    def _missed(self, rule: Yield, count: int) -> None:
        if count:
            self.not_yielded[rule.id] = self.not_yielded.get(rule.id, 0) + count

    def _event(
        self, rule: Yield, kept: Kept, common: dict[str, Ints], holds: npt.NDArray[np.bool_]
    ) -> int:
        spec, count, columns = rule.spec, len(kept.lines), kept.columns
        kind = words_of(spec["kind"], columns, count, self.intake.kinds)
        role = words_of(spec["role"], columns, count, self.intake.roles)
        day = days_of(columns.get(spec["day"]), count)
        holds = holds & (kind >= 0) & (role >= 0) & (day != NO_DAY)
        born = next(
            (columns[name] for name, one in self.contract.fields.items()
             if one.part == "birth_date" and name in columns),
            None,
        )  # fmt: skip
        ints = {
            **common,
            "kind": kind,
            "role": role,
            "day": day,
            "recorded": self._recorded(spec.get("recorded"), columns, day),
            "age_band": age_bands(born, day),
            "review": found_in_review(rule, columns, count),
            "row": kept.lines,
            "rule": np.full(count, self._places[rule.id], np.int64),
        }
        text = texts(columns.get(spec.get("group", "")), count)
        return _append(self.events, kept.rows, ints, text, holds)

    def _state(
        self, rule: Yield, kept: Kept, common: dict[str, Ints], holds: npt.NDArray[np.bool_]
    ) -> int:
        spec, count, columns = rule.spec, len(kept.lines), kept.columns
        kind = words_of(spec["kind"], columns, count, self.intake.kinds)
        start = days_of(columns.get(spec["from"]), count)
        end = days_of(columns.get(spec.get("to", "")), count)
        place = texts(columns.get(spec.get("place", "")), count)
        holds = holds & (kind >= 0) & (start != NO_DAY)
        if "place" in spec:
            holds &= place.is_valid().to_numpy(zero_copy_only=False)
        ints = {
            **common,
            "kind": kind,
            "start": start,
            "end": np.where(end == NO_DAY, OPEN_END, end),
            "recorded": self._recorded(spec.get("recorded"), columns, start),
            "row": kept.lines,
            "rule": np.full(count, self._places[rule.id], np.int64),
        }
        return _append(self.states, kept.rows, ints, place, holds)

    def _recorded(self, name: str | None, columns: Mapping[str, pa.Array], day: Ints) -> Ints:
        """When it was recorded: as stated; else today, or in a back-load the day itself."""
        stated = days_of(columns.get(name or ""), len(day))
        today = np.full(len(day), day_number(self.intake.today), np.int64)
        unstated = np.minimum(day, today) if self.intake.history else today
        return np.where(stated == NO_DAY, unstated, stated)

    def _flag(
        self, rule: Yield, kept: Kept, common: dict[str, Ints], holds: npt.NDArray[np.bool_]
    ) -> int:
        column = texts(kept.columns.get(rule.spec["field"]), len(kept.lines))
        stated = by_distinct(column, lambda text: {"yes": 1, "no": 0}.get(text, -1), -1)
        places = np.flatnonzero(holds & (stated >= 0))
        if len(places):
            self.flags.append(
                (
                    kept.rows[places],
                    {name: one[places] for name, one in common.items()},
                    rule.spec["name"],
                    stated[places],
                )
            )
        return len(places)


def _append(
    batches: list[tuple[Ints, dict[str, Ints], pa.Array]],
    rows: Ints,
    ints: dict[str, Ints],
    text: pa.Array,
    holds: npt.NDArray[np.bool_],
) -> int:
    if holds.all():
        batches.append((rows, ints, text))
        return len(holds)
    chosen = np.flatnonzero(holds)
    if len(chosen):
        some = {name: one[chosen] for name, one in ints.items()}
        batches.append((rows[chosen], some, text.take(pa.array(chosen))))
    return len(chosen)


def _sorted(rows: set[int]) -> Ints:
    return np.sort(np.fromiter(rows, np.int64, len(rows)))


def _is_whole(name: str) -> bool:
    return UNIT * 2 not in name and not name.endswith(UNIT)


def gathered(keeper: Gathered, closed: set[int], born: Mapping[str, str]) -> Prepared:
    """Return what is left once the rows that a check closed are taken out.

    Args:
        keeper: Everything that passed.
        closed: Rows that a check over several rows closed, or that a later row replaces.
        born: Local key to a birth date, as any table of the delivery says.
    """
    shut = _sorted(closed)

    def stays(rows: Ints) -> npt.NDArray[np.bool_]:
        return ~np.isin(rows, shut) if len(shut) else np.ones(len(rows), dtype=bool)

    spoken = [
        np.stack([numbers, keys, days], axis=1)[stays(rows)]
        for _, rows, numbers, keys, days in keeper.spoken
    ]
    pairs = np.concatenate(spoken) if spoken else np.zeros((0, 3), np.int64)
    used = np.zeros(len(keeper.records), dtype=bool)
    used[pairs[:, 0]] = True
    renumbered = np.cumsum(used) - 1
    all_keys = list(keeper.records)
    prepared = Prepared(
        local_keys=all_keys
        if used.all()
        else [key for key, there in zip(all_keys, used.tolist(), strict=True) if there],
        row_keys=list(keeper.row_keys),
        merges=[(old, new, undone) for row, old, new, undone in keeper.merges if row not in closed],
        not_yielded=keeper.not_yielded,
    )
    prepared.spoken = np.stack([renumbered[pairs[:, 0]], pairs[:, 1], pairs[:, 2]], axis=1)
    count = len(prepared.local_keys)
    apart = {one.part for one in keeper.contract.fields.values() if one.lane == "equality"}
    for part, batches in keeper.parts.items():
        lane = prepared.equality if part in apart else prepared.identities
        lane[part] = _last_known(
            [
                (renumbered[numbers[good]], values.filter(pa.array(good)))
                for rows, numbers, values in batches
                for good in [stays(rows)]
            ],
            count,
        )
    prepared.event_rows = _rows(EVENT_COLUMNS, keeper.events, stays, renumbered)
    prepared.state_rows = _rows(STATE_COLUMNS, keeper.states, stays, renumbered)
    prepared.flags = [
        (number, name, "y" if value else "n", key, day)
        for rows, common, name, values in keeper.flags
        for good in [stays(rows)]
        for number, value, key, day in zip(
            renumbered[common["record"][good]].tolist(),
            values[good].tolist(),
            common["key"][good].tolist(),
            common["window"][good].tolist(),
            strict=True,
        )
    ]
    gone = [keys[stays(rows)] for _, rows, keys in keeper.gone]
    prepared.gone = sorted({int(key) for keys in gone for key in keys if key >= 0})
    _fill_bands(prepared, born)
    return prepared


def _rows(
    columns: tuple[str, ...],
    batches: Sequence[tuple[Ints, dict[str, Ints], pa.Array]],
    stays: Any,
    renumbered: Ints,
) -> Rows:
    made = Rows.of(columns, [(ints, text) for _, ints, text in batches])
    if not len(made):
        return made
    good = np.concatenate([stays(rows) for rows, _, _ in batches])
    if not good.all():
        made = made.take(good)
    made.ints["record"] = renumbered[made.ints["record"]]
    return made


def _last_known(batches: Sequence[tuple[Ints, pa.Array]], count: int) -> list[str | None]:
    """Return each record's value: the last row of a file about a person wins, a gap never erases."""
    if not batches:
        return [None] * count
    numbers = np.concatenate([one for one, _ in batches])
    values = pa.concat_arrays([one for _, one in batches])
    filled = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    last = np.full(count, -1, np.int64)
    last[numbers[filled]] = filled
    places = pa.array(last, mask=last < 0)
    found: list[str | None] = values.take(places).to_pylist()
    return found


def _fill_bands(prepared: Prepared, born: Mapping[str, str]) -> None:
    """Where a row itself names no birth date, take what the delivery says elsewhere."""
    rows = prepared.event_rows
    if not born or not len(rows):
        return
    dates = pa.array([born.get(key) for key in prepared.local_keys], pa.string())
    bands = age_bands(dates.take(pa.array(rows.ints["record"])), rows.ints["day"])
    own = rows.ints["age_band"]
    rows.ints["age_band"] = np.where(own == 0, bands, own)
