"""Public files whose manifest says who is whose: sent, linked, and looked up by their own keys."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.open_pairs import open_pairs
from engine.flows.submit import submit
from engine.identity import vault_write
from engine.identity.vault_tables import record_key
from engine.linkage.index import current_membership
from tests.builders.partnership import OPERATOR

LISTS = "school_health/class_import"


def _sealed(home: Home, agency: str, source: str, key: str) -> bytes:
    token = vault_write.key_token(home.keyring("vault"), agency, source, key)
    (found,) = vault_write.known_records(home.vault, [token]).values()
    (sealed,) = home.domain("linkage").seal([found])
    return sealed


def test_a_child_whose_first_name_changed_between_two_class_lists_is_one_person(
    home: Home, realdata: Path
) -> None:
    """Ralph became Ralphie under one NHS number; John Smith and Rachel Adams are new."""
    persons = []
    for name in ("review_one", "review_two"):
        file = realdata / LISTS / f"{name}.csv"
        submit(home, file, agency="schools", source="schools.class_list", actor=OPERATOR)
        link(home, OPERATOR)
        persons.append(len(set(current_membership(home.linkage, home.link_runs()).values())))
    assert persons == [4, 6]
    with home.vault.connect() as connection:
        records = connection.execute(select(record_key.c.record_id)).all()
    # Four and then five rows, of which two say the same as before: Ralph and Ralphie are two records.
    assert len(records) == 7


def test_two_nominals_who_sound_alike_at_one_home_are_a_question_and_not_one_person(
    home: Home, realdata: Path, tmp_path: Path
) -> None:
    """Aisha and Ayesha Khan, N1 and N3, of the invented occurrences; N4 is nobody in particular."""
    text = (realdata / "handmade/niche_occurrences.csv").read_text(encoding="utf-8").rstrip("\n")
    more = [
        f"99{n},2026-01-0{n},Violence,Suspect,W{n},Fake,{name},0{n}/03/198{n},{n} Lantern Street,TL1 0A{n},"
        for n, name in enumerate(("Wilma", "Orla", "Tariq", "Ines", "Bo", "Petra", "Sol", "Una"), 1)
    ]
    file = tmp_path / "niche.csv"
    file.write_text("\n".join([text, *more, ""]), encoding="utf-8")
    submit(home, file, agency="police", source="police.occurrences", actor=OPERATOR)
    link(home, OPERATOR)
    one, other, nobody = (
        _sealed(home, "police", "police.occurrences", key) for key in ("N1", "N3", "W1")
    )
    member = current_membership(home.linkage, home.link_runs())
    assert len({member[one], member[other], member[nobody]}) == 3
    asked = [{pair.left, pair.right} for pair in open_pairs(home)]
    assert {one, other} in asked
    assert not any(nobody in pair for pair in asked)
