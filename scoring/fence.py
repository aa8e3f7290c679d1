"""A fence around the scoring process: what Python opens must lie in the warehouse or the installation.

The process holds no key, so it could read nothing in the vault; the fence makes even the attempt an
error. It is an audit hook, which cannot be taken down again in the process (PEP 578). Files that
native code opens by itself do not pass it, so the paths of a job are checked as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from scoring.errors import ScoringFault

_CLOSED = frozenset(
    {"sqlite3.connect", "socket.connect", "subprocess.Popen", "os.system", "os.exec"}
)
# Arguments that name a file, by event: what a folder holds tells something too.
_NAMES = {
    **dict.fromkeys(("open", "os.listdir", "os.scandir", "os.remove", "os.rmdir", "os.mkdir"), 1),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), 2),
    **dict.fromkeys(("os.truncate", "os.chmod", "os.chown"), 1),
}


def inside(path: Path, roots: Iterable[Path]) -> bool:
    """Say whether a path lies under one of `roots`, links followed."""
    real = path.resolve()
    return any(real.is_relative_to(root) for root in roots)


def check_paths(paths: Iterable[str], warehouse: Path, tables: Path) -> None:
    """Refuse a job that names a file outside the warehouse and the tables.

    Raises:
        ScoringFault: ``FG-RUN-07``.
    """
    if not all(inside(Path(path), (warehouse.resolve(), tables.resolve())) for path in paths):
        raise refused()


def raise_fence(warehouse: Path, tables: Path) -> None:
    """Close everything but the warehouse, the tables and the installation, for good."""
    roots = tuple(
        Path(place).resolve()
        for place in (warehouse, tables, sys.prefix, sys.base_prefix, Path(__file__).parent.parent)
        if Path(place).resolve() != Path("/")
    )
    system = tuple(Path(place) for place in ("/proc", "/sys", "/dev", "/usr", "/lib", "/etc"))
    home = warehouse.resolve().parent

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in _CLOSED:
            raise refused()
        for name in arguments[: _NAMES.get(event, 0)]:
            if not isinstance(name, str | bytes):
                continue
            path = Path(os.fsdecode(name))
            # Other lanes of the same home are closed even where the home lies inside the checkout.
            lane = inside(path, (home,)) and not inside(path, (warehouse.resolve(),))
            if lane or not inside(path, (*roots, *system)):
                raise refused()

    sys.addaudithook(watch)


def refused() -> ScoringFault:
    """Return the refusal; it names no path."""
    return ScoringFault(
        "FG-RUN-07",
        "the scoring process reached for something outside the warehouse",
        "Report this fault; no score stands.",
    )
