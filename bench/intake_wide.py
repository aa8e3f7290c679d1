"""A wide file against the straightforward way, pandas with pandera, and the memory it takes."""

from __future__ import annotations

import csv
import random
import resource
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pandas as pd
import pandera.pandas as pa_check

import gateways.load
import policies.load
from bench.measure import PEER, Claim
from engine.intake.contract import Contract, contract_of
from engine.intake.package import Member
from engine.intake.prepare import minimised
from engine.intake.read import open_delivery
from engine.intake.tally import Tally
from engine.intake.terms import intake_for
from policies.model import Pack
from scoring.tables import load_tables, shipped

TODAY = date(2026, 11, 25)
# Read once, as a server does.
SCORING = load_tables(shipped())
ROWS = 1_000_000
Found = dict[tuple[str, str], int]
COLUMNS = 30
_KINDS = (
    "text",
    "name",
    "name",
    "date",
    "date",
    "code",
    "code",
    "integer",
    "postcode",
    "nhs_number",
)


def wide_source(pack: Pack) -> Pack:
    """Return a pack with an invented source of thirty columns, ten of each kind three times."""
    base = pack.sources["council.persons"]
    fields = {}
    for place in range(COLUMNS):
        kind, name = _KINDS[place % 10], f"f{place}"
        spec = dict(base.fields["person_id"].spec)
        spec |= {"type": kind, "columns": [f"C{place}"], "label": name, "required": "no",
                 "formats": ["%Y-%m-%d"], "codes": {"A": "a", "B": "b", "C": "c"},
                 "on_bad": "warning", "lane": "content", "category": "social_work"}  # fmt: skip
        spec.pop("part", None)
        fields[name] = replace(
            base.fields["person_id"], name=name, spec=spec, part=None, lane="content", label=name
        )
    key = dict(fields["f0"].spec) | {"required": "yes", "part": "local_id", "lane": "identity"}
    fields["f0"] = replace(fields["f0"], spec=key, lane="identity", part="local_id")
    made = replace(base, id="council.persons", key="f0", fields=fields, yields=(), checks=())
    return replace(pack, sources={**pack.sources, "council.persons": made})


def write_wide(path: Path, rows: int, seed: int = 3) -> None:
    """Write a file with a faulty cell in one of two hundred places."""
    chance = random.Random(seed)
    names = [f"Mock{n:04}" for n in range(3000)]
    days = [date.fromordinal(date(2000, 1, 1).toordinal() + n).isoformat() for n in range(9000)]
    codes = [f"TL{n} {m}AA" for n in range(1, 100) for m in range(10)]
    numbers = [_nhs(chance) for _ in range(200_000)]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([f"C{place}" for place in range(COLUMNS)])
        for number in range(rows):
            row = [f"P{number:08}"]
            for place in range(1, COLUMNS):
                kind = _KINDS[place % 10]
                if chance.random() < 0.005:
                    row.append("?!")
                elif kind == "name":
                    row.append(chance.choice(names))
                elif kind == "date":
                    row.append(chance.choice(days))
                elif kind == "code":
                    row.append(chance.choice("ABC"))
                elif kind == "integer":
                    row.append(str(chance.randrange(400)))
                elif kind == "postcode":
                    row.append(chance.choice(codes))
                elif kind == "nhs_number":
                    row.append(chance.choice(numbers))
                else:
                    row.append(f"note {chance.randrange(10**6)}")
            writer.writerow(row)


def _nhs(chance: random.Random) -> str:
    while True:
        digits = [9, 9, 9, *(chance.randrange(10) for _ in range(6))]
        check = (11 - sum(d * w for d, w in zip(digits, range(10, 1, -1), strict=True)) % 11) % 11
        if check < 10:
            return "".join(map(str, [*digits, check]))


def read_ours(path: Path, pack: Pack, contract: Contract) -> Found:
    """Read, check, gate and minimise; memory holds a batch at a time."""
    with path.open("rb") as stream:
        opened = open_delivery([Member("file", lambda: stream)], contract)
        tally = Tally()
        intake = intake_for(pack, contract, opened.present, SCORING, TODAY)
        kept = sum(len(batch.lines) for batch in minimised(opened, intake, tally))
    assert kept == sum(counts["kept"] for counts in tally.tables.values())
    return {(one.code, one.column): one.count for one in tally.findings.groups()}


_CODES = {"name": "FG-ROW-14", "date": "FG-ROW-02", "code": "FG-ROW-06", "integer": "FG-ROW-12",
          "postcode": "FG-ROW-08", "nhs_number": "FG-ROW-03"}  # fmt: skip
_PATTERNS = {"name": r"^[A-Za-zÀ-ÖØ-öø-ÿ '’`.,/()-]*$|^.*[0-9]$", "integer": r"^[0-9]+$",
             "postcode": r"^[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}$"}  # fmt: skip


def _nhs_good(column: pd.Series) -> pd.Series:
    digits = column.str.replace("[ -]", "", regex=True)
    shaped = digits.str.fullmatch("[0-9]{10}").eq(other=True)
    number = digits.where(shaped, "9990000018").astype("int64")
    cells = [number // 10 ** (9 - place) % 10 for place in range(10)]
    total = sum(cell * (10 - place) for place, cell in enumerate(cells[:9]))
    return shaped & ((11 - total % 11) % 11 == cells[9])


def schema() -> pa_check.DataFrameSchema:
    """Return the same rules as a pandera schema."""
    made: dict[str, Any] = {"C0": pa_check.Column(str, nullable=False)}
    for place in range(1, COLUMNS):
        kind = _KINDS[place % 10]
        checks: list[Any] = []
        if kind in ("text", "name"):
            checks = [pa_check.Check(lambda column: ~column.str.match(r"[=@]|[+\-][A-Za-z(=@]"))]
        if kind in _PATTERNS:
            checks = [*checks, pa_check.Check.str_matches(_PATTERNS[kind])]
        elif kind == "date":
            checks = [pa_check.Check(
                lambda column: pd.to_datetime(column, format="%Y-%m-%d", errors="coerce").notna()
            )]  # fmt: skip
        elif kind == "code":
            checks = [pa_check.Check.isin(["A", "B", "C"])]
        elif kind == "nhs_number":
            checks = [pa_check.Check(_nhs_good)]
        made[f"C{place}"] = pa_check.Column(str, checks, nullable=True)
    return pa_check.DataFrameSchema(made)


def read_pandera(path: Path, rules: pa_check.DataFrameSchema) -> Found:
    """Read with pandas and validate lazily with pandera; count failures by column."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    frame = frame.apply(lambda column: column.str.strip())
    found: Counter[tuple[str, str]] = Counter()
    try:
        rules.validate(frame, lazy=True)
    except pa_check.errors.SchemaErrors as errors:
        for column, count in errors.failure_cases["column"].value_counts().items():
            kind = _KINDS[int(str(column)[1:]) % 10]
            found[_CODES[kind], str(column)] = int(count)
    return dict(found)


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    wide = wide_source(pack)
    contract = contract_of(wide.sources["council.persons"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wide.csv"
        write_wide(path, ROWS)
        rules = schema()
        yield Claim(
            f"read, check, gate and minimise, {ROWS:,} rows x {COLUMNS}",
            "pandas and pandera, same rules",
            PEER,
            lambda: read_pandera(path, rules),
            lambda: read_ours(path, wide, contract),
            lambda theirs, ours: theirs == ours and len(ours) > 20,
        )


def peak(rows: int) -> float:
    """Return the peak memory in MiB of reading a file of `rows` rows; run in a process of its own."""
    pack = wide_source(policies.load.load_pack(gateways.load.shipped(), policies.load.shipped()))
    contract = contract_of(pack.sources["council.persons"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wide.csv"
        write_wide(path, min(rows, ROWS))
        _grow(path, rows)
        read_ours(path, pack, contract)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _grow(path: Path, rows: int) -> None:
    """Lengthen a file to a multiple of its rows, each under a key of its own."""
    size = path.stat().st_size
    for part in range(1, rows // ROWS):
        with path.open("rb") as body, path.open("ab") as end:
            body.readline()
            while body.tell() < size:
                end.write(b"P%d-%s" % (part, body.readline()[1:]))


def write_workbook(source: Path, path: Path) -> None:
    """Write a CSV as a workbook of one sheet, its texts shared as spreadsheet programs write them."""
    texts: dict[str, int] = {}
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    link = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    related = "http://schemas.openxmlformats.org/package/2006/relationships"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book, source.open() as rows:
        book.writestr("[Content_Types].xml", "<Types/>")
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{related}"><Relationship Id="r1" '
            f'Type="{link}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook {space} xmlns:r="{link}"><sheets>'
            '<sheet name="Data" sheetId="1" r:id="r1"/></sheets></workbook>',
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{related}">'
            f'<Relationship Id="r1" Type="{link}/worksheet" Target="sheet.xml"/><Relationship '
            f'Id="r2" Type="{link}/sharedStrings" Target="texts.xml"/></Relationships>',
        )
        with book.open("xl/sheet.xml", "w", force_zip64=True) as sheet:
            sheet.write(f"<worksheet {space}><sheetData>".encode())
            for row in csv.reader(rows):
                cells = "".join(
                    f'<c t="s"><v>{texts.setdefault(one, len(texts))}</v></c>' for one in row
                )
                sheet.write(f"<row>{cells}</row>".encode())
            sheet.write(b"</sheetData></worksheet>")
        with book.open("xl/texts.xml", "w", force_zip64=True) as held:
            held.write(f"<sst {space}>".encode())
            for one in texts:
                held.write(f"<si><t>{escape(one)}</t></si>".encode())
            held.write(b"</sst>")


def peak_of_workbook(path: Path) -> tuple[float, float]:
    """Return CPU seconds and peak memory in MiB of reading a workbook; run in a process of its own."""
    pack = wide_source(policies.load.load_pack(gateways.load.shipped(), policies.load.shipped()))
    contract = contract_of(pack.sources["council.persons"])
    layouts = tuple(replace(one, format="xlsx") for one in contract.layouts)
    contract = replace(contract, layouts=layouts)
    started = time.process_time()
    read_ours(path, pack, contract)
    peak_now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return time.process_time() - started, peak_now
