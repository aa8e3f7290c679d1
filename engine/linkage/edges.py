"""Scored pairs of records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.linkage.encode import Words

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Edges:
    """Scored pairs, sorted by weight (highest first), then by record.

    Attributes:
        left: Row number of one record.
        right: Row number of the other, larger than `left`.
        weight: Match weight, log2 odds.
        gammas: Comparison to its level number per pair.
    """

    left: Words
    right: Words
    weight: Floats
    gammas: Mapping[str, Words]

    def take(self, places: Words) -> Edges:
        """Return the pairs at these places."""
        return Edges(
            self.left[places],
            self.right[places],
            self.weight[places],
            {name: column[places] for name, column in self.gammas.items()},
        )
