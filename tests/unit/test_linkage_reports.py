"""What users of other linkage libraries reported, and what ours does there (linkage.md 5.1)."""

from __future__ import annotations

import itertools
import math
import re
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

import engine
from engine.linkage.artefacts import load_model, shipped
from engine.linkage.encode import Encoder, Words
from engine.linkage.linker import SplinkLinker
from engine.linkage.settings_v2 import COMPARISONS, NULLS
from tests.builders.encoded import KEY, encoded, person

UPN = "Z980000004145"


def test_a_missing_value_counts_neither_for_nor_against() -> None:
    """recordlinkage 162, 104, 180: missing was compared as agreement, or as a zero of the user's."""
    known = person("Ada", "Fakename", "2010-03-04", upn=UPN)
    model = load_model(shipped())
    linker = SplinkLinker(Encoder(KEY, 1), model)
    both = linker.edges(encoded([known, known]))
    one = linker.edges(encoded([known, {**known, "upn": None}]))
    neither = linker.edges(encoded([{**known, "upn": None}, {**known, "upn": None}]))
    assert [found.gammas["upn"].tolist() for found in (both, one, neither)] == [[1], [-1], [-1]]
    m, u = model.probabilities["upn"]["exact"]
    assert math.isclose(both.weight[0] - one.weight[0], math.log2(m / u), rel_tol=1e-9)
    assert one.weight.tolist() == neither.weight.tolist()


def test_what_goes_together_is_compared_once() -> None:
    """splink 1045: two columns that say the same, each with a weight of its own, counted twice."""
    where: dict[str, set[str]] = {}
    for comparison, levels in COMPARISONS.items():
        for label, sql in levels:
            for column in re.findall(r"(\w+?)(?:_\d)?_l\b", sql):
                where.setdefault(column, set()).add(f"{comparison}.{label}")
    several = {
        column: used
        for column, used in where.items()
        if len({one.split(".")[0] for one in used}) > 1
    }
    # Surname and home are one comparison. Only for two names in the other order is the surname asked twice.
    assert set(several) == {"surname"}
    assert {one for one in several["surname"] if not one.startswith("home.")} == {"given.swapped"}
    assert set(NULLS) == set(COMPARISONS)


class _Counting(SplinkLinker):
    """Remembers how many records were handed over to be compared."""

    seen: tuple[int, ...] = ()

    def table(self, words: Words) -> pa.Table:
        self.seen = (*self.seen, len(words))
        return super().table(words)


def test_few_new_records_are_held_against_those_they_can_pair_with_alone() -> None:
    """splink PR 3229: scoring a thousand pairs wrote all eight million records out."""
    crowd = [
        person(f"Xy{n}a", f"Fakename{n}", "2001-02-03", postcode=f"TL{n % 9} {n % 10}AA")
        for n in range(300)
    ]
    new = person("Ada", "Madeup", "2010-03-04", address="3 Mill Lane", postcode="TL9 9ZZ")
    fresh = np.zeros(302, dtype=bool)
    fresh[-1] = True
    linker = _Counting(Encoder(KEY, 1), load_model(shipped()))
    found = linker.edges(encoded([*crowd, new, new]), fresh)
    assert list(zip(found.left.tolist(), found.right.tolist(), strict=True)) == [(300, 301)]
    assert linker.seen == (2,)


def test_every_part_of_a_value_sets_positions_that_hang_on_nothing_but_it() -> None:
    """clkhash 33: the second of two hashes was zero for one part in 1,024, which then set one bit."""
    parts = itertools.islice(
        (chr(code) for code in range(0x4E00, sys.maxunicode) if chr(code).isalnum()), 4000
    )
    _, counts = Encoder(KEY, 1).bloom("dob", list(parts))
    # Four draws among 256: all four differ for 97.7 % of parts; one bit alone for one part in 16 million.
    assert counts.min() >= 2
    assert 0.96 < float((counts == 4).mean()) < 0.99


def test_no_file_of_the_database_that_compares_is_kept() -> None:
    """splink 3151: files of one version could not be read by another; DuckDB is scratch here."""
    sources = list(Path(engine.__file__).parent.rglob("*.py"))
    opened = [
        match
        for path in sources
        for match in re.findall(r"duckdb\.connect\(([^)]*)\)", path.read_text(encoding="utf-8"))
    ]
    assert opened
    assert set(opened) == {'":memory:"'}
