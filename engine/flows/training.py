"""Make a linkage model from planted or labelled truth: an act of its own, never inside a delivery.

It opens no home and no key: the words it counts are encoded under a key that is made for the training
and forgotten with it (linkage.md 5.2).
"""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from audit.note import Signer
from engine.city.agencies import FILES, TRUTH_KEYS, write_city
from engine.city.population import make_population
from engine.domain.errors import LinkageError
from engine.domain.ids import Randomness
from engine.identity.normalise import VERSION, fold, name_parts, normalise
from engine.intake.contract import contract_of
from engine.intake.prepare import prepare
from engine.intake.read import open_delivery
from engine.intake.terms import intake_for
from engine.linkage import artefacts
from engine.linkage.encode import ENCODER_VERSION, Encoder, Words
from engine.linkage.train import Town, train
from policies.model import Pack
from scoring.tables import Tables

FEWEST = 10
"""People who must bear a name before a table made of real people may hold it."""
LEAST = 50
"""People with two records below which nothing can be counted from labels."""
TRUTH = "truth.csv"
"""The file of a labelled folder: ``source``, ``local_key`` and ``person`` of every record."""


@dataclass(frozen=True)
class Lesson:
    """What a model is made from.

    Attributes:
        towns: Labelled records.
        names: ``given`` and ``surname``: one folded name per true person.
        told: What the model card says of them.
        fewest: People who must bear a name before the table holds it.
    """

    towns: list[Town] = field(repr=False)
    names: dict[str, list[str]] = field(repr=False)
    told: str
    fewest: int = 1

    def linked(self) -> int:
        """Return how many people have two records that say enough to be compared."""
        return sum(
            int((np.unique(one.people, return_counts=True)[1] > 1).sum())
            for one in (town.usable() for town in self.towns)
        )

    @property
    def records(self) -> int:
        """How many records there are."""
        return sum(len(one.words) for one in self.towns)


def planted(
    pack: Pack, tables: Tables, encoder: Encoder, seeds: Sequence[int], size: str, today: date
) -> Lesson:
    """Return synthetic towns, whose generator knows who is who.

    Args:
        pack: The policy pack with the contracts.
        tables: The scoring tables, whose words the contracts use.
        encoder: Encodes the records.
        seeds: One town each.
        size: ``tiny``, ``town`` or ``city``.
        today: Last day of the towns.
    """
    towns, names = [], {"given": [], "surname": []}  # type: ignore[var-annotated]
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            city = write_city(Path(folder), size, seed, today)
            files = {source: city.file(source) for source in FILES}
            towns.append(_town(pack, tables, encoder, files, city.truth / TRUTH_KEYS, today)[0])
        residents = make_population(size, seed, today).people
        names["given"] += [name_parts(one.given)[0] for one in residents]
        names["surname"] += [fold(one.surname) for one in residents]
    told = f"{len(towns)} synthetic towns, seeds {', '.join(map(str, seeds))}; nothing of a real agency"
    return Lesson(towns, names, told)


def labelled(pack: Pack, tables: Tables, encoder: Encoder, folder: Path, today: date) -> Lesson:
    """Return the records of a folder of which people have said who is who.

    The folder holds ``truth.csv`` and a file per source, named after it: ``council.persons.csv``. The
    tables of names leave out who is rare, because they go with the model (a name is a person's).

    Raises:
        LinkageError: ``FG-LNK-15`` no truth, no file of a source, or a record without its person.
    """
    truth = folder / TRUTH
    files = {
        path.name.removesuffix(path.suffix): path
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.name.removesuffix(path.suffix) in pack.sources
    }
    if not truth.is_file() or not files:
        raise LinkageError(
            "FG-LNK-15",
            f"the folder holds no {TRUTH}, or no file that is named after a source",
            "Put truth.csv (source, local_key, person) and files such as council.persons.csv there.",
        )
    town, first = _town(pack, tables, encoder, files, truth, today)
    names = {
        part: [one[place] for one in first.values() if one[place]]
        for place, part in enumerate(("given", "surname"))
    }
    return Lesson([town], names, "records of a partnership that people labelled", FEWEST)


def make_model(lesson: Lesson, encoder: Encoder, folder: Path, randomness: Randomness, today: date) -> dict[str, Any]:  # fmt: skip  # noqa: E501
    """Count, choose, write a model card and sign; the folder appears whole or not at all.

    The private release key is made here, used once and forgotten; its public half stands beside the
    model.

    Args:
        lesson: What it is made from.
        encoder: The encoder that made its words.
        folder: Where the artefacts go; it must not be there yet.
        randomness: Source of the release key.
        today: Day of the training, for the model card.

    Returns:
        What was measured on the training data, and the model's hash.

    Raises:
        LinkageError: ``FG-LNK-15`` something stands there already, or too few people have two records.
    """
    if folder.exists():
        raise LinkageError(
            "FG-LNK-15",
            "something stands where the model would go",
            "Name a folder that is not there.",
        )
    several = lesson.linked()
    if several < LEAST:
        raise LinkageError(
            "FG-LNK-15",
            f"only {several} people have two records that say enough to be compared",
            f"Label more records: at least {LEAST} people with two or more.",
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        measured = train(
            draft, encoder, lesson.towns, lesson.names, fewest=lesson.fewest, told=lesson.told,
            normaliser=VERSION,
        )  # fmt: skip
        unseen = json.loads((draft / artefacts.MODEL).read_text(encoding="utf-8"))["unseen"]
        card = _card(measured, lesson, today, unseen)
        (draft / artefacts.CARD).write_text(card, encoding="utf-8")
        artefacts.sign(draft, Signer.from_bytes(artefacts.RELEASE, randomness(32)))
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return {
        "records": lesson.records,
        "unseen": unseen,
        "measured": {name: round(float(value), 4) for name, value in measured.items()},
        "model": artefacts.load_model(folder).hash,
    }


def _town(
    pack: Pack,
    tables: Tables,
    encoder: Encoder,
    files: Mapping[str, Path],
    truth_file: Path,
    today: date,
) -> tuple[Town, dict[int, tuple[str, str]]]:
    """Return labelled records, and a given name and surname of each true person."""
    with truth_file.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    truth = _truth(rows)
    words: list[Words] = []
    people: list[int] = []
    agencies: list[str] = []
    names: dict[int, tuple[str, str]] = {}
    for source, path in files.items():
        contract = contract_of(pack.sources[source])
        with path.open("rb") as file:
            opened = open_delivery(file, contract)
            ready = prepare(opened, intake_for(pack, contract, opened.present, tables, today))
        clean = normalise(
            dict(ready.identities),
            len(ready.local_keys),
            today,
            accept_test_range=True,
            local_scheme=contract.scheme,
        )
        unknown = sum(1 for key in ready.local_keys if (source, key) not in truth)
        if unknown:
            raise LinkageError(
                "FG-LNK-15",
                f"{TRUTH} does not say who {unknown} records of {source} are",
                "Name every record of every file with its person.",
            )
        words.append(encoder.encode(clean, today))
        mine = [truth[source, key] for key in ready.local_keys]
        people += mine
        agencies += [contract.agency] * len(mine)
        for person, given, surname in zip(mine, clean.given, clean.surname, strict=True):
            if given and surname:
                names.setdefault(person, (given[0], " ".join(surname)))
    return Town(np.concatenate(words), np.array(people, np.int64), agencies), names


def _truth(rows: list[dict[str, str]]) -> dict[tuple[str, str], int]:
    """Return the person of each source and local key, as a number.

    Raises:
        LinkageError: ``FG-LNK-15`` a cell is empty, or a key stands there with two persons.
    """
    columns = ("source", "local_key", "person")
    empty = sum(1 for row in rows if not all((row.get(name) or "").strip() for name in columns))
    said = (
        {(row["source"], row["local_key"], row["person"]) for row in rows} if not empty else set()
    )
    twice = len(said) - len({one[:2] for one in said})
    if empty or twice or not rows:
        raise LinkageError(
            "FG-LNK-15",
            f"{TRUTH} has {len(rows)} rows, {empty} with an empty cell and {twice} keys with two persons",
            "Give it the columns source, local_key and person, all of them filled, each key once.",
        )
    numbers = {name: n for n, name in enumerate(dict.fromkeys(row["person"] for row in rows))}
    return {(row["source"], row["local_key"]): numbers[row["person"]] for row in rows}


def _card(measured: Mapping[str, float], lesson: Lesson, today: date, unseen: Sequence[str]) -> str:
    lines = [
        "# Model card of the household-aware linkage model, version 2.",
        "model: household-aware v2 (linkage.md 3.4 and 3.5)",
        f"trained_on: {lesson.told}",
        f"records: {lesson.records}",
        f"made_with: encoder {ENCODER_VERSION}, normaliser {VERSION}",
        f"counted_on_no_true_pair: [{', '.join(unseen)}]",
        f"trained_as_of: {today.isoformat()}",
        "use: linking records of partner agencies into persons, behind the merge guard",
        "not_for: proof of identity; merging without review where the guard refuses",
        "measured_on_training_data:",
        *(f"  {name}: {value:.4f}" for name, value in measured.items()),
        "limits: >-",
        "  Rates of a synthetic generator are guesses. A model of one partnership's labels knows that",
        "  partnership alone. Thresholds are set again on labelled pairs before real use.",
    ]
    return "\n".join(lines) + "\n"
