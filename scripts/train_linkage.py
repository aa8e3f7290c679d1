"""Train the linkage model on a synthetic city and sign the artefacts: ``python scripts/train_linkage.py``.

The private release key is made here, used once and forgotten; its public half ships beside the model.
"""

from __future__ import annotations

import csv
import os
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

import gateways.load
import policies.load
from audit.note import Signer
from engine.city.agencies import FILES, TRUTH_KEYS, write_city
from engine.city.population import make_population
from engine.identity.normalise import fold, name_parts, normalise
from engine.intake.contract import contract_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import intake_for
from engine.linkage import artefacts
from engine.linkage.encode import Encoder, Words
from engine.linkage.train import Town, train
from scoring.tables import load_tables
from scoring.tables import shipped as shipped_tables

TODAY = date(2026, 11, 25)
SEEDS = (4242, 4243, 4244, 4245)


def main() -> None:
    """Write, encode, count, choose, sign."""
    encoder = Encoder(os.urandom(32), 1)
    towns = [labelled(seed, encoder) for seed in SEEDS]
    residents = [one for seed in SEEDS for one in make_population("town", seed, TODAY).people]
    names = {
        "given": [name_parts(one.given)[0] for one in residents],
        "surname": [fold(one.surname) for one in residents],
    }
    target = artefacts.shipped()
    measured = train(target, encoder, towns, names)
    records = sum(len(one.words) for one in towns)
    (target / artefacts.CARD).write_text(_card(measured, records), encoding="utf-8")
    artefacts.sign(target, Signer.from_bytes(artefacts.RELEASE, os.urandom(32)))
    print(measured, file=sys.stderr)


def labelled(seed: int, encoder: Encoder) -> Town:
    """Return the records of a synthetic town with the person each of them truly is."""
    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    tables = load_tables(shipped_tables())
    city = write_city(Path(tempfile.mkdtemp()), "town", seed, TODAY)
    with (city.truth / TRUTH_KEYS).open(encoding="utf-8", newline="") as stream:
        truth = {(r["source"], r["local_key"]): int(r["person"]) for r in csv.DictReader(stream)}
    words: list[Words] = []
    people: list[int] = []
    agencies: list[str] = []
    for source in FILES:
        contract = contract_of(pack.sources[source])
        with city.file(source).open("rb") as stream:
            opened = open_delivery(stream, contract)
            ready = prepare(opened, intake_for(pack, contract, opened.present, tables, TODAY))
        clean = normalise(
            dict(ready.identities),
            len(ready.local_keys),
            TODAY,
            accept_test_range=True,
            local_scheme=contract.scheme,
        )
        words.append(encoder.encode(clean, TODAY))
        people += [truth[source, key] for key in ready.local_keys]
        agencies += [contract.agency] * len(ready.local_keys)
    return Town(np.concatenate(words), np.array(people, np.int64), agencies)


def _card(measured: dict[str, float], records: int) -> str:
    lines = [
        "# Model card of the household-aware linkage model, version 2. All data behind it are synthetic.",
        "model: household-aware v2 (linkage.md 3.4 and 3.5)",
        f"trained_on: {len(SEEDS)} synthetic towns, seeds {SEEDS[0]} to {SEEDS[-1]}, {records} records; "
        "nothing of a real agency",
        f"trained_as_of: {TODAY.isoformat()}",
        "use: linking records of partner agencies into persons, behind the merge guard",
        "not_for: proof of identity; merging without review where the guard refuses",
        "measured_on_training_data:",
        *(f"  {name}: {value:.4f}" for name, value in measured.items()),
        "limits: >-",
        "  The generator's rates are guesses and no real agency's data has been seen. Thresholds are set",
        "  again on labelled pairs before real use.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
