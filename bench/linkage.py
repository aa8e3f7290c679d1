"""Linkage on keyed words against the same model on clear text, and a new delivery against a full run.

The clear way holds names, dates and addresses as text, compares names by Jaro-Winkler and dates by edit
distance where ours compares Bloom words, and blocks on the clear values; model, rules of blocking, guard
and clustering are the same. All people are synthetic: a town of another seed than
the one that the model was counted on.
"""

from __future__ import annotations

import csv
import itertools
import json
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import gateways.load
import policies.load
from bench.measure import PEER, Claim
from bench.people import TODAY, People
from engine.city.agencies import FILES, TRUTH_KEYS, write_city
from engine.domain.records import Normalised
from engine.flows.encodings import CHUNK
from engine.identity.normalise import normalise
from engine.intake.contract import contract_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import intake_for
from engine.linkage.artefacts import Model, load_model, shipped
from engine.linkage.cluster import Memory, enough_to_identify
from engine.linkage.decide import decide
from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Encoder, Words
from engine.linkage.linker import SplinkLinker
from engine.linkage.lookup import Lookup
from engine.linkage.settings_v2 import BLOCKING_COLUMNS, dice
from scoring.tables import load_tables
from scoring.tables import shipped as shipped_tables

MASTER, SEED, NEW, CROWD = bytes(range(32)), 77, 0.02, 500_000
LOOKED_UP = 5
RATIO = 0.985
"""Least share of the clear way's cluster F1 that the keyed way reaches (linkage.md 6.1)."""
_CLEAR = {
    dice("given"): "jaro_winkler_similarity(given_l, given_r) >= 0.88",
    dice("surname"): "jaro_winkler_similarity(surname_l, surname_r) >= 0.88",
    dice("dob"): "levenshtein(dob_l, dob_r) <= 1",
}


def clear_condition(sql: str) -> str:
    """Return the condition of a level as somebody with the clear values writes it."""
    for keyed, clear in _CLEAR.items():
        sql = sql.replace(keyed, clear)
    return sql


_BLOCKING = {
    "b_dob_nick": ("dob", "nick"),
    "b_dob_surname": ("dob", "surname_skel"),
    "b_dob_postcode": ("dob", "postcode"),
    "b_name_sector": ("nick", "surname_last", "sector"),
    "b_swap_names": ("dob_swap", "nick", "surname_last"),
    "b_skeletons_year": ("skel_block", "surname_skel", "dob_year"),
    "b_dob_house": ("dob", "house", "sector"),
    "b_pair_dob": ("name_pair", "dob"),
    "b_given_postcode": ("given", "postcode", "house"),
    "b_name_street": ("nick", "surname_skel", "street"),
}
"""The blocking rules as somebody with the clear values writes them; one key holds each of ours."""
_NUMBERS = ("given_is_initial", "dob_weak", "nhs_failed")
Clear = dict[str, list[str | None]]


class ClearLinker(SplinkLinker):
    """The shipped model on clear text throughout: values, derived forms, frequencies and blocking.

    For this comparison only.
    """

    def __init__(self, encoder: Encoder, model: Model, clear: Clear) -> None:
        super().__init__(encoder, model)
        self._clear = {name: pa.array(values, pa.string()) for name, values in clear.items()}

    def table(self, words: Words) -> pa.Table:
        """Return the records in clear; what a run left out of the words is left out here too."""
        columns: dict[str, pa.Array] = {"rid": pa.array(np.arange(len(words), dtype=np.int64))}
        for name, values in self._clear.items():
            # The skeleton of two consonants blocks and does not compare: its own column says which.
            out = np.zeros(len(words), dtype=bool)
            if name in COLUMNS:
                out = words[:, COLUMNS.index(name)] == 0
            columns[name] = pc.if_else(pa.array(out), None, values)
        for name in _NUMBERS:
            columns[name] = pa.array(words[:, COLUMNS.index(name)])
        return pa.table(columns)

    def frequencies(self, column: str, _: Words) -> tuple[pa.Array, pa.Array]:
        """Return the frozen frequency of each clear name that is there."""
        known = self._model.frequencies[column]
        names = self._clear[column].drop_null().unique().to_pylist()
        shares = [known.get(one, self._model.rare) for one in names]
        return pa.array(names, pa.string()), pa.array(shares, pa.float64())

    def settings(self) -> dict[str, Any]:
        """Return the settings with clear comparisons and blocking in place of keyed ones."""
        text = json.dumps(super().settings())
        for keyed, clear in _CLEAR.items():
            assert json.dumps(keyed)[1:-1] in text
            text = text.replace(json.dumps(keyed)[1:-1], clear)
        found: dict[str, Any] = json.loads(text)
        found["blocking_rules_to_generate_predictions"] = [
            {
                "blocking_rule": " and ".join(
                    f"l.{one} = r.{one}" for one in _BLOCKING.get(column, (column,))
                ),
                "sql_dialect": "duckdb",
            }
            for column in BLOCKING_COLUMNS
        ]
        return found


def clear_values(clean: Sequence[Normalised], rows: Sequence[int] | None = None) -> Clear:
    """Return the clear values and derived forms of the columns that linkage compares.

    Args:
        clean: Normalised identities, part after part.
        rows: The records wanted, over all parts; None for all.
    """

    def of(name: str) -> list[Any]:
        values = [value for part in clean for value in getattr(part, name)]
        return values if rows is None else [values[row] for row in rows]

    def each(values: list[Any], derive: Callable[[Any], str | None]) -> list[str | None]:
        return [derive(one) if one else None for one in values]

    given = each(of("given"), lambda one: one[0])
    surname = each(of("surname"), " ".join)
    born, postcode, skeleton = of("birth_date"), of("postcode"), of("skeleton")
    pairs = zip(given, surname, strict=True)
    return {
        "given": given,
        "nick": of("nickname"),
        "pref": of("preferred"),
        "skel": each(skeleton, lambda one: one if len(one) > 2 else None),
        "skel_block": skeleton,
        "initial": each(given, lambda one: one[0]),
        "surname": surname,
        "surname_former": of("former_surname"),
        "surname_last": each(of("surname"), lambda one: one[-1]),
        "surname_skel": of("surname_skeleton"),
        "dob": born,
        "dob_swap": each(born, lambda one: one[:5] + "-".join(sorted((one[5:7], one[8:])))),
        "dob_year": of("birth_year"),
        "sex": of("sex"),
        "postcode": postcode,
        "sector": each(postcode, lambda one: one[:-2]),
        "house": of("house"),
        "street": of("street"),
        "uprn": of("uprn"),
        "nhs": of("nhs_number"),
        "upn": of("upn"),
        "name_pair": ["|".join(sorted((a, b))) if a and b else None for a, b in pairs],
    }


def town(
    seed: int, families: str = "plain"
) -> tuple[list[Normalised], list[int], list[str], list[Words], Encoder]:
    """Return a town's records, normalised and encoded, with the true person of each."""
    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    tables, encoder = load_tables(shipped_tables()), Encoder(MASTER, 1)
    people: list[int] = []
    agencies: list[str] = []
    clean: list[Normalised] = []
    words: list[Words] = []
    with tempfile.TemporaryDirectory() as folder:
        city = write_city(Path(folder), "town", seed, TODAY, families)
        with (city.truth / TRUTH_KEYS).open(encoding="utf-8", newline="") as stream:
            truth = {
                (r["source"], r["local_key"]): int(r["person"]) for r in csv.DictReader(stream)
            }
        for source in FILES:
            contract = contract_of(pack.sources[source])
            with city.file(source).open("rb") as stream:
                opened = open_delivery(stream, contract)
                ready = prepare(opened, intake_for(pack, contract, opened.present, tables, TODAY))
            clean.append(
                normalise(dict(ready.identities), len(ready.local_keys), TODAY,
                          accept_test_range=True, local_scheme="")
            )  # fmt: skip
            words.append(encoder.encode(clean[-1], TODAY))
            people += [truth[source, key] for key in ready.local_keys]
            agencies += [contract.agency] * len(ready.local_keys)
    return clean, people, agencies, words, encoder


def f1(clusters: Sequence[int], truth: Sequence[int]) -> float:
    """Return the pairwise F1 of a clustering."""

    def pairs(values: Any) -> int:
        return sum(count * (count - 1) // 2 for count in Counter(values).values())

    both = pairs(zip(clusters, truth, strict=True))
    return 2 * both / (pairs(clusters) + pairs(truth))


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    model = load_model(shipped())
    clean, people, agencies, parts, encoder = town(SEED)
    words = np.concatenate(parts)
    rows = np.flatnonzero(enough_to_identify(words)).tolist()
    clear = clear_values(clean, rows)
    mine = words[rows]
    truth, of = [people[row] for row in rows], [agencies[row] for row in rows]
    keyed, plain = SplinkLinker(encoder, model), ClearLinker(encoder, model, clear)

    def linked(linker: SplinkLinker) -> float:
        found = decide(mine, of, linker, model, Memory())
        return f1(found.clusters.cluster.tolist(), truth)

    yield Claim(
        f"link {len(rows):,} records of a town on keyed words",
        "the same model and blocking on clear text",
        PEER,
        lambda: linked(plain),
        lambda: linked(keyed),
        lambda theirs, ours: ours >= RATIO * theirs,
    )
    many, names = crowd(encoder)
    other = ClearLinker(encoder, model, names)
    yield Claim(
        f"pairs of {len(many):,} records on keyed words",
        "the same model and blocking on clear text",
        PEER,
        lambda: other.edges(many),
        lambda: keyed.edges(many),
        # Bloom words find some pairs alike that letters do not, and the other way round.
        lambda theirs, ours: len(ours.left) > 0.9 * len(theirs.left) > CROWD // 4,
    )
    fresh = np.zeros(len(many), dtype=bool)
    fresh[np.random.default_rng(5).permutation(len(many))[: int(NEW * len(many))]] = True
    yield Claim(
        f"pairs of {int(fresh.sum()):,} new records among {len(many):,}",
        "the pairs of all records",
        PEER,
        lambda: keyed.edges(many),
        lambda: keyed.edges(many, fresh),
        lambda theirs, ours: _same(theirs, ours, fresh),
    )
    lookup = Lookup(encoder, model, many)
    some = np.flatnonzero(fresh)[:LOOKED_UP].tolist()
    lookup.edges(
        some[0]
    )  # The index stands and the question is prepared, as in a process that serves.
    yield Claim(
        f"{LOOKED_UP} records, each looked up among {len(many):,}",
        "the pairs of the same records in one run",
        PEER,
        lambda: [keyed.edges(many, _only(many, row)) for row in some],
        lambda: [lookup.edges(row) for row in some],
        lambda theirs, ours: all(
            one.weight.tobytes() == two.weight.tobytes() and one.left.tolist() == two.left.tolist()
            for one, two in zip(theirs, ours, strict=True)
        ),
    )


def _only(words: Words, row: int) -> np.ndarray:
    mask = np.zeros(len(words), dtype=bool)
    mask[row] = True
    return mask


def crowd(encoder: Encoder) -> tuple[Words, Clear]:
    """Return many records of unrelated people, each of them twice, the second time with gaps."""
    parts = crowd_values(CROWD)
    clean = normalise(dict(parts), 2 * CROWD, TODAY, accept_test_range=True, local_scheme="")
    return encoder.encode(clean, TODAY), clear_values([clean])


def crowd_values(people: int) -> dict[str, list[str | None]]:
    """Return the identities of unrelated people, each of them twice, the second time with gaps."""
    made = People(9)
    makers = {
        "given_name": made.given,
        "surname": made.surname,
        "birth_date": made.birth_date,
        "address": made.address,
        "postcode": made.postcode,
        "nhs_number": made.nhs_number,
    }
    once = {part: [make() for _ in range(people)] for part, make in makers.items()}
    return {
        part: [*values, *(one if made.chance.random() < 0.85 else None for one in values)]
        for part, values in once.items()
    }


def end_to_end(records: int = 2 * CROWD) -> dict[str, float]:
    """Return seconds of normalising, encoding and linking on the clock, CPU in all, and peak GiB.

    Run in a process of its own: ``python -m bench.linkage_scale``.
    """
    encoder, model = Encoder(MASTER, 1), load_model(shipped())
    parts = crowd_values(records // 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu, marks = time.process_time(), [time.perf_counter()]
    words, normalised = _encoded_in_parts(encoder, parts, records)
    marks += [marks[0] + normalised, time.perf_counter()]
    agencies = ["council"] * (records // 2) + ["police"] * (records // 2)
    found = decide(words, agencies, SplinkLinker(encoder, model), model, Memory())
    marks.append(time.perf_counter())
    assert found.linking > records // 5
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps = {name: round(two - one, 1) for name, (one, two) in zip(
        ("normalise", "encode", "link"), itertools.pairwise(marks), strict=True)}  # fmt: skip
    return {**steps, "total": round(marks[-1] - marks[0], 1), "cpu": round(time.process_time() - cpu, 1),
            "gib_before": round(before / 2**20, 2), "gib": round(peak / 2**20, 2)}  # fmt: skip


def _encoded_in_parts(
    encoder: Encoder, parts: dict[str, list[str | None]], records: int
) -> tuple[Words, float]:
    """Return the words, and the seconds that normalising took; the clear values are gone after it.

    As the linkage process is handed them: no delivery is in clear as a whole beside its words.
    """
    made: list[Words] = []
    normalised = 0.0
    for start in range(0, records, CHUNK):
        some = {name: cells[start : start + CHUNK] for name, cells in parts.items()}
        at = time.perf_counter()
        clean = normalise(
            dict(some), min(CHUNK, records - start), TODAY, accept_test_range=True, local_scheme=""
        )
        normalised += time.perf_counter() - at
        made.append(encoder.encode(clean, TODAY))
    parts.clear()
    return np.concatenate(made), normalised


def _same(whole: Edges, some: Edges, fresh: np.ndarray) -> bool:
    """Say whether the pairs of the new records are those of a full run, weight for weight."""
    mine = whole.take(np.flatnonzero(fresh[whole.left] | fresh[whole.right]))
    return (
        mine.weight.tobytes() == some.weight.tobytes()
        and np.array_equal(mine.left, some.left)
        and np.array_equal(mine.right, some.right)
    )
