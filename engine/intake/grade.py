"""How good the identifiers of a delivery are, and what was changed so that they could be read."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from engine.intake.columns import CODES
from engine.intake.contract import Contract, FieldContract
from engine.intake.cross import FORM_DAY
from engine.intake.parts import same_day, text_of

GRADED = frozenset({"nhs_number", "upn", "nino", "uprn", "postcode", "birth_date"})
REPAIRS_KEPT = 1000
_REPAIRS = {
    "nhs_number": "spaces and hyphens were taken out of a number",
    "upn": "small letters were made capitals",
    "postcode": "small letters were made capitals",
    "nino": "spaces were taken out and small letters made capitals",
    "uprn": "leading zeros were taken off",
    "boolean": "true or false was read as 1 or 0",
}
_LETTERED = "a letter before a code was taken off"


@dataclass
class Grades:
    """Quality of identifiers, and repairs with keyed hashes of the value before and after.

    Args:
        key: A random key of this delivery: hashes of small value spaces can be tried out, so they say
            something only to whoever holds it.
    """

    key: bytes = field(repr=False)
    quality: dict[str, dict[str, int]] = field(default_factory=dict)
    repairs: dict[str, int] = field(default_factory=dict)
    repaired: list[tuple[str, int, str, str, str]] = field(default_factory=list, repr=False)

    def grade(self, spec: FieldContract, values: pa.Array, codes: npt.NDArray[np.uint8]) -> None:
        """Count a column of identifiers as good, weak, unusable or missing."""
        name = spec.part if spec.part in GRADED else spec.type
        if name not in GRADED:
            return
        counts = self.quality.setdefault(name, {"good": 0, "weak": 0, "unusable": 0, "missing": 0})
        wrong = codes != 0
        present = values.is_valid().to_numpy(zero_copy_only=False)
        weak = np.zeros(len(codes), dtype=bool)
        if name == "birth_date":
            # Whoever does not know the day writes the first of January; a date without a day is no day.
            vague = pc.match_substring_regex(text_of(values), "-01-01$|^[0-9]{4}(-[0-9]{2})?$")
            weak = np.asarray(pc.fill_null(vague, pa.scalar(value=False)), dtype=bool)
        missing = ~present & (~wrong | (codes == CODES.index("FG-ROW-01")))
        unusable = wrong & ~missing & ~weak
        counts["missing"] += int(missing.sum())
        counts["weak"] += int((weak & ~unusable).sum())
        counts["unusable"] += int(unusable.sum())
        counts["good"] += int((~missing & ~unusable & ~weak).sum())

    def believed(
        self, contract: Contract, table: str, columns: Mapping[str, pa.Array]
    ) -> dict[str, pa.Array]:
        """Return the columns without dates that a form filled in: they identify nobody (LNK-7).

        Which those are a check of the contract says; the row stays, and its date counts as unusable.
        """
        kept = dict(columns)
        for check in contract.checks:
            if check.rule != FORM_DAY or check.table not in ("", table):
                continue
            first, second = check.fields[:2]
            if first not in kept or second not in kept:
                continue
            filled_in = same_day(kept[first], kept[second])
            texts = text_of(kept[first])
            weak = pc.and_(filled_in, pc.fill_null(pc.ends_with(texts, "-01-01"), False))  # noqa: FBT003
            kept[first] = pc.if_else(filled_in, pa.scalar(None, pa.string()), texts)
            counts = self.quality.get(contract.fields[first].part or "")
            if counts is not None:
                total, vague = int(pc.sum(filled_in).as_py() or 0), int(pc.sum(weak).as_py() or 0)
                counts["unusable"] += total
                counts["weak"] -= vague
                counts["good"] -= total - vague
        return kept

    def note_repairs(
        self,
        spec: FieldContract,
        column: str,
        lines: npt.NDArray[np.int64],
        cells: pa.Array,
        values: pa.Array,
        changed: npt.NDArray[np.bool_],
    ) -> None:
        """Record which cells were read as something other than what stands there."""
        rule = _REPAIRS.get(spec.type, _LETTERED)
        places = np.flatnonzero(changed)
        if not len(places):
            return
        before = self.repairs.get(rule, 0)
        self.repairs[rule] = before + len(places)
        for place in places[: max(0, REPAIRS_KEPT - before)]:
            old, new = cells[int(place)].as_py().strip(), values[int(place)].as_py()
            self.repaired.append(
                (rule, int(lines[place]), column, self._hash(old), self._hash(new))
            )

    def _hash(self, text: str | None) -> str:
        return hmac.new(self.key, (text or "").encode(), hashlib.sha256).hexdigest()[:32]
