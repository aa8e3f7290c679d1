"""Draft a contract from a sample file: every field closed until somebody names the law that opens it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import pyarrow.parquet as pq

from engine.domain.errors import ContractError
from engine.intake.csv_head import sample_of
from engine.intake.parts import plain_name
from engine.intake.read import format_of
from engine.intake.read_workbook import cell_text, top_of
from engine.intake.workbook_cells import Workbook

SAMPLE = 2000
_LAYOUTS = ("%Y-%m-%d", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y-%b-%d %H:%M:%S", "%d-%b-%Y",
            "%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%Y-%m", "%b-%y")  # fmt: skip
_PARTS = (
    (r"nhs", "nhs_number", "nhs_number"),
    (r"\bupn\b|pupil number", "upn", "upn"),
    (r"nino|national insurance", "nino", "nino"),
    (r"uprn", "uprn", "uprn"),
    (r"post ?code", "postcode", "postcode"),
    (r"dob|birth", "date", "birth_date"),
    (r"fore ?name|first ?name|given", "name", "given_name"),
    (r"sur ?name|last ?name|family ?name", "name", "surname"),
    (r"address", "address", "address"),
    (r"\bsex\b|gender", "code", "sex"),
    (r"e-?mail", "email", "email"),
    (r"phone|mobile", "phone", "phone"),
)
_CONTACT = ("address", "postcode", "phone", "email", "uprn")
_TEXT = r"note|remark|comment|description|detail|reason|text|answer"


@dataclass
class Column:
    """A column of a sample: its name as sent, and what it seems to hold."""

    header: str
    name: str
    type: str = "text"
    part: str = ""
    formats: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    free_text: bool = False
    distinct: int = 0
    filled: int = 0


@dataclass
class Draft:
    """A drafted contract.

    Attributes:
        yaml: The text of a source file.
        notes: What a person has to decide, as sentences.
    """

    yaml: str = field(repr=False)
    notes: list[str]


def draft(stream: BinaryIO, source: str, agency: str) -> Draft:
    """Draft the contract of a source from a sample.

    Args:
        stream: A sample file; its values are looked at and none but short codes is repeated.
        source: Id for the source, for example ``housing.repairs``.
        agency: The agency that sends it.

    Raises:
        SubmissionError: The file cannot be read.
        ContractError: ``FG-CON-01`` no column names a person: such data is never linked to one.
    """
    file_format = format_of(stream)
    if file_format == "xml":
        raise ContractError(
            "FG-CON-03",
            "a contract for XML is not drafted from a sample",
            "Copy the contract of a source that is sent as XML and name its elements.",
        )
    headers, rows = _sample(stream, file_format)
    columns = [
        _column(header, [row[place] for row in rows if place < len(row)])
        for place, header in enumerate(headers)
        if header
    ]
    _unique_names(columns)
    key = _key(columns, len(rows))
    if key is not None:
        key.type = "text"  # An id may begin with zeros.
    _one_of_each(columns)
    vague = [one.header for one in columns if one.formats in (("%Y-%m",), ("%b-%y",))]
    if key is None or (not any(one.part for one in columns) and vague):
        why = f"; its dates ({', '.join(vague)}) name a month and no day" if vague else ""
        raise ContractError(
            "FG-CON-01",
            f"no column of the sample names a person{why}",
            "Such data describes places. It is never linked to people, so it gets no contract here.",
        )
    return Draft(_yaml(columns, key, source, agency, file_format), _notes(columns, key))


def _sample(stream: BinaryIO, file_format: str) -> tuple[list[str], list[list[str]]]:
    if file_format == "xlsx":
        book = Workbook(stream)
        found = top_of(book, book.sheets[0][1], SAMPLE + 1) if book.sheets else []
        texts = [row for row in found if any(row)]
        width = max(map(len, texts), default=0)
        texts = [[*row, *[""] * (width - len(row))] for row in texts]
    elif file_format == "parquet":
        file = pq.ParquetFile(stream)
        batch = next(file.iter_batches(SAMPLE), None)
        body = batch.to_pylist() if batch is not None else []
        names = list(file.schema_arrow.names)
        texts = [names, *([cell_text(row[name]) for name in names] for row in body)]
    else:
        texts = sample_of(stream, SAMPLE)
    return (texts[0], texts[1:]) if texts else ([], [])


def _column(header: str, cells: Sequence[str]) -> Column:
    filled = [cell.strip() for cell in cells if cell.strip()]
    distinct = sorted(set(filled))
    made = Column(header, _token(header), distinct=len(distinct), filled=len(filled))
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-]+", " ", header).lower()
    made.formats = _formats(filled)
    for pattern, kind, part in _PARTS:
        if re.search(pattern, words):
            made.type, made.part = kind, part
            break
    else:
        if re.search(_TEXT, words) and any(len(cell) > 40 for cell in filled):
            made.free_text = True
        elif made.formats:
            made.type = "date"
        elif filled and all(cell.isascii() and cell.isdigit() for cell in filled):
            made.type = "integer" if len(distinct) > 1 or len(filled) == 1 else "text"
        elif filled and len(distinct) <= 20 and len(filled) >= 3 * len(distinct):
            made.type = "code"
    if made.type == "date" and not made.formats:
        made.formats = ("%Y-%m-%d",)
    if made.type == "code":
        # Short words that come again and again are codes; anything else is not repeated here.
        made.codes = tuple(one for one in distinct if len(one) <= 24 and len(distinct) <= 20)
    return made


def _formats(filled: Sequence[str]) -> tuple[str, ...]:
    if not filled:
        return ()
    found = []
    left = list(filled)
    for layout in _LAYOUTS:
        matching = [cell for cell in left if _reads(cell, layout)]
        if len(matching) > 0.2 * len(filled):
            found.append(layout)
            left = [cell for cell in left if not _reads(cell, layout)]
    return tuple(found) if len(left) <= 0.1 * len(filled) else ()


def _reads(cell: str, layout: str) -> bool:
    try:
        datetime.strptime(cell, layout)  # noqa: DTZ007  # a day has no zone
    except ValueError:
        return False
    return True


def _key(columns: Sequence[Column], rows: int) -> Column | None:
    """Return the column that seems to name the person: an id that is always filled."""
    ids = [
        one
        for one in columns
        if re.search(
            r"(^|_)(id|ref|no|number|upn|child|person|pupil|nominal|client)(_|$)", one.name
        )
        and one.filled == rows
        and rows
        and one.type in ("text", "integer", "upn", "nhs_number")
    ]
    strong = [
        one for one in ids if re.search("person|child|pupil|nominal|client|upn|nhs", one.name)
    ]
    return next(iter([*strong, *ids]), None)


def _token(header: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", header)
    name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")
    return name if name[:1].isalpha() else f"f_{name or 'x'}"


def _unique_names(columns: Sequence[Column]) -> None:
    seen: dict[str, int] = {}
    for one in columns:
        seen[one.name] = seen.get(one.name, 0) + 1
        if seen[one.name] > 1:
            one.name = f"{one.name}_{seen[one.name]}"


def _one_of_each(columns: Sequence[Column]) -> None:
    """A second birth date or name is somebody else's, such as a mother's."""
    seen: set[str] = set()
    for one in columns:
        if one.part in seen and one.part != "address":
            one.part = ""
        seen.add(one.part)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _yaml(
    columns: Sequence[Column], key: Column, source: str, agency: str, file_format: str
) -> str:
    lines = [
        "# Drafted from a sample. Every field is closed: name gateways, agreements, purposes and a",
        "# retention for each one that is needed, and leave the others closed or out.",
        f"source: {source}",
        f"agency: {agency}",
        f"title: {_quoted(source.replace('.', ': '))}",
        "regime: ukgdpr",
        f"scheme: {source}",
        f"key: {key.name}",
        'row_error_limit: "0.200"',
        "layouts:",
        f'  - {{id: "sample", format: {file_format}}}',
        "fields:",
    ]
    for one in columns:
        category = "choose_one"
        if one.part:
            category = "contact" if one.part in _CONTACT else "identity"
        lane = "identity" if one.part or one is key else "content"
        parts = [
            f"label: {_quoted(plain_name(one.header))}",
            f"category: {category}",
            f"lane: {lane}",
            f"type: {one.type}",
            f"columns: [{_quoted(one.header)}]",
        ]
        if one is key:
            parts += ["part: local_id", "required: yes"]
        elif one.part:
            parts.append(f"part: {one.part}")
        if one.formats and one.type == "date":
            parts.append(f"formats: [{', '.join(map(_quoted, one.formats))}]")
        if one.codes:
            mapped = ", ".join(f"{_quoted(code)}: {_token(code)}" for code in one.codes)
            parts.append(f"codes: {{{mapped}}}")
        if one.free_text:
            parts.append("free_text: yes")
        parts.append("gateways: []")
        lines.append(f"  {one.name}: {{{', '.join(parts)}}}")
    lines.append("yields: []")
    return "\n".join(lines) + "\n"


def _notes(columns: Sequence[Column], key: Column) -> list[str]:
    notes = [f"The key seems to be {plain_name(key.header)}: it must name a person, not a row."]
    notes += [
        f"{plain_name(one.header)} is free text: keep it closed, or derive a flag from it."
        for one in columns
        if one.free_text
    ]
    several = [plain_name(one.header) for one in columns if len(one.formats) > 1]
    if several:
        notes.append(f"More than one date layout stands in {', '.join(several)}.")
    notes.append("Write a category for every choose_one, and yields for what should become events.")
    return notes


def write_draft(made: Draft, path: Path) -> None:
    """Write a draft where nothing stands yet.

    Raises:
        FileExistsError: Something stands there.
    """
    with path.open("x", encoding="utf-8") as stream:
        stream.write(made.yaml)
