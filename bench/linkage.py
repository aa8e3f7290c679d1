"""Linkage on keyed words against the same model on clear text, and a new delivery against a full run.

The clear way compares names by Jaro-Winkler and dates by edit distance where ours compares Bloom words;
model, blocking, guard and clustering are the same. All people are synthetic: a town of another seed than
the one that the model was counted on.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import gateways.load
import policies.load
from bench.measure import PEER, Claim
from bench.people import TODAY, People
from engine.city.agencies import FILES, TRUTH_KEYS, write_city
from engine.domain.records import Normalised
from engine.identity.normalise import normalise
from engine.intake.contract import contract_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import intake_for
from engine.linkage.artefacts import Model, load_model, shipped
from engine.linkage.cluster import Memory, enough_to_identify
from engine.linkage.decide import decide
from engine.linkage.edges import Edges
from engine.linkage.encode import Encoder, Words
from engine.linkage.linker import SplinkLinker
from engine.linkage.lookup import Lookup
from engine.linkage.settings_v2 import dice
from scoring.tables import load_tables
from scoring.tables import shipped as shipped_tables

MASTER, SEED, NEW, CROWD = bytes(range(32)), 77, 0.02, 250_000
LOOKED_UP = 5
RATIO = 0.985
"""Least share of the clear way's cluster F1 that the keyed way reaches (linkage.md 6.1)."""
_CLEAR = {
    dice("given", "0.7"): "jaro_winkler_similarity(c_given_l, c_given_r) >= 0.88",
    dice("surname", "0.7"): "jaro_winkler_similarity(c_surname_l, c_surname_r) >= 0.88",
    dice("dob", "0.8"): "levenshtein(c_dob_l, c_dob_r) <= 1",
}


class ClearLinker(SplinkLinker):
    """The shipped linker on clear names and dates; for this comparison only."""

    def __init__(self, encoder: Encoder, model: Model, clear: dict[str, list[str | None]]) -> None:
        super().__init__(encoder, model)
        self._clear = clear

    def table(self, words: Words) -> pa.Table:
        """Return the records with their clear values beside the words."""
        made = super().table(words)
        for name, values in self._clear.items():
            made = made.append_column(f"c_{name}", pa.array(values, pa.string()))
        return made

    def settings(self) -> dict[str, Any]:
        """Return the settings with clear comparisons in place of keyed ones."""
        text = json.dumps(super().settings())
        for keyed, clear in _CLEAR.items():
            assert json.dumps(keyed)[1:-1] in text
            text = text.replace(json.dumps(keyed)[1:-1], clear)
        found: dict[str, Any] = json.loads(text)
        return found


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
    given = [one[0] if one else None for part in clean for one in part.given]
    surname = [" ".join(one) or None for part in clean for one in part.surname]
    born = [one for part in clean for one in part.birth_date]
    clear = {
        name: [values[row] for row in rows]
        for name, values in (("given", given), ("surname", surname), ("dob", born))
    }
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


def crowd(encoder: Encoder) -> tuple[Words, dict[str, list[str | None]]]:
    """Return many records of unrelated people, each of them twice, the second time with gaps."""
    made = People(9)
    makers = {
        "given_name": made.given,
        "surname": made.surname,
        "birth_date": made.birth_date,
        "address": made.address,
        "postcode": made.postcode,
        "nhs_number": made.nhs_number,
    }
    once = {part: [make() for _ in range(CROWD)] for part, make in makers.items()}
    parts: dict[str, list[str | None]] = {
        part: [*values, *(one if made.chance.random() < 0.85 else None for one in values)]
        for part, values in once.items()
    }
    clean = normalise(dict(parts), 2 * CROWD, TODAY, accept_test_range=True, local_scheme="")
    return encoder.encode(clean, TODAY), {
        "given": [one[0] if one else None for one in clean.given],
        "surname": [" ".join(one) or None for one in clean.surname],
        "dob": clean.birth_date,
    }


def _same(whole: Edges, some: Edges, fresh: np.ndarray) -> bool:
    """Say whether the pairs of the new records are those of a full run, weight for weight."""
    mine = whole.take(np.flatnonzero(fresh[whole.left] | fresh[whole.right]))
    return (
        mine.weight.tobytes() == some.weight.tobytes()
        and np.array_equal(mine.left, some.left)
        and np.array_equal(mine.right, some.right)
    )
