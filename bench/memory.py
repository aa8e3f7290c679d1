"""How much memory reading takes, by the size of the file: flat, or not. Each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence

SIZES: Sequence[tuple[str, str, str, tuple[int, ...]]] = (
    (
        "read, check, gate and minimise a CSV",
        "rows x 30",
        "bench.intake_wide",
        (1_000_000, 5_000_000),
    ),
    ("the same of a census in XML", "children", "bench.intake_census", (50_000, 250_000)),
)


def lines() -> Iterator[str]:
    """Measure, and yield a line for each kind of file: its peak at every size, in MiB."""
    yield "Peak memory, each size in a process of its own:"
    for what, unit, module, sizes in SIZES:
        peaks = [f"{_peak(module, size):,.0f} MiB at {size:,}" for size in sizes]
        yield f"  {what}: {', '.join(peaks)} {unit}"


def _peak(module: str, size: int) -> float:
    code = f"from {module} import peak; print(peak({size}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)
