"""Encodings, the signed model, the frozen frequencies and the person index."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.domain.errors import LinkageError
from engine.linkage import artefacts, written
from engine.linkage.artefacts import load_model, shipped
from engine.linkage.assign import Assignment, assign
from engine.linkage.cluster import Memory
from engine.linkage.decide import decide
from engine.linkage.edges import Edges
from engine.linkage.encode import COLUMNS, Encoder
from engine.linkage.encodings import read_encodings, write_encodings
from engine.linkage.index import (
    current_facts,
    current_membership,
    discard_run,
    records_of,
    stage_run,
)
from engine.linkage.index_tables import metadata
from engine.linkage.linker import SplinkLinker, keyed_frequencies
from engine.linkage.sealed import Seal
from engine.linkage.settings_v2 import COMPARISONS, gamma
from engine.store.session import make_engine
from tests.builders.encoded import KEY, TODAY, encoded, person
from tests.builders.partnership import seeded

SEAL = Seal(bytes(range(32)), 1)
ROWS = [
    person("Ada", "Fakename", "2010-03-04"),
    person("Ada", "Fakename", "2010-03-04"),
    person("Bella", "Other", "2011-05-06", address="9 Mill Lane", postcode="TL2 1BB"),
]


def test_the_shipped_model_is_signed_and_any_change_is_refused(tmp_path: Path) -> None:
    """splink 2882, 1155, 1743, 2808: training does not repeat from a seed, so what was trained is kept."""
    assert load_model(shipped()).auto_weight > 0
    for name in (*artefacts.SIGNED, artefacts.MANIFEST):
        folder = tmp_path / name
        shutil.copytree(shipped(), folder)
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(bytes(data))
        with pytest.raises(LinkageError, match="FG-LNK-01"):
            load_model(folder)
    with pytest.raises(LinkageError, match="FG-LNK-01"):
        load_model(tmp_path / "nowhere")


def test_every_level_of_every_comparison_has_probabilities_off_zero_and_one() -> None:
    """splink 161: an m or a u at zero never moves, and vetoes whatever else a pair says."""
    model = load_model(shipped())
    for name, levels in COMPARISONS.items():
        assert set(model.probabilities[name]) == {label for label, _ in levels} | {"else"}
        for m, u in model.probabilities[name].values():
            assert 0 < m < 1
            assert 0 < u < 1
    assert gamma("given", "exact") == len(COMPARISONS["given"])


@pytest.mark.finding("LNK-31")
def test_another_key_or_version_is_an_error_and_never_a_silent_zero(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "l.db")
    metadata.create_all(engine)
    words = encoded(ROWS[:1])
    names = [b"r" * 32]
    sealed = SEAL.seal(names, words, seeded(4))
    write_encodings(engine, "d1", "council", "s", 1, "n1", names, [482], sealed)
    found = read_encodings(engine, {"d1": 1}, SEAL, "n1", TODAY)
    assert np.array_equal(found.words, words)
    for version, norm in ((2, "n1"), (1, "n2")):
        with pytest.raises(LinkageError, match="FG-LNK-02"):
            read_encodings(engine, {"d1": 1}, replace(SEAL, version=version), norm, TODAY)
    assert read_encodings(engine, {}, SEAL, "n1", TODAY).records == []
    engine.dispose()


def test_a_frozen_model_predicts_byte_equal_and_the_order_of_records_changes_no_weight() -> None:
    """splink 1903 (predictions differed from run to run) and 2882, 1155, 1743, 2808 (so did models)."""
    words = encoded(ROWS)
    linker = SplinkLinker(Encoder(KEY, 1), load_model(shipped()))
    first, second = linker.edges(words), linker.edges(words)
    assert first.weight.tobytes() == second.weight.tobytes()
    turned = linker.edges(words[::-1].copy())
    assert sorted(first.weight.tolist()) == sorted(turned.weight.tolist())


@pytest.mark.deep
def test_pairs_scored_a_part_at_a_time_are_those_of_one_run_byte_for_byte() -> None:
    """splink 785: a large job died for want of memory; ours is done in parts, which must change nothing."""
    words = encoded([*ROWS, *[person(f"Xy{n % 7}a", "Fakename", "2001-02-03") for n in range(40)]])
    model = load_model(shipped())
    whole = SplinkLinker(Encoder(KEY, 1), model).edges(words)
    parts = SplinkLinker(Encoder(KEY, 1), model, chunk=9).edges(words)
    assert len(whole.left) > 40
    for name in ("left", "right", "weight"):
        assert getattr(whole, name).tobytes() == getattr(parts, name).tobytes()


@pytest.mark.finding("LNK-27")
def test_a_pairs_weight_does_not_depend_on_what_else_was_delivered() -> None:
    """splink 2035: a person who was sent many times made a rare name look common."""
    linker = SplinkLinker(Encoder(KEY, 1), load_model(shipped()))
    alone = linker.edges(encoded(ROWS[:2]))
    crowd = linker.edges(
        encoded([*ROWS, *[person(f"Xy{n}a", "Fakename", "2001-02-03") for n in range(30)]])
    )
    resent = linker.edges(encoded([*ROWS, *ROWS[:1] * 30]))
    for more in (crowd, resent):
        pair = np.flatnonzero((more.left == 0) & (more.right == 1))
        assert alone.weight.tolist() == more.weight[pair].tolist()


def _three_agencies() -> tuple[SplinkLinker, Edges, list[str]]:
    """A record of the council, of the schools and of the police, alike and of one weight pair by pair."""
    linker = SplinkLinker(Encoder(KEY, 1), load_model(shipped()))
    edges = linker.edges(encoded([ROWS[0]] * 3))
    assert len(set(edges.weight.tolist())) == 1
    return linker, edges, ["schools", "council", "police"]


def test_two_agencies_with_a_band_of_their_own_have_its_weights_in_either_order() -> None:
    _, edges, agencies = _three_agencies()
    model = load_model(shipped())
    assert model.bands == {}  # As shipped, all agencies have the same.
    model = replace(model, bands={"council|schools": (20.0, 12.0), "police|police": (30.0, 25.0)})
    own = {(0, 1): (20.0, 12.0)}
    pairs = list(zip(edges.left.tolist(), edges.right.tolist(), strict=True))
    assert sorted(pairs) == [(0, 1), (0, 2), (1, 2)]
    default = (model.auto_weight, model.review_weight)
    auto, review = model.thresholds(agencies, edges)
    assert list(zip(auto.tolist(), review.tolist(), strict=True)) == [
        own.get(pair, default) for pair in pairs
    ]
    # Of two records of one agency the band is that agency's with itself.
    auto, review = model.thresholds(["police"] * 3, edges)
    assert (set(auto.tolist()), set(review.tolist())) == ({30.0}, {25.0})
    none = edges.take(np.zeros(0, np.int64))
    assert [len(one) for one in model.thresholds(agencies, none)] == [0, 0]


@pytest.mark.parametrize(
    ("auto", "review", "linked", "asked"),
    [
        (0.0, -9.0, True, []),  # At its weight a pair links.
        (
            0.5,
            0.0,
            False,
            ["review_band"],
        ),  # Half a bit below, at the weight of review, it is asked.
        (9.0, 0.5, False, []),  # Below both it is nothing.
    ],
)
def test_a_pair_of_agencies_links_and_asks_at_the_weights_of_its_own_band(
    auto: float, review: float, linked: bool, asked: list[str]
) -> None:
    linker, edges, agencies = _three_agencies()
    weight, words = float(edges.weight[0]), encoded([ROWS[0]] * 2)
    model = replace(
        load_model(shipped()), bands={"council|schools": (weight + auto, weight + review)}
    )
    found = decide(words, agencies[:2], linker, model, Memory())
    assert len(set(found.clusters.cluster.tolist())) == (1 if linked else 2)
    assert [one.reason for one in found.questions] == asked
    # The same two records of two other agencies go by the weights of all.
    other = decide(words, agencies[1:], linker, model, Memory())
    assert len(set(other.clusters.cluster.tolist())) == 1
    assert other.questions == []


def test_what_the_guard_holds_back_is_asked_from_three_bits_below_the_band_of_the_pair() -> None:
    linker, _, agencies = _three_agencies()
    words = encoded([ROWS[0], person("Bella", "Fakename", "2010-03-04")])  # A twin.
    weight = float(linker.edges(words).weight[0])
    for above, asked in ((2.9, ["merge_guard"]), (3.1, [])):
        model = replace(load_model(shipped()), bands={"council|schools": (weight + above, -99.0)})
        found = decide(words, agencies[:2], linker, model, Memory())
        assert [one.reason for one in found.questions] == asked


def test_a_name_outside_the_frozen_table_is_taken_as_rare() -> None:
    model = load_model(shipped())
    words = encoded([person("Qqqqzz", "Fakename", "2010-03-04")])
    tokens, shares = keyed_frequencies(
        Encoder(KEY, 1), model, "given", words[:, COLUMNS.index("given")]
    )
    assert shares.tolist() == [model.rare]
    assert tokens.tolist() == [words[0, COLUMNS.index("given")]]


def _assign(clusters: list[int], before: dict[bytes, bytes]) -> Assignment:
    records = [bytes([number]) * 32 for number in range(len(clusters))]
    return assign(records, np.array(clusters, np.int64), before, seeded(9))


def _record(number: int) -> bytes:
    return bytes([number]) * 32


def test_a_person_id_stays_with_most_of_its_records() -> None:
    before = {_record(0): b"p" * 16, _record(1): b"p" * 16, _record(2): b"p" * 16}
    split = _assign([0, 0, 2], before)
    assert split.people[0] == split.people[1] == b"p" * 16
    assert split.people[2] != b"p" * 16
    assert (split.created, split.split) == (1, 1)
    same = _assign([0, 0, 0], before)
    assert (same.created, same.merged, same.split) == (0, {}, 0)


def test_a_merge_leaves_a_redirect_and_a_new_record_joins_quietly() -> None:
    before = {_record(0): b"a" * 16, _record(1): b"a" * 16, _record(2): b"b" * 16}
    merged = _assign([0, 0, 0, 0], before)
    assert set(merged.people) == {b"a" * 16}
    assert merged.merged == {b"b" * 16: b"a" * 16}
    assert merged.created == 0


def test_a_staged_run_counts_for_nobody_until_it_is_published_and_can_be_taken_back(
    tmp_path: Path,
) -> None:
    engine = make_engine(tmp_path / "l.db")
    metadata.create_all(engine)
    records = [_record(0), _record(1), _record(2)]
    published: list[str] = []

    def stage(run: str, clusters: list[int]) -> None:
        before = current_membership(engine, published)
        made = assign(records, np.array(clusters, np.int64), before, seeded(len(run)))
        held = current_facts(engine, published)
        stage_run(engine, run, records, made, dict.fromkeys(made.people, True), held, {}, {}, [])

    stage("one", [0, 1, 1])
    assert current_membership(engine, published) == {}
    published.append("one")
    first = current_membership(engine, published)
    assert len(set(first.values())) == 2
    stage("second", [0, 0, 0])
    assert current_membership(engine, published) == first
    for person_id in set(first.values()):
        assert records_of(engine, person_id, published) != records
    after = [*published, "second"]
    assert len(set(current_membership(engine, after).values())) == 1
    for person_id in set(first.values()):  # A merged id leads to the person it became.
        assert records_of(engine, person_id, after) == records

    discard_run(engine, "second")
    assert current_membership(engine, published) == first
    assert records_of(engine, b"?" * 16, published) == []
    engine.dispose()


def test_a_birthday_between_two_deliveries_parts_nobody(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "l.db")
    metadata.create_all(engine)
    old, new = encoded(ROWS[:1]), encoded(ROWS[:1])
    band = COLUMNS.index("band")
    old[0, band], new[0, band] = 1, 2  # As two deliveries would have it, before and after.
    month = (2008 - 1970) * 12 + 9
    for delivery, record, words in (("d1", b"r" * 32, old), ("d2", b"s" * 32, new)):
        sealed = SEAL.seal([record], words, seeded(5))
        write_encodings(engine, delivery, "council", "s", 1, "n1", [record], [month], sealed)
    found = read_encodings(engine, {"d1": 1, "d2": 2}, SEAL, "n1", TODAY)
    assert found.words[:, band].tolist() == [2, 2]
    engine.dispose()


@pytest.mark.deep
def test_sql_that_was_kept_gives_the_same_bytes() -> None:
    """Splink's text for a model is written once a process; another model or threshold has its own."""
    model = load_model(shipped())
    rows = [person(f"Mock{n % 7}a", f"Fake{n % 5}e", f"2010-03-{10 + n % 9}") for n in range(60)]
    towns = [encoded(rows), encoded([*rows[20:], *rows[:10]]), encoded(rows[:2])]
    models = [
        model,
        replace(model, review_weight=model.review_weight + 4),
        replace(model, prior=0.01),
    ]

    def scored(*, fresh: bool) -> list[tuple[bytes, ...]]:
        found = []
        for one in models:
            for words in towns:
                if fresh:
                    written._kept.clear()
                edges = SplinkLinker(Encoder(KEY, 1), one).edges(words)
                found.append((edges.weight.tobytes(), edges.left.tobytes(), edges.right.tobytes(),
                              *(column.tobytes() for column in edges.gammas.values())))  # fmt: skip
        return found

    alone = scored(fresh=True)
    written._kept.clear()
    assert scored(fresh=False) == alone
    assert len(written._kept) == len(models)
    assert len(set(alone)) > len(models)
    for _ in range(10):
        written.keep(f"another {_}", [])
    assert len(written._kept) <= written._MOST
    written._kept.clear()


def test_sealed_words_open_for_their_record_and_key_alone() -> None:
    words, names = encoded(ROWS), [bytes([n]) * 32 for n in range(3)]
    sealed = SEAL.seal(names, words, seeded(6))
    assert np.array_equal(SEAL.open(names, sealed), words)
    assert SEAL.open([], []).shape == (0, len(COLUMNS))
    # Nothing of a word stands in what is stored, and the same words are never sealed alike.
    assert words[0].astype("<i8").tobytes()[:16] not in sealed[0]
    assert SEAL.seal(names, words, seeded(7)) != sealed
    assert sealed[0] != sealed[1]
    altered = bytes([sealed[0][20] ^ 1])
    for other, given_names, given in (
        (replace(SEAL, key=bytes(32)), names, sealed),
        (replace(SEAL, version=2), names, sealed),
        (SEAL, [names[1], names[0], names[2]], sealed),
        (SEAL, names, [sealed[0][:20] + altered + sealed[0][21:], *sealed[1:]]),
        (SEAL, names, [b"", *sealed[1:]]),
    ):
        with pytest.raises(LinkageError, match="FG-LNK-13"):
            other.open(given_names, given)
