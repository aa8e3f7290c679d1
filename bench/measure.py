"""The harness: agreement first, then rounds of A B A B in CPU time, then one table."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

ROUNDS = 5
PACKAGES = ("numpy", "pandas", "networkx", "cryptography", "pycasbin", "cedarpy", "pyarrow")

PEER, FLOOR = "peer", "floor"
_MEANS = {PEER: "peer / ours", FLOOR: "ours / floor"}


@dataclass(frozen=True)
class Claim:
    """One comparison.

    Attributes:
        what: Our call and the size of its input.
        against: The peer or floor, in words.
        kind: `PEER` or `FLOOR`; it decides which way the ratio is read.
        other: Runs the peer or floor.
        ours: Runs our code.
        agree: Compares (result of other, result of ours).
        reset: Runs before every call and is not timed; empties caches a first call would not have.
    """

    what: str
    against: str
    kind: str
    other: Callable[[], Any]
    ours: Callable[[], Any]
    agree: Callable[[Any, Any], bool]
    reset: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Measured:
    """What one claim measured: CPU seconds and the load average of the machine before it.

    Attributes:
        other: Seconds of the peer or floor, one per round; empty when the results disagree.
        ours: Seconds of our code in the same rounds.
    """

    claim: Claim
    other: tuple[float, ...]
    ours: tuple[float, ...]
    load: float

    @property
    def agreed(self) -> bool:
        """Say whether the results agreed, so that there was something to time."""
        return bool(self.ours)

    def ratios(self) -> list[float]:
        """Return the ratio of each round, in the direction of the claim's kind."""
        pairs = zip(self.other, self.ours, strict=True)
        if self.claim.kind == PEER:
            return [other / ours for other, ours in pairs]
        return [ours / other for other, ours in pairs]


def measure(claim: Claim) -> Measured:
    """Check that the results agree, which also warms both up, then time them in turn."""
    load = os.getloadavg()[0]
    claim.reset()
    other = claim.other()
    claim.reset()
    ours = claim.ours()
    agreed = claim.agree(other, ours)
    del other, ours
    if not agreed:
        return Measured(claim, (), (), load)
    rounds = [
        (_seconds(claim.other, claim.reset), _seconds(claim.ours, claim.reset))
        for _ in range(ROUNDS)
    ]
    return Measured(claim, tuple(a for a, _ in rounds), tuple(b for _, b in rounds), load)


def _seconds(call: Callable[[], Any], reset: Callable[[], object]) -> float:
    reset()
    gc.collect()
    start = time.process_time()
    result = call()
    spent = time.process_time() - start
    del result  # After the clock: freeing a result is no part of making it.
    return spent


def heading() -> list[str]:
    """Return the lines above the table: machine, versions and how to read a row."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return [
        f"Python {platform.python_version()}, {versions}",
        f"{platform.machine()}, {os.cpu_count()} CPUs, load average "
        + " ".join(f"{value:.2f}" for value in os.getloadavg()),
        f"CPU seconds, median of {ROUNDS} rounds A B A B in one process; results agreed before any",
        "round. A peer's ratio is peer / ours (above 1: ours is faster), a floor's is ours / floor.",
    ]


def table(rows: Sequence[Measured]) -> list[str]:
    """Return the table, one line a claim."""
    head = ("ours", "against", "their s", "our s", "ratio", "", "min-max", "load")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    lines = [_line(row, widths) for row in cells]
    return [lines[0], "-" * max(map(len, lines)), *lines[1:]]


def _cells(row: Measured) -> tuple[str, ...]:
    claim, load = row.claim, f"{row.load:.1f}"
    if not row.agreed:
        return (claim.what, claim.against, "-", "-", "-", "RESULTS DISAGREE", "-", load)
    ratios = row.ratios()
    return (
        claim.what,
        claim.against,
        f"{statistics.median(row.other):.4f}",
        f"{statistics.median(row.ours):.4f}",
        f"{statistics.median(ratios):.2f}",
        _MEANS[claim.kind],
        f"{min(ratios):.2f}-{max(ratios):.2f}",
        load,
    )


def _line(cells: Iterable[str], widths: Sequence[int]) -> str:
    left = (0, 1, 5)
    return "  ".join(
        cell.ljust(width) if place in left else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()
