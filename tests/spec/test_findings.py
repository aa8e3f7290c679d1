"""What failed elsewhere and may not fail here: findings of reports on other systems, by their ids (law.md 3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlmodel import Session, select

from engine.flows.admitted import restricted_records
from engine.flows.challenge import _plan, _purge
from engine.flows.evaluate import JUMP, jumps
from engine.flows.home import Home
from engine.flows.link import link
from engine.flows.lists import review_lists
from engine.flows.submit import submit
from engine.store.tables import RecordFlag, SubjectState
from policies.products import counts_of
from scoring.errors import ScoringFault
from scoring.rfg import FULL
from scoring.run import run
from scoring.scenario import Event
from scoring.tables import TRACKS, load_tables
from tests.builders.partnership import (
    OPERATOR,
    Partnership,
    make_home,
    person_row,
    persons_file,
)
from tests.builders.scoring_columns import (
    TABLES,
    WHOLE,
    edited_tables,
    score_of,
    world,
    write_job,
)

DAY = 20_000
HARMING = TRACKS.index("harming")
DEMO: dict[str, Any] = {"auth": "demo"}
FRIENDS = [
    Event(0, 1, "missing_episode", "missing", DAY - 5),
    Event(1, 1, "missing_episode", "missing", DAY - 5),
]
FLAG = Event(1, 2, "cse_flag", "victim", DAY - 3)


@pytest.mark.finding("T-GM9")
@pytest.mark.parametrize("flag", ["disputed", "expired", "ungraded"])
def test_a_record_that_is_disputed_stale_or_ungraded_counts_nowhere_until_it_is_settled(
    tmp_path: Path, flag: str
) -> None:
    home = make_home(tmp_path / "home")
    file = persons_file(tmp_path / "p.csv", person_row())
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    assert flag in home.pack.vocabulary.closing_flags
    assert restricted_records(home) == []
    with Session(home.casework) as session:
        assert session.exec(select(SubjectState)).one()
    (record,) = {bytes(one["record"]) for one in _states(home)}
    name = home.domain("record").text(record)
    with Session(home.casework) as session:
        session.add(RecordFlag(record=name, flag=flag, value="y", set_by="x", set_at=home.clock()))
        session.commit()
    assert restricted_records(home) == [record.hex()]
    home.close()


def _states(home: Home) -> list[dict[str, Any]]:
    (delivery,) = home.published()
    rows: list[dict[str, Any]] = pq.read_table(home.warehouse.states(delivery)).to_pylist()
    return rows


@pytest.mark.finding("T-GM9", "SCO-T4")
def test_what_is_older_than_its_kind_may_be_used_is_not_looked_at() -> None:
    kind = TABLES.kinds["cse_flag"]
    found = world([FLAG._replace(day=DAY - kind.retention_days - 1)], persons=2, as_of=DAY)
    assert not found.evidence.points.any()
    assert not len(found.events["pid"])


@pytest.mark.finding("T-TF3")
def test_a_source_that_is_late_stops_the_themes_that_rest_on_it_and_says_which(
    tmp_path: Path,
) -> None:
    made = write_job(tmp_path / "a", [FLAG], months={0: 600, 1: 500}, as_of=DAY)
    assert run(made)["themes_scored"] == ["cse", "cce"]
    late = write_job(tmp_path / "b", [FLAG], months={0: 600, 1: 500}, as_of=DAY)
    told = run({**late, "late": ["police.missing"]})
    assert told["themes_scored"] == []
    assert told["themes_not_scored"]["cse"] == "not scored: no data from police.missing"
    assert told["lists"] == {}


@pytest.mark.finding("T-AF1")
def test_the_network_is_told_apart_from_own_evidence_and_is_capped() -> None:
    crowd = [
        row
        for other in range(1, 40)
        for row in (
            Event(0, other, "missing_episode", "missing", DAY - 2),
            Event(other, other, "missing_episode", "missing", DAY - 2),
            Event(other, 100 + other, "cse_flag", "victim", DAY - 1),
        )
    ]
    found = score_of(world(crowd, persons=40, as_of=DAY).scores, 0, "cse", "harmed")
    assert found["exposure"] > 100_000
    own, added = found["index"], found["score"] - found["index"]
    assert 0 < added <= (FULL - own) * TABLES.alpha // 1000


@pytest.mark.finding("T-AF1", "SCO-P10")
def test_what_is_taken_from_a_neighbours_record_leaves_the_score_at_once() -> None:
    with_flag = score_of(world([*FRIENDS, FLAG], persons=2, as_of=DAY).scores, 0, "cse", "harmed")
    without = score_of(world(FRIENDS, persons=2, as_of=DAY).scores, 0, "cse", "harmed")
    assert with_flag["index"] == without["index"]
    assert with_flag["score"] > without["score"] == without["index"]


@pytest.mark.finding("T-AF1")
def test_somebody_once_known_counts_for_less_every_month_and_in_the_end_for_nothing() -> None:
    later = [
        score_of(world([*FRIENDS, FLAG], persons=2, as_of=DAY + days).scores, 0, "cse", "harmed")[
            "exposure"
        ]
        for days in (0, 90, 180, 360, 1000)
    ]
    assert later == sorted(later, reverse=True)
    assert later[0] > later[2] > 0 == later[-1]


@pytest.mark.finding("T-AF4", "SCO-T9")
def test_using_a_service_is_no_evidence_and_having_no_record_is_no_answer(
    partnership: Partnership,
) -> None:
    helps = ("free_school_meals", "out_of_work_benefit", "benefit_cap", "rent_arrears",
             "housing_support", "early_help_open", "substance_support", "cin_referral")  # fmt: skip
    for name in helps:
        assert not WHOLE.gamma[:, :, WHOLE.kinds[name].id].any(), name
    lists = review_lists(partnership.home, "demo.social_worker", **DEMO)["lists"]
    # Who has no evidence has no number: nobody is told to be at nought.
    scores = [one["score"] for each in lists for one in each["entries"] if one["score"] is not None]
    assert scores
    assert min(scores) > 0


@pytest.mark.finding("T-WM2")
def test_tables_by_which_one_suspicion_makes_an_offender_do_not_load(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    edit = {"parameters.yaml": ("serious_violence: 120}", "serious_violence: 90}")}
    with pytest.raises(ScoringFault, match="is enough for the list serious_violence.har"):
        load_tables(edited_tables(tmp_path / "a", edit))
    # A kind of which one event is enough for somebody who is harmed is not enough for this track.
    (tmp_path / "b").mkdir()
    row = "serious_violence,harming,sexual_offence,suspect,over18,40"
    edit = {"points.csv": (row, row.replace(",40", ",60"))}
    with pytest.raises(ScoringFault, match="sexual_offence is enough for the list"):
        load_tables(edited_tables(tmp_path / "b", edit))


@pytest.mark.finding("T-WM2")
def test_no_child_is_scored_as_somebody_who_may_do_violence_and_no_model_foretells_an_offence(
    partnership: Partnership,
) -> None:
    theme = WHOLE.themes.index("serious_violence")
    suspicion = [Event(0, 1, "violence", "suspect", DAY - 1, 1)]
    found = world(suspicion, persons=1, as_of=DAY, tables=WHOLE)
    assert not found.evidence.points[0, theme, HARMING]
    adult = world([suspicion[0]._replace(age=2)], persons=1, as_of=DAY, tables=WHOLE)
    score = score_of(adult.scores, 0, "serious_violence", "harming")
    assert 0 < score["score"] < WHOLE.high_score
    home = partnership.home
    for name in ("cse", "cce"):
        plan = _plan(home, home.pack.products[name], "cse_flag", 30, 120, 60)
        assert plan["track"] == "harmed"
        assert not {"suspect", "offender"} & set(plan["roles"])
        # Who is learned from is named by a rule: children, and of their evidence what the product declares.
        assert plan["age"] == "under18"
        assert set(plan["evidence"]) < set(home.pack.products[name].evidence) | {"cse_flag"}


@pytest.mark.finding("T-TF5")
def test_each_list_says_what_it_was_worth_at_its_line_and_how_rare_the_risk_is(
    partnership: Partnership,
) -> None:
    home = partnership.home
    lists = {one["id"]: one for one in review_lists(home, "demo.social_worker", **DEMO)["lists"]}
    counts = {name: int(value) for name, value in counts_of(home.pack.products["cse"]).items()}
    told = lists["cse.harmed"]["figures"]
    assert told["precision"] == round(counts["hit"] / (counts["hit"] + counts["false"]), 4)
    assert told["base_rate"] == round((counts["hit"] + counts["missed"]) / sum(counts.values()), 4)
    assert told["synthetic"]
    # A list by another order was not what was held against the truth, and claims nothing.
    assert lists["cse.emerging"]["figures"] is None


@pytest.mark.finding("T-TF5")
def test_a_figure_that_jumps_is_an_alarm_whichever_way_it_goes() -> None:
    def report(precision: float | None, recall: float | None = 0.5) -> dict[str, Any]:
        return {"figures": {"precision": precision, "recall": recall}}

    assert jumps({"a": report(0.5)}, {"a": report(0.5 + JUMP / 2)}) == []
    for new in (0.5 + 2 * JUMP, 0.5 - 2 * JUMP):
        (why,) = jumps({"a": report(0.5)}, {"a": report(new)})
        assert "precision went from 0.50" in why
    assert jumps({"a": report(0.5)}, {"a": report(None)}) == [
        "a: precision is told in one evaluation only"
    ]
    assert jumps({"a": report(0.5)}, {"b": report(0.5)}) == ["a: no longer told"]


@pytest.mark.finding("T-TF5")
def test_a_model_that_another_has_replaced_is_destroyed_and_one_of_another_theme_is_not(
    partnership: Partnership,
) -> None:
    runs = partnership.home.warehouse.folder / "runs"
    for name, theme in (("old", "cse"), ("other", "cce"), ("new", "cse")):
        (runs / name).mkdir()
        (runs / name / "model.json").write_text(f'{{"plan": {{"theme": "{theme}"}}}}')
    _purge(partnership.home, "cse", "new")
    assert [path.parent.name for path in sorted(runs.glob("*/model.json"))] == ["new", "other"]
    for name in ("new", "other"):
        partnership.home.warehouse.discard_run(name)


@pytest.mark.finding("T-GM1")
def test_being_harmed_never_makes_somebody_who_may_harm_whatever_the_theme() -> None:
    for role in ("victim", "missing", "witness", "resident", "professional"):
        assert not WHOLE.gamma[:, HARMING, :, WHOLE.roles[role]].any(), role
    kinds = [kind for kind in WHOLE.kinds.values() if kind.sort == "event"]
    events = [Event(0, n, kind.name, "victim", DAY - 1, 2) for n, kind in enumerate(kinds)]
    found = world(events, persons=1, as_of=DAY, tables=WHOLE)
    assert found.evidence.points[0, :, TRACKS.index("harmed")].any()
    assert not np.any(found.evidence.points[0, :, HARMING])
