"""What serves at all: released by two people on stated evidence, stopped by one, and followed to its readers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select

import gateways.load
import policies.load
from audit.log import read_events
from engine.city.agencies import write_city
from engine.domain.errors import PolicyRefused, RunError
from engine.flows import registry
from engine.flows.challenge import challenge
from engine.flows.evaluate import evaluate, evaluations
from engine.flows.home import Home
from engine.flows.lists import decide, review_list, review_lists
from engine.flows.person import look
from engine.flows.registry import answer, ask, products, release_first
from engine.flows.who_saw import who_saw
from engine.store.tables import Evaluation
from engine.web.app import create_app
from policies.products import ALGO_CARE, RELEASE_REFS, missing_for_release
from scoring.errors import ScoringFault
from tests.builders.partnership import OPERATOR, TODAY, make_home, make_partnership

DEMO: dict[str, Any] = {"auth": "demo"}
LEAD, DPO, WORKER = "demo.ig_lead", "demo.dpo", "demo.social_worker"
WHY = "The panel met and looked at the figures."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A scored home of this module's own: what is live changes here."""
    return make_partnership(tmp_path_factory.mktemp("registry")).home


def _entries(home: Home, name: str) -> list[dict[str, Any]]:
    lists = review_lists(home, WORKER, **DEMO)["lists"]
    return next(one for one in lists if one["id"] == name)["entries"]


@pytest.mark.finding("T-TF1", "T-TF4", "LAW-26")
def test_one_person_suspends_and_nothing_is_served_not_even_an_old_score(home: Home) -> None:
    listed = _entries(home, "cse.harmed")
    person = next(one["person"] for one in listed if not one["blind"])
    before = look(home, WORKER, person, **DEMO)
    assert "cse" in {one["theme"] for one in before["scores"]}
    done = ask(home, LEAD, "cse", "suspended", "A record was wrong in many cases.", **DEMO)
    assert done["state"] == "final"
    assert _entries(home, "cse.harmed") == []
    assert _entries(home, "cce.harmed")  # The other product is not touched.
    after = look(home, WORKER, person, **DEMO)
    assert "cse" not in {one["theme"] for one in after["scores"] or []}
    assert "suspended" in after["not_served"]["cse"]
    for one in after["history"]:
        assert not [name for name in one["scores"] if name.startswith("cse")]
    with pytest.raises(RunError, match="FG-REG-01"):
        review_list(home, WORKER, "cse.harmed", **DEMO)
    with pytest.raises(RunError, match="FG-REG-01"):
        decide(home, WORKER, listed[0]["item"], "watch", **DEMO)
    with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": WORKER})
        assert client.get("/api/lists/cse.harmed").status_code == 409
        assert client.get("/api/lists/cce.harmed").status_code == 200
        page = client.get("/lists").text
        assert "Not shown does not mean low" in page
        assert "Not shown" in client.get(f"/people/{person}").text
    told = who_saw(home, DPO, "cse", **DEMO)
    assert told["people"] == [WORKER]
    assert [one["what"] for one in told["seen"]].count("look") == 1  # The second saw nothing of it.


@pytest.mark.finding("LAW-25")
def test_a_release_needs_two_people_and_the_version_that_was_looked_at(home: Home) -> None:
    (now,) = [one for one in products(home, LEAD, **DEMO) if one["product"] == "cse"]
    if now["state"] == "live":
        ask(home, LEAD, "cse", "suspended", WHY, **DEMO)
    asked = ask(home, LEAD, "cse", "live", WHY, **DEMO)
    assert asked["state"] == "waiting"
    assert _entries(home, "cse.harmed") == []
    with pytest.raises(PolicyRefused, match="FG-REG-05"):
        answer(home, LEAD, asked["number"], agree=True, **DEMO)
    assert answer(home, DPO, asked["number"], agree=True, **DEMO)["state"] == "final"
    told = json.loads(read_events(home.path / "audit", newest=1)[0][1])
    assert (told["actor"]["id"], told["approvers"]) == (DPO, [LEAD])
    assert _entries(home, "cse.harmed")
    with pytest.raises(RunError, match="FG-REG-03"):
        answer(home, DPO, asked["number"], agree=True, **DEMO)
    for product, to, why in (("cse", "live", WHY), ("none", "live", WHY), ("cse", "hidden", WHY),
                             ("cse", "suspended", "short"), ("hate", "live", WHY)):  # fmt: skip
        with pytest.raises(RunError, match="FG-REG-03"):
            ask(home, LEAD, product, to, why, **DEMO)
    with pytest.raises(PolicyRefused, match="FG-REG-02"):
        ask(home, WORKER, "cse", "suspended", WHY, **DEMO)
    with pytest.raises(PolicyRefused, match="FG-REG-02"):
        who_saw(home, WORKER, "cse", **DEMO)


@pytest.mark.finding("LAW-25", "T-TF2")
def test_what_changed_since_the_release_is_not_shown(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _entries(home, "cce.harmed")
    pack = home.pack
    other = replace(pack.products["cce"], title="Another word")
    monkeypatch.setitem(pack.products, "cce", other)  # type: ignore[arg-type]
    assert _entries(home, "cce.harmed") == []
    lists = review_lists(home, WORKER, **DEMO)
    assert "not what was released" in lists["not_served"]["cce"]
    monkeypatch.undo()
    assert _entries(home, "cce.harmed")
    gone = replace(pack.products["cce"], theme="elsewhere")
    monkeypatch.setitem(pack.products, "cce", gone)  # type: ignore[arg-type]
    assert "no product" in review_lists(home, WORKER, **DEMO)["not_served"]["cce"]


@pytest.mark.finding("LAW-25", "T-GM11", "T-TF6", "T-HX1", "T-HX3", "T-HA4", "B48")
def test_what_a_release_lacks_is_named_all_at_once() -> None:
    product = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped()).products[
        "cse"
    ]
    assert missing_for_release(product, "2026-11-29") == []
    bare = replace(product, release={}, algo_care={})
    lacks = " ".join(missing_for_release(bare, "2026-11-29"))
    for name in ("owner", "uplift", "stop", "counts", *RELEASE_REFS, *ALGO_CARE):
        assert name in lacks
    late = missing_for_release(product, "2027-07-01")
    assert set(late) == set(RELEASE_REFS)  # They run out before the stop date does.
    typed = {**product.release["evaluation"], "accuracy": "0.92"}
    wrong = replace(product, release={**product.release, "evaluation": typed})
    assert missing_for_release(wrong, "2026-11-29") == ["evaluation (typed figure accuracy)"]


def test_points_that_the_product_does_not_declare_stop_its_release(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = replace(home.pack.products["cse"], evidence=("cse_flag",))
    monkeypatch.setitem(home.pack.products, "cse", product)  # type: ignore[arg-type]
    ask(home, LEAD, "cse", "suspended", WHY, **DEMO)
    with pytest.raises(RunError, match="FG-REG-04") as refused:
        ask(home, LEAD, "cse", "live", WHY, **DEMO)
    assert "sexual_offence" in refused.value.message


def test_only_a_demo_home_releases_at_its_making(tmp_path: Path) -> None:
    made = make_home(tmp_path / "home")
    states = {one["product"]: one["state"] for one in products(made, LEAD, **DEMO)}
    assert states == {"cse": "live", "cce": "live", "serious_violence": "draft", "hate": "draft"}
    made.manifest["profile"] = "single"
    with pytest.raises(PolicyRefused, match="FG-REG-02"):
        release_first(made, LEAD, DPO, OPERATOR)
    made.close()


def test_figures_follow_from_counts_and_from_nothing_else() -> None:
    told = registry.figures({"hit": "42", "false": "12", "missed": "17", "left": "4766"})
    assert told["precision"] == round(42 / 54, 4)
    assert told["recall"] == round(42 / 59, 4)
    assert told["base_rate"] == round(59 / 4837, 4)


def test_the_registry_is_kept_on_its_page(home: Home) -> None:
    with TestClient(create_app(home), base_url="http://127.0.0.1") as client:
        client.post("/sign-in", data={"user": LEAD})
        page = client.get("/products").text
        assert "Sexual exploitation" in page
        assert "synthetic people" in page
        token = page.split('name="csrf" value="')[1].split('"')[0]
        wrong = client.post("/products", data={"csrf": token})
        assert wrong.status_code == 422
        assert "Choose a product" in wrong.text
        form = {"csrf": token, "product": "cce", "to": "suspended", "reason": WHY}
        assert "suspended" in client.post("/products", data=form).text
        form |= {"to": "live"}
        assert "waiting" in client.post("/products", data=form).text
        assert "What" in client.get("/products/cce/seen").text
        client.cookies.clear()
        client.post("/sign-in", data={"user": DPO})
        page = client.get("/products").text
        token = page.split('name="csrf" value="')[1].split('"')[0]
        number = page.split('name="number" value="')[1].split('"')[0]
        form = {"csrf": token, "number": number, "word": "agree"}
        client.post("/products/answer", data=form)
    assert _entries(home, "cce.harmed")


@pytest.mark.finding("B48", "LAW-32")
def test_an_evaluation_is_kept_as_counts_and_held_against_them(home: Home, tmp_path: Path) -> None:
    city = write_city(tmp_path / "city", "tiny", 7, TODAY)
    made = evaluate(home, city.truth, OPERATOR)
    (kept,) = evaluations(home, OPERATOR)
    assert kept["synthetic"]
    assert kept["lists"] == json.loads(json.dumps(made["lists"]))
    told = kept["lists"]["cse.harmed"]
    assert set(told["ablation"]) == {"index alone", "with the network", "with groups"}
    groups = told["by_group"]
    assert set(groups) == {"ethnic group", "special needs", "sex", "means-tested help"}
    labels = {kind: {row["group"] for row in rows} for kind, rows in groups.items()}
    assert labels["sex"] >= {"group 1", "group 2"}
    assert labels["special needs"] >= {"none", "support"}
    assert labels["means-tested help"] <= {"yes", "not known"}  # What nobody said is no "no".
    assert len({sum(row["n"] for row in rows) for rows in groups.values()}) == 1
    with Session(home.casework) as session:
        row = session.exec(select(Evaluation)).one()
        report = json.loads(json.dumps(row.report))
        report["cse.harmed"]["figures"]["precision"] = 0.99
        row.report = report
        session.add(row)
        session.commit()
    with pytest.raises(ScoringFault, match="FG-EVA-02"):
        evaluations(home, OPERATOR)


@pytest.mark.finding("LAW-25")
def test_a_challenger_is_trained_in_a_process_without_keys_or_says_why_not(home: Home) -> None:
    with pytest.raises(RunError, match="FG-RUN-10"):
        challenge(home, "hate", "cse_flag", TODAY, OPERATOR)
    with pytest.raises(RunError, match="FG-EVA-05"):
        challenge(home, "cse", "cse_flag", TODAY, OPERATOR)  # A tiny town has too few.
    with pytest.raises(RunError, match="FG-EVA-05"):
        challenge(home, "cse", "missing_episode", TODAY, OPERATOR, gap=7, window=20)


@pytest.mark.finding("LAW-26")
def test_a_step_that_was_overtaken_is_not_answered(home: Home) -> None:
    (now,) = [one for one in products(home, LEAD, **DEMO) if one["product"] == "cce"]
    if now["state"] != "live":
        asked = ask(home, LEAD, "cce", "live", WHY, **DEMO)
        answer(home, DPO, asked["number"], agree=True, **DEMO)
    waits = ask(home, LEAD, "cce", "retired", WHY, **DEMO)
    ask(home, LEAD, "cce", "suspended", WHY, **DEMO)
    with pytest.raises(RunError, match="FG-REG-03"):
        answer(home, DPO, waits["number"], agree=True, **DEMO)
    assert answer(home, DPO, waits["number"], agree=False, **DEMO)["state"] == "rejected"


@pytest.mark.finding("T-TF1")
def test_of_a_suspended_product_no_other_list_and_no_picture_speaks(home: Home) -> None:
    states = {one["product"]: one["state"] for one in products(home, LEAD, **DEMO)}
    for name in ("cse", "cce"):
        if states[name] != "live":
            asked = ask(home, LEAD, name, "live", WHY, **DEMO)
            answer(home, DPO, asked["number"], agree=True, **DEMO)
    label = next(one.label for one in home.tables.lists if one.id == "cse.harmed")
    other = _entries(home, "cce.harmed")
    assert any(label in one["also_on"] for one in other)
    people = [one["person"] for one in other]
    ask(home, LEAD, "cse", "suspended", WHY, **DEMO)
    ask(home, LEAD, "cce", "suspended", WHY, **DEMO)
    seen = [look(home, WORKER, one, **DEMO) for one in people[:6]]
    assert not any(each["shares_risk"] for one in seen for each in one["associates"] or [])
    assert not any(one["entries"] or one["scores"] for one in seen)
    asked = ask(home, LEAD, "cce", "live", WHY, **DEMO)
    answer(home, DPO, asked["number"], agree=True, **DEMO)
    assert not any(label in one["also_on"] for one in _entries(home, "cce.harmed"))


def test_what_somebody_typed_never_stands_in_the_trail(home: Home) -> None:
    with pytest.raises(RunError, match="FG-REG-03"):
        ask(home, LEAD, "Canaryname Elsewhere", "live", WHY, **DEMO)
    with pytest.raises(RunError, match="FG-REG-03"):
        who_saw(home, LEAD, "Canaryname Elsewhere", **DEMO)
    assert not [1 for _, body in read_events(home.path / "audit") if b"Canaryname" in body]
