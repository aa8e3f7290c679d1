"""The cells of a workbook as they pass, held to another reader that keeps the sheet whole."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import python_calamine
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.errors import SubmissionError
from engine.intake import spool, workbook_cells
from engine.intake.read_workbook import cell_text
from engine.intake.spool import CHUNK, Spool
from engine.intake.workbook_cells import Workbook, place_of
from engine.intake.workbook_numbers import kind_of_format
from tests.property.test_intake_reading import workbook

SPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
FORMATS = ("yyyy-mm-dd", "dd/mm/yyyy hh:mm", "h:mm AM/PM", "0.00", '0 "days"', "[Red]0;-0",
           "[h]:mm", "General", r"0\d", "mmm-yy", "#,##0.00_d")  # fmt: skip


def sheet_of(rows: str) -> str:
    """Return a sheet of rows."""
    return f'<worksheet xmlns="{SPACE}"><sheetData>{rows}</sheetData></worksheet>'


def book_of(rows: str, *, texts: str = "", styles: str = "", more: str = "") -> bytes:
    """Return a workbook of one sheet with shared texts and styles."""
    made = io.BytesIO(workbook(sheet_of(rows)))
    out = io.BytesIO()
    with zipfile.ZipFile(made) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name).decode()
            if name == "xl/_rels/workbook.xml.rels":
                data = data.replace(
                    "</Relationships>",
                    f'<Relationship Id="rId8" Type="{RELATED}/sharedStrings" '
                    f'Target="sharedStrings.xml"/><Relationship Id="rId9" Type="{RELATED}/styles" '
                    'Target="/xl/styles.xml"/></Relationships>',
                )
            if name == "xl/workbook.xml":
                data = data.replace("<sheets>", f"{more}<sheets>")
            new.writestr(name, data)
        new.writestr("xl/sharedStrings.xml", f'<sst xmlns="{SPACE}">{texts}</sst>')
        new.writestr("xl/styles.xml", f'<styleSheet xmlns="{SPACE}">{styles}</styleSheet>')
    return out.getvalue()


def ours(data: bytes) -> dict[tuple[int, int], str]:
    """Return the texts of the first sheet by row from 1 and column from 0."""
    book = Workbook(io.BytesIO(data))
    return {
        (number, at): text
        for block in book.rows(book.sheets[0][1])
        for number, cells in block
        for at, text in cells.items()
        if text
    }


def theirs(data: bytes, place: int = 0) -> dict[tuple[int, int], str]:
    """Return the same as the other reader has it."""
    book = python_calamine.load_workbook(io.BytesIO(data))
    rows = book.get_sheet_by_index(place).to_python(skip_empty_area=False)
    return {
        (number, at): cell_text(cell)
        for number, row in enumerate(rows, 1)
        for at, cell in enumerate(row)
        if cell_text(cell) != ""
    }


def styles() -> str:
    """Return a cell format for every number below sixty and for each of `FORMATS`."""
    named = "".join(
        f'<numFmt numFmtId="{164 + n}" formatCode="{code.replace(chr(34), "&quot;")}"/>'
        for n, code in enumerate(FORMATS)
    )
    numbers = [*range(60), *range(164, 164 + len(FORMATS))]
    cells = "".join(f'<xf numFmtId="{number}"/>' for number in numbers)
    return f"<numFmts>{named}</numFmts><cellStyleXfs><xf/></cellStyleXfs><cellXfs>{cells}</cellXfs>"


@pytest.mark.parametrize("epoch", ["", '<workbookPr date1904="1"/>'], ids=["1900", "1904"])
def test_every_format_shows_a_number_as_the_other_reader_does(epoch: str) -> None:
    values = ("0", "0.25", "1", "59", "60", "61", "44927", "44927.5", "45000.999", "2958465")
    count = 60 + len(FORMATS)
    rows = "".join(
        f'<row r="{style + 1}">'
        + "".join(f'<c r="{chr(65 + n)}{style + 1}" s="{style}"><v>{value}</v></c>'
                  for n, value in enumerate(values)) + "</row>"
        for style in range(count)
    )  # fmt: skip
    data = book_of(rows, styles=styles(), more=epoch)
    mine, other = ours(data), theirs(data)
    assert len(mine) > 700
    assert mine == other


def test_a_day_is_the_day_that_the_workbook_shows() -> None:
    rows = "".join(f'<row r="{n}"><c r="A{n}" s="14"><v>{value}</v></c></row>'
                   for n, value in enumerate((1, 59, 61, 44927, 44927.75), 1))  # fmt: skip
    found = ours(book_of(rows, styles=styles()))
    assert list(found.values()) == [
        "1900-01-01", "1900-02-28", "1900-03-01", "2023-01-01", "2023-01-01 18:00:00",
    ]  # fmt: skip
    # A count below the first day is no day, and stays the number that it is.
    assert ours(book_of('<row><c s="14"><v>-3</v></c></row>', styles=styles())) == {(1, 0): "-3"}
    assert ours(book_of('<row><c s="14"><v>0</v></c></row>', styles=styles(),
                        more='<workbookPr date1904="1"/>')) == {(1, 0): "00:00:00"}  # fmt: skip


def test_texts_are_read_whole_and_without_what_only_says_how_they_are_spoken() -> None:
    texts = (
        "<si><t>plain</t></si>"
        "<si><r><t>ri</t></r><r><rPr/><t xml:space='preserve'>ch </t></r></si>"
        "<si><t>kan</t><rPh sb='0' eb='1'><t>spoken</t></rPh></si>"
        "<si><t>a_x000D_b</t></si><si/>"
    )
    cells = "".join(f'<c t="s"><v>{n}</v></c>' for n in range(5))
    rows = (
        f'<row r="2">{cells}</row><row r="5"><c r="C5" t="inlineStr"><is><r><t>in</t></r><r><t>line'
        '</t></r></is></c><c t="b"><v>1</v></c><c t="e"><v>#N/A</v></c><c t="str"><v>x</v></c>'
        '<c t="d"><v>2026-01-02T03:04:05</v></c><c t="d"><v>2026-01-02</v></c><c s="0"/></row>'
    )
    assert ours(book_of(rows, texts=texts)) == {
        (2, 0): "plain", (2, 1): "rich ", (2, 2): "kan", (2, 3): "a\rb",
        (5, 2): "inline", (5, 3): "1", (5, 4): "#N/A", (5, 5): "x",
        (5, 6): "2026-01-02 03:04:05", (5, 7): "2026-01-02",
    }  # fmt: skip


@settings(max_examples=60)
@given(
    st.lists(
        st.lists(
            st.one_of(
                st.none(),
                st.text(st.characters(min_codepoint=32, exclude_characters="\ufffe\uffff",
                                      exclude_categories=["Cs"]), max_size=6),
                st.integers(-(10**14), 10**14),
                st.floats(allow_nan=False, allow_infinity=False, width=32),
            ),
            max_size=5,
        ),
        max_size=6,
    ),
    st.booleans(),
)  # fmt: skip
def test_any_sheet_is_read_as_the_other_reader_reads_it(
    rows: list[list[Any]], shared: bool
) -> None:
    texts: list[str] = []
    made = []
    for number, row in enumerate(rows, 1):
        cells = []
        for at, value in enumerate(row):
            where = f'r="{chr(65 + at)}{number}"'
            if isinstance(value, str):
                text = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
                if shared:
                    cells.append(f'<c {where} t="s"><v>{len(texts)}</v></c>')
                    texts.append(f'<si><t xml:space="preserve">{text}</t></si>')
                else:
                    cells.append(
                        f'<c {where} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
                    )
            elif value is not None:
                cells.append(f"<c {where}><v>{value!r}</v></c>")
        made.append(f'<row r="{number}">{"".join(cells)}</row>')
    data = book_of("".join(made), texts="".join(texts), styles=styles())
    assert ours(data) == theirs(data)


def test_the_public_workbook_reads_as_the_other_reader_reads_it(realdata: Path) -> None:
    data = (realdata / "annex_a" / "fake_sen.xlsx").read_bytes()
    book = Workbook(io.BytesIO(data))
    other = python_calamine.load_workbook(io.BytesIO(data))
    assert [name for name, _ in book.sheets] == other.sheet_names
    compared = 0
    for place, (_, path) in enumerate(book.sheets):
        mine = {
            (n, at): text
            for block in book.rows(path)
            for n, cells in block
            for at, text in cells.items()
        }
        assert mine == theirs(data, place)
        compared += len(mine)
    assert compared > 50


@pytest.mark.parametrize(
    "rows",
    [
        '<row r="2"/><row r="2"/>',
        '<row r="3"/><row r="2"/>',
        '<row r="1048577"/>',
        '<row r="1"><c r="A2"><v>1</v></c></row>',
        '<row r="1"><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>',
        '<row r="1"><c r="a1"><v>1</v></c></row>',
        '<row r="1"><c r="XFE1"><v>1</v></c></row>',
        '<row r="x"/>',
        '<row r="1"><c t="s"><v>7</v></c></row>',
        '<row r="1"><c t="s"><v>-1</v></c></row>',
        '<row r="1"><c s="x"><v>1</v></c></row>',
        '<row r="1"><c><v>1</v></c>',
    ],
    ids=[
        "a-row-twice", "a-row-before-its-time", "a-row-too-far", "a-cell-of-another-row",
        "a-cell-before-its-time", "no-column", "a-column-too-far", "no-row", "no-such-text",
        "a-text-before-the-first", "no-style", "cut",
    ],
)  # fmt: skip
def test_a_sheet_that_contradicts_itself_is_refused_and_loses_nothing(rows: str) -> None:
    with pytest.raises(SubmissionError, match="FG-SUB-02"):
        ours(book_of(rows, texts="<si><t>a</t></si>", styles=styles()))


def test_halves_of_a_character_are_put_together_or_shown_as_unreadable() -> None:
    texts = "<si><t>a_xD83D__xDE00_b</t></si><si><t>c_xD800_</t></si>"
    found = ours(book_of('<row><c t="s"><v>0</v></c><c t="s"><v>1</v></c></row>', texts=texts))
    assert list(found.values()) == ["a\U0001f600b", "c\ufffd"]


def test_a_style_that_is_not_there_is_refused() -> None:
    with pytest.raises(SubmissionError, match="FG-SUB-02"):
        ours(book_of('<row><c s="99"><v>1</v></c></row>', styles=styles()))


def test_a_text_longer_than_cells_are_is_given_up() -> None:
    long = "x" * 200_000
    for rows, texts in ((f'<row><c t="str"><v>{long}</v></c></row>', ""),
                        ('<row><c t="s"><v>0</v></c></row>', f"<si><t>{long}</t></si>")):  # fmt: skip
        with pytest.raises(SubmissionError, match="FG-SUB-14"):
            ours(book_of(rows, texts=texts))


def _tall(rows: int) -> bytes:
    texts = "".join(f"<si><t>text {n} of a row that is its own</t></si>" for n in range(rows))
    made = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>{n - 1}</v></c><c r="B{n}"><v>{n}</v></c></row>'
                   for n in range(1, rows + 1))  # fmt: skip
    return book_of(made, texts=texts)


def test_memory_does_not_grow_with_the_rows_of_a_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when every text is another one: blocks pass, and texts wait on a disk, sealed."""

    block = 1024
    monkeypatch.setattr(workbook_cells, "BLOCK_ROWS", block)
    monkeypatch.setattr(workbook_cells, "_PIECE", 1 << 14)
    monkeypatch.setattr(spool, "CHUNK", 1 << 14)

    def most(rows: int) -> int:
        book = Workbook(io.BytesIO(_tall(rows)))
        tracemalloc.start()
        try:
            seen = sum(len(block) for block in book.rows(book.sheets[0][1], frozenset([0, 1])))
            assert seen == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = most(4 * block), most(12 * block)
    assert large < 1.1 * small


def test_a_nameless_spool_leaves_nothing_to_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    spool = Spool.nameless()
    spool.write(b"canary" * CHUNK)
    assert list(tmp_path.iterdir()) == []
    spool.complete()
    spool.seek(CHUNK - 2)
    assert len(spool.read(6)) in (2, 6)


def test_columns_and_formats_are_told_apart() -> None:
    assert [place_of(one) for one in ("A", "Z", "AA", "XFD")] == [0, 25, 26, 16383]
    assert [kind_of_format(200, code) for code in FORMATS] == [1, 1, 1, 0, 0, 0, 2, 0, 0, 1, 0]


def test_cells_of_other_formats_become_text_alike() -> None:
    assert cell_text(datetime.fromisoformat("2026-01-02T00:00:00")) == "2026-01-02"
    assert cell_text(date(2026, 1, 2)) == "2026-01-02"
    assert (cell_text(time(12, 30)), cell_text(timedelta(hours=30))) == (
        "12:30:00",
        "1 day, 6:00:00",
    )
