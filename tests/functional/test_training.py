"""A linkage model is made on purpose, from truth, and a home links with the one it is given."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import gateways.load
import policies.load
from audit.note import Signer
from engine.city.agencies import FILES, TRUTH_KEYS, write_city
from engine.cli.main import app
from engine.domain.errors import LinkageError
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.linkage_lookup import model_of
from engine.flows.submit import submit
from engine.flows.training import FEWEST, labelled, make_model
from engine.identity.normalise import VERSION
from engine.linkage.artefacts import RELEASE, load_model, read_frequencies, shipped, sign
from engine.linkage.encode import ENCODER_VERSION, Encoder
from engine.settings import Settings
from scoring.tables import load_tables
from scoring.tables import shipped as shipped_tables
from tests.builders.partnership import (
    OPERATOR,
    TODAY,
    Clock,
    make_home,
    person_row,
    persons_file,
    seeded,
)

PACK = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
TABLES = load_tables(shipped_tables())
ENCODER = Encoder(b"t" * 32, 1)


def _labelled(folder: Path, size: str = "tiny") -> Path:
    """Write a labelled folder as a partnership would: files by source, and who is who."""
    city = write_city(folder / "city", size, 3, TODAY)
    here = folder / "labelled"
    here.mkdir()
    for source in FILES:
        shutil.copy(city.file(source), here / f"{source}{city.file(source).suffix}")
    with (city.truth / TRUTH_KEYS).open(encoding="utf-8", newline="") as stream:
        rows = [
            (row["source"], row["local_key"], f"P{row['person']}") for row in csv.DictReader(stream)
        ]
    with (here / "truth.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("source", "local_key", "person"), *rows])
    return here


def _agree(home: Home, model: str) -> None:
    home._current = replace(
        home.pack, governance=replace(home.pack.governance, linkage_model=model)
    )


@pytest.mark.deep
def test_a_model_from_labelled_records_is_signed_and_a_home_links_with_it(tmp_path: Path) -> None:
    """splink 2882, 1155, 1743, 2808: no two trainings agree, so a home links with one whose hash is agreed."""
    lesson = labelled(PACK, TABLES, ENCODER, _labelled(tmp_path), TODAY)
    made = make_model(lesson, ENCODER, tmp_path / "model", seeded(5), TODAY)
    model = load_model(tmp_path / "model")
    assert made["model"] == model.hash != load_model(shipped()).hash
    assert made["records"] == lesson.records > 100
    # What it was counted on stands in what is signed, and what it never saw is told (splink 161).
    document = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert (document["encoder"], document["normaliser"]) == (ENCODER_VERSION, VERSION)
    assert made["unseen"] == document["unseen"]
    assert set(document["unseen"]) < set(document["probabilities"])
    assert "counted_on_no_true_pair" in (tmp_path / "model" / "model_card.yaml").read_text()
    assert "labelled" in (tmp_path / "model" / "model_card.yaml").read_text(encoding="utf-8")
    # A table that goes with a model names nobody who is one of few.
    for column, file in (("given", "given.csv"), ("surname", "surname.csv")):
        held = read_frequencies(tmp_path / "model" / file)
        counts = {name: lesson.names[column].count(name) for name in held}
        assert all(count >= FEWEST for count in counts.values())
    made_home = make_home(tmp_path / "home")
    made_home.close()
    settings = Settings(passphrase=None, linkage_model=tmp_path / "model")
    home = Home(tmp_path / "home", settings, Clock(), seeded(6))
    submit(home, persons_file(tmp_path / "a.csv", person_row(), person_row(PersonID="LA2")),
           agency="council", source="council.persons", actor=OPERATOR)  # fmt: skip
    # A model signs itself: that it is the right one, the policy says, which two people change.
    with pytest.raises(LinkageError, match="FG-LNK-17"):
        link(home, OPERATOR)
    _agree(home, model.hash)
    assert link(home, OPERATOR)["model"] == model.hash
    home.close()
    # An altered model is refused, wherever it stands.
    with (tmp_path / "model" / "model.json").open("a", encoding="utf-8") as stream:
        stream.write(" ")
    again = Home(tmp_path / "home", settings, Clock(), seeded(8))
    _agree(again, model.hash)
    with pytest.raises(LinkageError, match="FG-LNK-01"):
        link(again, OPERATOR)
    again.close()


def test_what_is_no_lesson_is_refused_and_leaves_no_folder(tmp_path: Path) -> None:
    here = _labelled(tmp_path)
    with pytest.raises(LinkageError, match="FG-LNK-15"):
        labelled(PACK, TABLES, ENCODER, tmp_path / "nowhere", TODAY)
    whole = (here / "truth.csv").read_text(encoding="utf-8")
    lines = whole.splitlines()
    for broken in (
        whole.replace("source,local_key,person", "source,local_key,who"),
        whole + lines[-1].rsplit(",", 1)[0] + ",\n",
        whole + lines[-1].rsplit(",", 1)[0] + ",somebody else\n",
        lines[0] + "\n",
    ):
        (here / "truth.csv").write_text(broken, encoding="utf-8")
        with pytest.raises(LinkageError, match="truth.csv has"):
            labelled(PACK, TABLES, ENCODER, here, TODAY)
    (here / "truth.csv").write_text("\n".join(lines[:-5]) + "\n", encoding="utf-8")
    with pytest.raises(LinkageError, match="does not say who") as refused:
        labelled(PACK, TABLES, ENCODER, here, TODAY)
    assert not any(line.split(",")[1] in str(refused.value) for line in lines[-5:])
    one = [
        [name, key, f"P{n}"]
        for n, (name, key, _) in enumerate(line.split(",") for line in lines[1:])
    ]
    with (here / "truth.csv").open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([lines[0].split(","), *one])
    lesson = labelled(PACK, TABLES, ENCODER, here, TODAY)
    with pytest.raises(LinkageError, match="only 0 people"):
        make_model(lesson, ENCODER, tmp_path / "m", seeded(5), TODAY)
    (here / "truth.csv").write_text(lines[0] + "\n", encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["city", "labelled"]
    told = CliRunner().invoke(
        app, ["linkage", "train", "--labelled", str(here), "--out", str(tmp_path / "m")]
    )
    assert told.exit_code == 15
    assert not (tmp_path / "m").exists()


def test_the_command_makes_a_model_from_a_synthetic_town(tmp_path: Path) -> None:
    out = tmp_path / "model"
    asked = ["linkage", "train", "--seed", "3", "--size", "tiny", "--out", str(out), "--json"]
    told = json.loads(CliRunner().invoke(app, asked).stdout)
    assert told["model"] == load_model(out).hash
    assert "synthetic" in (out / "model_card.yaml").read_text(encoding="utf-8")
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 15
    assert "FG-LNK-15" in again.output


@pytest.mark.parametrize("part", ["encoder", "normaliser"])
def test_a_model_of_other_words_is_refused_however_well_it_is_signed(
    tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(shipped(), folder)
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**document, part: "x0"}), encoding="utf-8")
    sign(folder, Signer.from_bytes(RELEASE, bytes(32)))
    with pytest.raises(LinkageError, match="FG-LNK-01"):
        model_of(folder, "")


def test_a_band_that_asks_below_what_is_kept_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(shipped(), folder)
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    document["bands"] = {"council|police": [9.0, document["review_weight"] - 1]}
    (folder / "model.json").write_text(json.dumps(document), encoding="utf-8")
    sign(folder, Signer.from_bytes(RELEASE, bytes(32)))
    with pytest.raises(LinkageError, match="FG-LNK-01"):
        load_model(folder)
