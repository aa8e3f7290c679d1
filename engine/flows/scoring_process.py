"""Start the scoring process: our own module, with a scrubbed environment and its job on standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine.domain.errors import RunError


def run_process(job: dict[str, Any], out: Path, module: str = "scoring.run") -> dict[str, Any]:
    """Run the scoring process with a scrubbed environment; the job comes on standard input.

    Raises:
        RunError: The code of the process, or ``FG-RUN-05`` when it failed without one.
    """
    process = subprocess.run(  # noqa: S603  # our own modules, no shell
        [sys.executable, "-I", "-m", module],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=out,
        env={"OMP_NUM_THREADS": "1", "PATH": "", "LC_ALL": "C.UTF-8"},
        check=False,
    )
    if process.returncode == 3:
        fault = json.loads(process.stderr.strip().splitlines()[-1])
        raise RunError(fault["code"], fault["message"], fault["next_step"])
    if process.returncode != 0:
        # Only the type of the error is told: its text might hold a value.
        last = (process.stderr.strip().splitlines() or ["unknown"])[-1].split(":")[0]
        raise RunError(
            "FG-RUN-05",
            f"the scoring process failed ({last.rsplit('.', 1)[-1][:40]})",
            "Run it again; report this if it repeats.",
        )
    manifest: dict[str, Any] = json.loads(process.stdout)
    return manifest
