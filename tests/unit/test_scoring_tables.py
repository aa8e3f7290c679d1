"""The versioned tables: what ships is right, what is wrong is refused, every byte is in the hash."""

from __future__ import annotations

import shutil
from decimal import Decimal, localcontext
from pathlib import Path

import pytest

from scoring.errors import ScoringFault
from scoring.tables import FILES, ONE, TRACKS, load_tables, shipped
from tests.builders.scoring_columns import TABLES, edited_tables

HOUSEHOLD = "half_life: 180, cap: 12, omega: 300, l0: 40"
WRONG = {
    "an unknown theme": ("points.csv", "cce,harming,weapon", "terror,harming,weapon"),
    "an unknown track": ("points.csv", "cce,harming,weapon", "cce,both,weapon"),
    "an unknown kind": ("points.csv", "cce,harming,weapon", "cce,harming,spatula"),
    "an unknown role": ("points.csv", "cce,harming,weapon,suspect", "cce,harming,weapon,stranger"),
    "an unknown age": ("points.csv", "weapon,suspect,any", "weapon,suspect,young"),
    "a half-life without a table": ("points.csv", "any,30,180", "any,30,181"),
    "points below 0": ("points.csv", "any,30,180", "any,-1,180"),
    "points above 150": ("points.csv", "any,30,180", "any,151,180"),
    "points that are no number": ("points.csv", "any,30,180", "any,many,180"),
    "a victim on harming": (
        "points.csv",
        "cce,harming,weapon,suspect",
        "cce,harming,weapon,victim",
    ),
    "a witness on harming": (
        "points.csv",
        "cce,harming,weapon,suspect",
        "cce,harming,weapon,witness",
    ),
    "a missing person on harming": (
        "points.csv",
        "cce,harming,weapon,suspect",
        "cce,harming,weapon,missing",
    ),
    "a skipped decay day": ("decay.csv", "\n90,7,993543\n", "\n"),
    "a decay that rises": ("decay.csv", "\n90,7,993543\n", "\n90,7,1001225\n"),
    "a decay that does not begin at one": ("decay.csv", "\n90,0,1048576\n", "\n90,0,1048575\n"),
    "a decay that ends early": ("decay.csv", "\n730,4380,16384\n", "\n"),
    "another horizon": ("parameters.yaml", "horizon_half_lives: 6", "horizon_half_lives: 5"),
    "alpha above a half": ("parameters.yaml", "alpha: 400", "alpha: 501"),
    "alpha below 0": ("parameters.yaml", "alpha: 400", "alpha: -1"),
    "no half point of exposure": ("parameters.yaml", "exposure_half: 100000", "exposure_half: 0"),
    "no emerging threshold": ("parameters.yaml", "exposure: 50000", "exposure: 0"),
    "a blind share under 5 %": ("parameters.yaml", "blind_share: 100", "blind_share: 49"),
    "a blind share over 20 %": ("parameters.yaml", "blind_share: 100", "blind_share: 201"),
    "a high score of 0": ("parameters.yaml", "high_score: 30000", "high_score: 0"),
    "a link floor above one": ("parameters.yaml", "weight_min: 50", "weight_min: 1001"),
    "an index half point of 0": ("parameters.yaml", "points: {cse: 60", "points: {cse: 0"),
    "a theme without a half point": ("parameters.yaml", "points: {cse: 60", "points: {x: 60"),
    "a source for no theme": ("parameters.yaml", "  cse: [police", "  csee: [police"),
    "a list of no theme": ("parameters.yaml", "id: cse.harmed, theme: cse", "id: l, theme: csx"),
    "a list of no capacity": (
        "parameters.yaml",
        "sexually exploited, capacity: 60",
        "x, capacity: -1",
    ),
    "broken YAML": ("parameters.yaml", "themes: [cse, cce, serious_violence]", "themes: [cse, cce"),
    "a link of an unknown role": ("links.yaml", "[missing, missing]", "[missing, nobody]"),
    "a link of two roles": ("links.yaml", "[suspect, suspect]", "[victim, suspect]"),
    "a link of an unknown kind": ("links.yaml", "kinds: [household]", "kinds: [friendship]"),
    "a link on an unknown track": ("links.yaml", "l0: 40, tracks: [harmed]", "l0: 40, tracks: [x]"),
    "a link cap above 50": ("links.yaml", HOUSEHOLD, HOUSEHOLD.replace("cap: 12", "cap: 51")),
    "a link cap below 2": ("links.yaml", HOUSEHOLD, HOUSEHOLD.replace("cap: 12", "cap: 1")),
    "an omega above one": ("links.yaml", HOUSEHOLD, HOUSEHOLD.replace("300", "1001")),
    "a link half point of 0": ("links.yaml", HOUSEHOLD, HOUSEHOLD.replace("l0: 40", "l0: 0")),
    "a link half-life without a table": (
        "links.yaml",
        HOUSEHOLD,
        HOUSEHOLD.replace("life: 180", "life: 181"),
    ),
    "a kind whose number is no number": ("kinds.yaml", "{id: 14,", "{id: fourteen,"),
    "a kind without a name": ("kinds.yaml", "name: neet, ", ""),
}


@pytest.mark.parametrize("what", WRONG)
def test_tables_that_hold_something_wrong_are_refused(tmp_path: Path, what: str) -> None:
    name, old, new = WRONG[what]
    folder = edited_tables(tmp_path, {name: (old, new)})
    with pytest.raises(ScoringFault) as refused:
        load_tables(folder)
    assert refused.value.code == "FG-RUN-01"
    assert refused.value.next_step


@pytest.mark.finding("SCO-T3")
def test_the_refusal_of_a_harmed_role_on_the_harming_track_says_so(tmp_path: Path) -> None:
    folder = edited_tables(
        tmp_path, {"points.csv": ("cce,harming,weapon,suspect", "cce,harming,weapon,victim")}
    )
    with pytest.raises(ScoringFault, match="harmed role points on the track harming"):
        load_tables(folder)


def test_the_refusal_of_a_skipped_decay_day_says_so(tmp_path: Path) -> None:
    folder = edited_tables(tmp_path, {"decay.csv": ("\n90,7,993543\n", "\n")})
    with pytest.raises(ScoringFault, match=r"decay\.csv skips a day"):
        load_tables(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path, name: str) -> None:
    folder = edited_tables(tmp_path, {})
    (folder / name).write_bytes(b"\xff\xfe")
    with pytest.raises(ScoringFault, match=f"FG-RUN-01: {name} cannot be read"):
        load_tables(folder)
    (folder / name).unlink()
    with pytest.raises(ScoringFault, match=f"FG-RUN-01: {name} cannot be read"):
        load_tables(folder)


@pytest.mark.parametrize("name", FILES)
def test_one_more_character_in_any_file_gives_another_hash(tmp_path: Path, name: str) -> None:
    folder = edited_tables(tmp_path, {})
    assert load_tables(folder).hash == TABLES.hash
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write("# a comment\n")
    assert load_tables(folder).hash != TABLES.hash


def test_the_same_files_elsewhere_have_the_same_hash(tmp_path: Path) -> None:
    for name in FILES:
        shutil.copy(shipped() / name, tmp_path / name)
    assert load_tables(tmp_path).hash == TABLES.hash
    assert len(TABLES.hash) == 64


def test_the_shipped_decay_is_the_formula_rounded() -> None:
    for half_life, column in TABLES.decay.items():
        assert len(column) == 6 * half_life + 1
        for age in (*range(0, 6 * half_life, 7), 6 * half_life):
            with localcontext(prec=40):
                exact = Decimal(ONE) * Decimal(2) ** (Decimal(-age) / half_life)
            assert int(column[age]) == int(exact.to_integral_value())


@pytest.mark.finding("SCO-P13")
def test_no_victim_witness_or_missing_person_has_points_on_the_harming_track() -> None:
    harming = TABLES.gamma[:, TRACKS.index("harming")]
    for role in ("victim", "witness", "missing", "professional", "resident"):
        assert not harming[:, :, TABLES.roles[role]].any()
    assert harming[:, :, TABLES.roles["suspect"]].any()


@pytest.mark.finding("SCO-T9")
@pytest.mark.parametrize(
    "kind",
    ["cin_referral", "social_care_involvement", "education_involvement", "rent_arrears", "neet"],
)
def test_receiving_support_has_no_points(kind: str) -> None:
    assert not TABLES.gamma[:, :, TABLES.kinds[kind].id].any()


@pytest.mark.finding("SCO-T5")
@pytest.mark.finding("SCO-T7")
def test_households_carry_only_harm_suffered_and_registered_homes_nothing() -> None:
    links = {kind.name: kind for kind in TABLES.links}
    assert links["household"].tracks == ("harmed",)
    assert links["household"].omega <= 300
    assert links["registered_home"].omega == 0


def test_a_kind_is_found_by_its_number() -> None:
    by_id = TABLES.kind_by_id()
    assert len(by_id) == len(TABLES.kinds)
    assert by_id[1].name == "missing_episode"
    assert by_id[30].sort == "state"
