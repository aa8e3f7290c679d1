"""The frozen model and frequency tables: loaded only when their signed manifest fits their bytes.

Training does not repeat from a seed (measured), prediction with a frozen model is byte-equal; so the
model is an artefact and nothing trains inside a delivery.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from audit.errors import AuditFault
from audit.note import Signer, Verifier
from engine.domain.errors import LinkageError
from engine.linkage.edges import Edges, Floats
from engine.linkage.encode import ENCODER_VERSION

MODEL, GIVEN, SURNAME, CARD = (
    "model.json",
    "given.csv",
    "surname.csv",
    "model_card.yaml",
)
MANIFEST, VKEY = "manifest.note", "release.vkey"
SIGNED = (MODEL, GIVEN, SURNAME, CARD)
RELEASE = "fieldgate.release/linkage"


@dataclass(frozen=True)
class Model:
    """A frozen model.

    Attributes:
        probabilities: Comparison and level to (m, u).
        prior: Probability that two records drawn at random are one person.
        auto_weight: Match weight (log2 odds) from which an edge that passes the guard links.
        review_weight: Match weight from which a pair is shown to a reviewer.
        frequencies: ``given`` and ``surname``: folded name to its share of people.
        rare: Share taken for a name that the frozen table does not hold.
        leader_margin: Bits by which the best person must lead the next.
        bands: Two agencies, joined by ``|`` in order, to their own (auto, review) weights.
        hash: SHA-256 over the signed files.
        normaliser: Version of the normaliser that its words were made with; "" for one in the making.
    """

    probabilities: dict[str, dict[str, tuple[float, float]]]
    prior: float
    auto_weight: float
    review_weight: float
    frequencies: dict[str, dict[str, float]]
    rare: float
    hash: str
    leader_margin: float = 0.0
    bands: dict[str, tuple[float, float]] = field(default_factory=dict)
    normaliser: str = ""

    def thresholds(self, agencies: Sequence[str], edges: Edges) -> tuple[Floats, Floats]:
        """Return, pair by pair, the weights from which it links and from which it is reviewed.

        Args:
            agencies: Agency of each record; two agencies may have thresholds of their own.
            edges: Scored pairs.
        """
        names = sorted(set(agencies))
        number = {name: place for place, name in enumerate(names)}
        of = np.array([number[name] for name in agencies], np.int64)
        default = (self.auto_weight, self.review_weight)
        table = np.array(
            [[self.bands.get("|".join(sorted((one, other))), default) for other in names]
             for one in names], np.float64,
        ).reshape(len(names), len(names), 2)  # fmt: skip
        found = table[of[edges.left], of[edges.right]]
        return found[:, 0], found[:, 1]


def shipped() -> Path:
    """Return the folder of the artefacts that come with the package."""
    return Path(str(files("engine.linkage").joinpath("frozen")))


def manifest_text(folder: Path) -> str:
    """Return the text that is signed: one line per file, its name and SHA-256."""
    lines = [
        f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}" for name in SIGNED
    ]
    return "\n".join([RELEASE, *lines]) + "\n"


def sign(folder: Path, signer: Signer) -> None:
    """Sign the artefacts of a release."""
    (folder / MANIFEST).write_text(signer.sign(manifest_text(folder)), encoding="utf-8")
    (folder / VKEY).write_text(signer.vkey() + "\n", encoding="ascii")


def load_model(folder: Path) -> Model:
    """Load the frozen model.

    Raises:
        LinkageError: ``FG-LNK-01`` when a file is missing, altered, or not signed by the release key, or
            it belongs to words of another encoder.
    """
    try:
        verifier = Verifier.from_vkey((folder / VKEY).read_text(encoding="ascii"))
        text = verifier.open((folder / MANIFEST).read_text(encoding="utf-8"))
        if text != manifest_text(folder):
            raise _altered("a file does not fit its signed hash")
        model: dict[str, Any] = json.loads((folder / MODEL).read_text(encoding="utf-8"))
        if model["encoder"] != ENCODER_VERSION:
            raise _altered("it was counted on words of another encoder")
        if any(review < model["review_weight"] for _, review in model["bands"].values()):
            raise _altered("a band of two agencies asks below the weight that pairs are kept from")
        return Model(
            probabilities={
                comparison: {level: (m, u) for level, (m, u) in levels.items()}
                for comparison, levels in model["probabilities"].items()
            },
            prior=model["prior"],
            auto_weight=model["auto_weight"],
            review_weight=model["review_weight"],
            frequencies={
                "given": read_frequencies(folder / GIVEN),
                "surname": read_frequencies(folder / SURNAME),
            },
            rare=model["rare"],
            leader_margin=model["leader_margin"],
            bands={pair: (auto, review) for pair, (auto, review) in model["bands"].items()},
            hash=hashlib.sha256(text.encode()).hexdigest(),
            normaliser=str(model["normaliser"]),
        )
    except (OSError, AuditFault, KeyError, ValueError):
        raise _altered("a file is missing or malformed") from None


def read_frequencies(path: Path) -> dict[str, float]:
    """Return a frequency table: folded name to its share of people."""
    with path.open(encoding="utf-8", newline="") as stream:
        lines = (line for line in stream if not line.startswith("#"))
        return {name: int(count) / 1_000_000 for name, count in csv.reader(lines)}


def write_frequencies(path: Path, shares: Iterable[tuple[str, float]], told: str) -> None:
    """Write a frequency table in millionths, most frequent first; `told` says whose names they are."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        stream.write(f"# Names and their share of people, in millionths: {told}.\n")
        csv.writer(stream, lineterminator="\n").writerows(
            (name, max(1, round(share * 1_000_000))) for name, share in shares
        )


def _altered(why: str) -> LinkageError:
    return LinkageError(
        "FG-LNK-01",
        f"the linkage model cannot be trusted: {why}",
        "Install the release again; do not link with it.",
    )
