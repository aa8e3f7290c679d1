"""Open a delivery: tell each file's format by its bytes, and hand it to the reader of that format.

Nothing is decided by a file's ending. Memory does not grow with the file, whatever its format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from engine.domain.errors import ContractError, SubmissionError
from engine.intake.contract import Contract
from engine.intake.package import Member, is_workbook, members_of
from engine.intake.parts import Batch, Part, plain_name
from engine.intake.read_csv import open_csv
from engine.intake.read_workbook import open_parquet, open_workbook
from engine.intake.read_xml import open_xml

__all__ = ["Batch", "Opened", "format_of", "open_delivery"]


_ARCHIVE = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


@dataclass
class Opened:
    """A delivery that fits the contract, its rows still to be read."""

    parts: list[Part] = field(repr=False)
    again: Callable[[], Opened] = field(repr=False)
    """Opens the same delivery from its start."""

    @property
    def layout(self) -> str:
        """The layout that was sent; several are joined."""
        return " + ".join(dict.fromkeys(part.layout for part in self.parts))

    @property
    def encoding(self) -> str:
        """The encodings or formats found."""
        return " + ".join(dict.fromkeys(part.encoding for part in self.parts))

    @property
    def present(self) -> tuple[str, ...]:
        """Fields of which a column stands in some part."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.present))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Columns that the contract does not name."""
        return tuple(dict.fromkeys(name for part in self.parts for name in part.unknown))

    @property
    def tables(self) -> frozenset[str]:
        """Tables that are there."""
        return frozenset(name for part in self.parts for name in part.table.split("+"))

    @property
    def batches(self) -> Iterator[Batch]:
        """Every row, part after part."""
        for part in self.parts:
            yield from part.batches


def open_delivery(delivery: BinaryIO | Sequence[Member], contract: Contract) -> Opened:
    """Open a delivery under its contract.

    Args:
        delivery: One stream, or the members of a delivery.
        contract: The contract of the source.

    Raises:
        SubmissionError: ``FG-SUB-01`` empty, ``FG-SUB-02`` unreadable, ``FG-SUB-05`` and
            ``FG-SUB-12`` to ``FG-SUB-18`` a hazard.
        ContractError: ``FG-SUB-03`` format never sent, ``FG-SUB-04`` wrong layout, ``FG-SUB-19`` a
            file set that is not complete, ``FG-SUB-20`` a file that is no table of the source.
    """
    members = delivery if isinstance(delivery, Sequence) else members_of([("file", delivery)])
    if not members:
        raise SubmissionError("FG-SUB-01", "the delivery holds no file", "Send the extract again.")
    parts: list[Part] = []
    for member in members:
        parts += _open_member(member, contract, alone=len(members) == 1)
    opened = Opened(parts, lambda: open_delivery(members, contract))
    _check_complete(opened, contract)
    return opened


def format_of(stream: BinaryIO) -> str:
    """Return ``csv``, ``xml``, ``xlsx`` or ``parquet`` by the first bytes.

    Raises:
        SubmissionError: ``FG-SUB-01`` empty, ``FG-SUB-02`` some other format.
    """
    head = stream.read(4096)
    stream.seek(0)
    if not head.strip(b"\xef\xbb\xbf \r\n\t"):
        raise SubmissionError("FG-SUB-01", "the file is empty", "Send the extract again.")
    if head.startswith(b"PK\x03\x04") and is_workbook(stream):
        return "xlsx"
    if head.startswith(b"PAR1"):
        return "parquet"
    wide = head[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = head.decode("utf-16", errors="ignore").encode() if wide else head
    if text.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<"):
        return "xml"
    if head.startswith((*_ARCHIVE, b"\xd0\xcf\x11\xe0", b"%PDF", b"{", b"[")) or (
        b"\x00" in head and not wide
    ):
        raise SubmissionError(
            "FG-SUB-02",
            "the file is neither CSV, XML, a workbook (.xlsx) nor Parquet",
            "Save it as CSV (UTF-8) and send that.",
        )
    return "csv"


def _open_member(member: Member, contract: Contract, *, alone: bool) -> list[Part]:
    stream = member.open()
    found = format_of(stream)
    if found == "xlsx":
        return open_workbook(stream, contract)
    if found == "xml":
        return [open_xml(stream, member.name, contract)]
    several = len(contract.tables) > 1
    named = next((one.id for one in contract.tables if one.named(member.name)), None)
    if several and named is None and not alone:
        raise ContractError(
            "FG-SUB-20",
            f"the file {plain_name(member.name)} is no table of {contract.source}",
            "Leave it out, or name it as the contract does: "
            f"fieldgate contract show {contract.source}.",
        )
    opener = open_parquet if found == "parquet" else open_csv
    return [opener(stream, member.name, contract, named if several else contract.tables[0].id)]


def _check_complete(opened: Opened, contract: Contract) -> None:
    missing = [one.id for one in contract.tables if one.required and one.id not in opened.tables]
    if missing:
        raise ContractError(
            "FG-SUB-19",
            f"the file set is not complete: {', '.join(missing)} is missing",
            "Send the files that belong together in one delivery, as a zip or side by side.",
        )
