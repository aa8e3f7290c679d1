"""Where each row of a delivery stands: a number of its own, and with it the file and the line.

A line alone names no row: two files of one table both have a line 7, and an XML file may be written on
a single line. What a later check closes is therefore told by the row's number; an agency is told the
file and the line.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Places:
    """Numbers the rows of a delivery in the order in which they pass.

    Lines that follow each other are kept as the first of them, so that memory does not grow with an
    ordinary file.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._first: list[int] = []
        self._lines: list[Ints | None] = []
        self._files: list[str] = []
        self._count = 0

    def take(self, file: str, lines: Ints) -> Ints:
        """Number some rows.

        Args:
            file: Name of the file or sheet, as findings show it; empty when there is only one.
            lines: Physical line of each row.

        Returns:
            The number of each row, from 0, unique in the delivery.
        """
        count = len(lines)
        if count:
            first = int(lines[0])
            follow = int(lines[-1]) - first == count - 1 and bool((np.diff(lines) == 1).all())
            self._starts.append(self._count)
            self._first.append(first)
            self._lines.append(None if follow else np.asarray(lines, np.int64))
            self._files.append(file)
        rows = np.arange(self._count, self._count + count, dtype=np.int64)
        self._count += count
        return rows

    def lines(self, rows: Ints) -> Ints:
        """Return the physical line of each row."""
        found = np.zeros(len(rows), np.int64)
        for number, mask in self._blocks(rows):
            start, kept = self._starts[number], self._lines[number]
            offsets = rows[mask] - start
            found[mask] = self._first[number] + offsets if kept is None else kept[offsets]
        return found

    def by_file(self, rows: Ints) -> Iterator[tuple[str, Ints]]:
        """Yield each file with those of the rows that stand in it."""
        if not len(rows):
            return
        files = np.zeros(len(rows), np.int64)
        names = {name: number for number, name in enumerate(dict.fromkeys(self._files))}
        for number, mask in self._blocks(rows):
            files[mask] = names[self._files[number]]
        for name, number in names.items():
            mine = rows[files == number]
            if len(mine):
                yield name, mine

    def _blocks(self, rows: Ints) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        at = np.searchsorted(np.array(self._starts, np.int64), rows, side="right") - 1
        for number in np.unique(at):
            yield int(number), at == number
