"""Unusual access over a real home: tokens without names, the queue, who decides, and its own rates."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session, select
from typer.testing import CliRunner

from audit.canonical import parse
from audit.errors import AuditFault
from audit.log import read_events
from audit.unusual import Act, load_weights, shipped
from engine.cli.main import app
from engine.domain.errors import ConfigError, FieldgateError, PolicyRefused
from engine.domain.ids import as_utc, day_number
from engine.flows.decision import Ask
from engine.flows.home import Home
from engine.flows.intent import alone
from engine.flows.link import link
from engine.flows.monitor import run_monitor
from engine.flows.monitor_enrol import enrol, enrolled, leave, mark, read_declaration
from engine.flows.monitor_names import item_name
from engine.flows.monitor_queue import decide_item, open_items, second_look, show_item
from engine.flows.monitor_rates import monitor_rates
from engine.flows.monitor_rows import CASES, explained, seen_since
from engine.flows.reveal import reveal
from engine.flows.setup import set_flag
from engine.flows.submit import submit
from engine.identity.monitor_tokens import monitor_key, tokens_of
from engine.linkage.index import records_of
from engine.settings import Settings
from engine.store.monitor_tables import MonitorItem, MonitorMember, MonitorSubject
from engine.store.tables import SubjectState
from engine.web.app import create_app
from tests.builders.partnership import (
    OPERATOR,
    REASON,
    TODAY,
    Clock,
    Partnership,
    make_home,
    person_row,
    persons_file,
    seeded,
)

CANARY = {"Surname": "Zzyzxborough", "Address": "99 Axolotl Parade", "Postcode": "TL4 4QQ"}
DECLARED = "given_name: Wombatella\nsurname: {surname}\naddress: {address}\npostcode: TL4 4QQ\nteam: east\n"
LEAD, SECOND, WORKER, OTHER = "demo.ig_lead", "demo.dpo", "demo.social_worker", "demo.front_door"


@dataclass
class Scene:
    """A home with nine people, one of whom lives at the canary address."""

    home: Home
    clock: Clock
    neighbour: str
    others: list[str]

    def view(self, person: str, user: str = WORKER, case: str = "CASE-1") -> None:
        reveal(self.home, Ask(user, "safeguard_child", case, REASON, person), auth="demo")

    def run(self) -> dict[str, object]:
        return run_monitor(self.home, OPERATOR)

    def items(self, user: str = LEAD) -> list[dict[str, object]]:
        return list(open_items(self.home, user, auth="demo")["open"])

    def name(self, number: int = 1) -> str:
        """What the item is called that was the first, the second ... to be queued."""
        with Session(self.home.casework) as session:
            found = session.exec(select(MonitorItem).where(MonitorItem.number == number)).one()
        return item_name(found.id)


@dataclass
class Made:
    """A finished home of which each test takes a copy: making one takes longer than all that it does."""

    path: Path
    neighbour: str
    others: list[str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("monitor")
    home = make_home(folder / "home")
    file = persons_file(
        folder / "p.csv",
        person_row(**CANARY, PersonID="LA1", Forename="Testina", BirthDate="2012-03-04"),
        *[
            person_row(PersonID=f"LA{n}", Forename=f"Filler{n}", Surname=f"Fakename{n}",
                       BirthDate=f"201{n}-05-0{n}", HouseholdRef=f"H{n}")
            for n in range(2, 9)
        ],
    )  # fmt: skip
    submit(home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(home, OPERATOR)
    enrol(home, WORKER, DECLARED.format(surname="Narwhalson", address="7 Axolotl Parade"), OPERATOR)
    with Session(home.casework) as session:
        people = [one.person for one in session.exec(select(SubjectState)).all()]
    neighbour = next(one for one in people if "99" in _house(home, one))
    home.close()
    return Made(home.path, neighbour, [one for one in people if one != neighbour])


@pytest.fixture
def scene(tmp_path: Path, made: Made) -> Iterator[Scene]:
    clock = Clock()
    shutil.copytree(made.path, tmp_path / "home")
    home = Home(tmp_path / "home", Settings(passphrase=None), clock, seeded(7), apart=False)
    yield Scene(home, clock, made.neighbour, list(made.others))
    home.close()


def _house(home: Home, person: str) -> str:
    """Find out who is who once, before anything is measured: by a colleague who is not enrolled."""
    shown = reveal(
        home, Ask("demo.youth_justice", "safeguard_child", "SETUP", REASON, person), auth="demo"
    )
    return json.dumps(shown["identity"])


def _bytes(home: Home) -> dict[str, bytes]:
    return {
        str(p.relative_to(home.path)): p.read_bytes() for p in home.path.rglob("*") if p.is_file()
    }


def test_a_neighbour_is_queued_and_no_name_street_or_number_stands_anywhere(scene: Scene) -> None:
    scene.view(scene.neighbour)
    done = scene.run()
    assert done["queued"] == 1
    (item,) = scene.items()
    assert item["sentence"] == (
        "Social worker demo.social_worker of Tallowmere City Council opened or asked for one person once, on 25 November "
        "2026: the person lives in the user's street; nothing that fieldgate knows explains the look."
    )
    told = json.dumps([item, show_item(scene.home, LEAD, scene.name(1), auth="demo")])
    with Session(scene.home.casework) as session:
        assert session.exec(select(MonitorMember)).one().tokens["street"]
        assert session.exec(select(MonitorSubject)).all()
    scene.home.close()
    haystacks = {**_bytes(scene.home), "told": told.encode()}
    for word in ("Zzyzxborough", "Axolotl", "Narwhalson", "Wombatella", "TL4 4QQ", "TL44QQ"):
        for form in (word, word.upper(), word.lower()):
            assert [at for at, data in haystacks.items() if form.encode() in data] == [], word


@pytest.mark.finding("AUD-1")
def test_a_token_is_none_of_another_sort_or_home_and_nobody_makes_it_without_the_vaults_key(
    scene: Scene, tmp_path: Path
) -> None:
    same = "surname: Narwhalson\nformer_surname: Axolotl Parade\naddress: 7 Axolotl Parade\npostcode: TL4 4QQ\n"
    enrol(scene.home, OTHER, same, OPERATOR)
    other = make_home(tmp_path / "other", seed=2)
    enrol(other, OTHER, same, OPERATOR)
    found = []
    for home in (scene.home, other):
        with Session(home.casework) as session:
            found.append(session.get(MonitorMember, OTHER).tokens)  # type: ignore[union-attr]
    other.close()
    # Somebody who knows how a token is made, and the name, but has no key, or another ring's.
    rings = [
        scene.home.keyring(one).derive("monitor", 32) for one in ("psn", "link", "grant", "log")
    ]
    guesses = {
        made
        for key in (b"", b"monitor", *rings)
        for identity in (
            {"surname": "Narwhalson"},
            {"address": "7 Axolotl Parade", "postcode": "TL4 4QQ"},
        )
        for sort in tokens_of(key, [identity], TODAY, places=True).values()
        for made in sort
    }
    assert len(guesses) == 6 * 4
    with Session(scene.home.casework) as session:
        kept = session.get(MonitorMember, OTHER)
    assert kept is not None
    assert not guesses & {token for sort in kept.tokens.values() for token in sort}
    right = tokens_of(
        monitor_key(scene.home.keyring("vault")), [{"surname": "Narwhalson"}], TODAY, places=True
    )
    assert set(right["surname"]) <= set(kept.tokens["surname"])
    here, there = ({token for sort in one.values() for token in sort} for one in found)
    assert not here & there
    assert sum(map(len, found[0].values())) == len(here)


def test_the_same_day_twice_finds_the_same_and_a_repeat_by_the_pair_is_one_item(
    scene: Scene,
) -> None:
    scene.view(scene.neighbour)
    assert scene.run()["queued"] == 1
    first = scene.items()
    assert (scene.run()["queued"], scene.run()["grown"]) == (0, 0)
    assert scene.items() == first
    scene.clock.advance(days=1, hours=10)
    scene.view(scene.neighbour)
    second = scene.run()
    assert (second["queued"], second["grown"], second["from"]) == (0, 1, "2026-11-25")
    (item,) = scene.items()
    assert (item["looks"], item["days"]) == (2, ["2026-11-25", "2026-11-26"])
    assert [one["sign"] for one in item["signs"]] == [
        "same_street",
        "out_of_hours",
        "no_reason_known",
    ]  # type: ignore[attr-defined]
    # A colleague's look at the same person is another pair, and explains neither.
    assert {one.look.actor for one in seen_since(scene.home, TODAY)} == {
        "demo.youth_justice",
        WORKER,
    }


def test_a_colleague_on_the_same_case_explains_the_look_and_a_case_typed_alone_does_not(
    scene: Scene,
) -> None:
    scene.view(scene.neighbour, case="CASE-9")
    scene.view(scene.neighbour, user=OTHER, case="CASE-9")
    assert scene.run()["queued"] == 0
    rows = explained(
        scene.home, load_weights(shipped()), seen_since(scene.home, TODAY), {}, {}, TODAY
    )
    why = {one.actor: one.explained for one in rows if one.act == Act.VIEW}
    assert why[WORKER] == why[OTHER] == {"shared_case"}
    assert why["demo.youth_justice"] == frozenset()


def test_an_open_case_that_a_service_sent_explains_and_one_of_somebody_else_does_not(
    partnership: Partnership,
) -> None:
    home = partnership.home
    kinds = {kind.id for name, kind in home.tables.kinds.items() if name in CASES}
    record, runs, today = home.domain("record"), home.link_runs(), day_number(TODAY)
    with Session(home.casework) as session:
        people = [one.person for one in session.exec(select(SubjectState)).all()]
    cases: dict[bool, str] = {}
    for person in people:
        ids = records_of(home.linkage, home.domain("casework").parse(person), runs)
        rows = home.warehouse.rows_of("states", home.published(),
                                      record.seal(home.domain("linkage").open(ids)), home.live())  # fmt: skip
        open_now = any(row["kind"] in kinds and row["start"] <= today <= row["end"] for row in rows)
        try:
            if open_now not in cases:
                ask = Ask(OTHER, "safeguard_child", f"C-{open_now}", REASON, person)
                reveal(home, ask, auth="demo")
                cases[open_now] = person
        except FieldgateError:
            continue
        if len(cases) == 2:
            break
    seen = seen_since(home, TODAY)
    rows = explained(home, load_weights(shipped()), seen, {}, {}, TODAY)
    audit, casework = home.domain("audit"), home.domain("casework")
    for open_now, person in cases.items():
        subject = audit.text(audit.seal([casework.parse(person)])[0])
        mine = [one for one in rows if one.subject == subject and one.actor == OTHER]
        assert mine
        assert all(("open_case" in one.explained) is open_now for one in mine)
    assert set(cases) == {True, False}


def test_an_item_goes_to_the_employer_and_the_lead_and_nobody_sees_one_about_themselves(
    scene: Scene,
) -> None:
    for user in (LEAD, "demo.police_staff"):
        for _ in range(6):
            with pytest.raises(PolicyRefused):
                scene.view(scene.others[0], user=user, case="")
    scene.view(scene.neighbour)
    scene.run()
    by_user = {
        user: {str(one["user"]) for one in scene.items(user)}
        for user in (LEAD, "demo.ig_officer", SECOND, "demo.police_ig", "demo.caldicott")
    }
    assert by_user == {
        LEAD: {"demo.police_staff", WORKER},
        "demo.ig_officer": {LEAD, "demo.police_staff", WORKER},
        SECOND: {LEAD, WORKER},
        "demo.police_ig": {"demo.police_staff"},
        "demo.caldicott": set(),
    }
    about_lead = next(one["item"] for one in scene.items("demo.ig_officer") if one["user"] == LEAD)
    for user, number in (
        (LEAD, about_lead),
        ("demo.police_ig", about_lead),
        (LEAD, "0000-0000"),
        (LEAD, "1"),
    ):
        with pytest.raises(PolicyRefused) as refused:
            decide_item(scene.home, user, str(number), "explained", auth="demo")
        assert refused.value.code == "FG-MON-05"
        assert "demo" not in str(refused.value)


def test_misuse_waits_for_another_person_who_may_agree_or_open_it_again(scene: Scene) -> None:
    scene.view(scene.neighbour)
    scene.run()
    with pytest.raises(PolicyRefused) as unknown:
        decide_item(scene.home, LEAD, scene.name(1), "Zzyzxborough", auth="demo")
    assert unknown.value.code == "FG-MON-09"
    assert decide_item(scene.home, LEAD, scene.name(1), "misuse", auth="demo")["state"] == "waiting"
    for user, act in ((LEAD, True), (LEAD, False)):
        with pytest.raises(PolicyRefused) as own:
            second_look(scene.home, user, scene.name(1), agree=act, auth="demo")
        assert own.value.code == "FG-MON-10"
    assert (
        second_look(scene.home, SECOND, scene.name(1), agree=False, auth="demo")["state"] == "open"
    )
    assert "approvers" not in parse(read_events(scene.home.path / "audit", newest=1)[0][1])
    decide_item(scene.home, SECOND, scene.name(1), "misuse", auth="demo")
    assert (
        second_look(scene.home, LEAD, scene.name(1), agree=True, auth="demo")["state"] == "closed"
    )
    told = parse(read_events(scene.home.path / "audit", newest=1)[0][1])
    assert (told["actor"]["id"], told["approvers"]) == (LEAD, [SECOND])
    assert scene.items() == []
    with pytest.raises(PolicyRefused) as decided:
        decide_item(scene.home, LEAD, scene.name(1), "explained", auth="demo")
    assert decided.value.code == "FG-MON-09"
    # What was decided is not found again; what comes after it is, and tells what was decided before.
    assert scene.run()["queued"] == 0
    scene.clock.advance(days=1)
    scene.view(scene.neighbour)
    assert scene.run()["queued"] == 1
    before = show_item(scene.home, LEAD, scene.name(2), auth="demo")["before"]
    assert before == [{"item": scene.name(1), "outcome": "misuse", "on": "2026-11-25"}]


def test_a_pair_that_was_explained_stays_quiet_until_a_new_sign(scene: Scene) -> None:
    scene.view(scene.neighbour)
    scene.run()
    state = decide_item(scene.home, LEAD, scene.name(1), "explained", auth="demo")["state"]
    if state == "waiting":
        second_look(scene.home, SECOND, scene.name(1), agree=True, auth="demo")
    scene.clock.advance(days=1)
    scene.view(scene.neighbour)
    assert scene.run()["queued"] == 0
    scene.clock.advance(days=1, hours=10)
    scene.view(scene.neighbour)
    assert scene.run()["queued"] == 1
    (item,) = scene.items()
    assert {"out_of_hours", "repeat_without_case"} <= {one["sign"] for one in item["signs"]}  # type: ignore[attr-defined]


def test_marks_make_every_access_an_item_and_staff_kin_does_too(scene: Scene) -> None:
    mark(scene.home, LEAD, scene.others[0], "decoy", auth="demo")
    set_flag(scene.home, scene.others[1], "staff_kin", "y", "operator")
    scene.view(scene.others[0], user=OTHER, case="CASE-3")
    for user in (OTHER, WORKER):
        scene.view(scene.others[1], user=user, case="SAME")
    scene.run()
    # The colleague who had opened everybody before has an item for each of the two as well.
    signs = sorted(
        (str(one["user"]), one["signs"][0]["sign"])  # type: ignore[index]
        for one in scene.items()
        if one["user"] != "demo.youth_justice"
    )
    assert signs == [(OTHER, "decoy"), (OTHER, "staff_kin"), (WORKER, "staff_kin")]
    with pytest.raises(PolicyRefused) as refused:
        mark(scene.home, "demo.police_ig", scene.others[0], "decoy", auth="demo")
    assert refused.value.code == "FG-MON-04"
    for person, value in (("Zzyzxborough", "decoy"), (scene.others[0], "famous")):
        with pytest.raises(PolicyRefused) as wrong:
            mark(scene.home, LEAD, person, value, auth="demo")
        assert wrong.value.code == "FG-MON-06"


def test_whoever_lives_at_a_protected_address_gets_no_token_of_a_place(scene: Scene) -> None:
    set_flag(scene.home, scene.neighbour, "protected", "y", "operator")
    with Session(scene.home.casework) as session:
        before = session.exec(select(MonitorSubject)).all()
    assert before == []
    scene.run()
    audit = scene.home.domain("audit")
    hidden = audit.text(audit.seal([scene.home.domain("casework").parse(scene.neighbour)])[0])
    with Session(scene.home.casework) as session:
        kept = {one.subject: one.tokens for one in session.exec(select(MonitorSubject)).all()}
    assert kept[hidden]["surname"]
    assert [kept[hidden][sort] for sort in ("street", "address", "area")] == [[], [], []]
    assert any(one["street"] for one in kept.values())


def test_nobody_is_opened_who_was_not_looked_at(scene: Scene, tmp_path: Path) -> None:
    file = persons_file(tmp_path / "q.csv", person_row(PersonID="LA77", Forename="Unseenia"))
    submit(scene.home, file, agency="council", source="council.persons", actor=OPERATOR)
    link(scene.home, OPERATOR)
    scene.run()
    with Session(scene.home.casework) as session:
        kept = {one.subject for one in session.exec(select(MonitorSubject)).all()}
        there = len(session.exec(select(SubjectState)).all())
    assert kept == {one.look.subject for one in seen_since(scene.home, TODAY)}
    assert len(kept) < there


def test_a_role_that_does_not_look_after_it_is_refused_in_the_trail(scene: Scene) -> None:
    for call in (
        lambda: open_items(scene.home, WORKER, auth="demo"),
        lambda: monitor_rates(scene.home, WORKER, auth="demo"),
        lambda: decide_item(scene.home, WORKER, "0000-0000", "explained", auth="demo"),
        lambda: second_look(scene.home, WORKER, "0000-0000", agree=True, auth="demo"),
    ):
        with pytest.raises(PolicyRefused) as refused:
            call()
        assert refused.value.code == "FG-MON-04"
        event = parse(read_events(scene.home.path / "audit", newest=1)[0][1])
        assert (event["flow"], event["decision"]) == ("monitor_items", "refuse")
        assert "FG-MON-04" in event["rules"]


def test_two_runs_at_once_are_one_run_and_a_refusal(scene: Scene) -> None:
    with alone(scene.home, "monitor", "FG-XXX-01"), pytest.raises(ConfigError) as refused:
        scene.run()
    assert refused.value.code == "FG-MON-07"


def test_every_act_of_the_monitor_is_an_intent_and_an_outcome(scene: Scene) -> None:
    scene.view(scene.neighbour)
    scene.run()
    show_item(scene.home, LEAD, scene.name(1), auth="demo")
    scene.items()
    monitor_rates(scene.home, LEAD, auth="demo")
    decide_item(scene.home, LEAD, scene.name(1), "misuse", auth="demo")
    second_look(scene.home, SECOND, scene.name(1), agree=True, auth="demo")
    mark(scene.home, LEAD, scene.others[0], "marked", auth="demo")
    leave(scene.home, WORKER, OPERATOR)
    events = [parse(body) for _, body in read_events(scene.home.path / "audit")]
    found = {(one["flow"], one["kind"], one["phase"]) for one in events
             if one["flow"].startswith("monitor")}  # fmt: skip
    kinds = {
        "monitor_enrol": "config", "monitor_run": "audit_read", "monitor_item": "audit_read",
        "monitor_items": "audit_read", "monitor_rates": "audit_read",
        "monitor_decide": "alteration", "monitor_second": "approve", "monitor_mark": "alteration",
        "monitor_leave": "erasure",
    }  # fmt: skip
    assert found == {(flow, kind, phase) for flow, kind in kinds.items()
                     for phase in ("intent", "outcome")}  # fmt: skip


@pytest.mark.finding("AUD-5")
def test_a_run_that_cannot_write_the_trail_queues_nothing(scene: Scene) -> None:
    scene.view(scene.neighbour)
    moved = scene.home.path / "audit" / "log.db"
    kept = moved.read_bytes()
    scene.home.close()
    scene.home.__dict__.pop("audit")
    moved.unlink()
    with pytest.raises(AuditFault) as refused:
        scene.run()
    assert refused.value.code == "FG-AUD-02"
    moved.write_bytes(kept)
    with Session(scene.home.casework) as session:
        assert session.exec(select(MonitorItem)).all() == []


def test_its_own_rates_say_not_estimable_and_hide_small_counts(scene: Scene) -> None:
    scene.view(scene.neighbour)
    scene.run()
    found = monitor_rates(scene.home, LEAD, auth="demo")
    assert {one["group"] for one in found["by_role"]} == {"Social worker", "Youth offending team"}
    assert all(one["queued_per_1000"] == "not estimable" for one in found["by_role"])
    assert found["by_team"] == [
        {"group": "east", **dict.fromkeys(("users", "looks", "queued", "decided", "misuse"), "not shown"),
         "queued_per_1000": "not estimable", "misuse_share": "not estimable"}
    ]  # fmt: skip
    assert (found["queued"], found["outcomes"]) == (1, {})


def test_a_declaration_that_cannot_be_read_is_told_without_what_it_says(scene: Scene) -> None:
    for text in (
        "",
        "nickname: Zzyzxborough",
        "surname Zzyzxborough",
        "team: Zzyzx Borough",
        "surname:",
    ):
        with pytest.raises(ConfigError) as refused:
            read_declaration(text)
        assert refused.value.code == "FG-MON-03"
        assert "yzx" not in str(refused.value) + refused.value.next_step
    with pytest.raises(ConfigError) as nobody:
        enrol(scene.home, "Zzyzxborough", "surname: X", OPERATOR)
    assert nobody.value.code == "FG-MON-02"
    with pytest.raises(ConfigError):
        leave(scene.home, OTHER, OPERATOR)


def test_the_commands_enrol_from_standard_input_and_run_and_list(scene: Scene) -> None:
    scene.view(scene.neighbour, user=OTHER)
    home = ["--home", str(scene.home.path)]
    scene.home.close()
    text = DECLARED.format(surname="Narwhalson", address="8 Axolotl Parade")
    run = CliRunner()
    done = run.invoke(app, ["monitor", "enrol", OTHER, "--json", *home], input=text)
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["tokens"]["street"] == 1
    assert "Axolotl" not in done.output
    ran = run.invoke(app, ["monitor", "run", "--json", "--until", TODAY.isoformat(), *home])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.output)["queued"] == 1
    listed = run.invoke(app, ["monitor", "list", "--as", LEAD, *home])
    name = listed.output.split()[0]
    assert "the person lives in the user's street" in listed.output
    shown = run.invoke(app, ["monitor", "show", name, "--as", LEAD, *home])
    assert "The example of the regulator's guidance" in shown.output
    decided = run.invoke(app, ["monitor", "decide", name.lower(), "misuse", "--as", LEAD, *home])
    assert "waits for a second person" in decided.output
    agreed = run.invoke(
        app, ["monitor", "second", name.replace("-", ""), "--agree", "--as", SECOND, *home]
    )
    assert (agreed.exit_code, agreed.output.strip()) == (0, "Agreed.")
    rates = run.invoke(app, ["monitor", "rates", "--as", LEAD, *home])
    assert "not estimable" in rates.output
    members = run.invoke(app, ["monitor", "members", "--json", *home])
    assert {one["user"] for one in json.loads(members.output) if one["enrolled"]} == {WORKER, OTHER}
    ahead = run.invoke(app, ["monitor", "run", "--until", "2999-01-01", *home])
    assert (ahead.exit_code, "FG-MON-08" in ahead.output) == (15, True)


def test_enrolment_is_listed_and_ends(scene: Scene) -> None:
    rows = {str(one["user"]): one for one in enrolled(scene.home)}
    assert rows[WORKER]["sorts"] == ["address", "area", "street", "surname"]
    assert not rows[OTHER]["enrolled"]
    leave(scene.home, WORKER, OPERATOR)
    scene.view(scene.neighbour)
    scene.run()
    assert scene.items() == []
    with Session(scene.home.casework) as session:
        assert session.get(MonitorMember, WORKER) is None
        assert all(as_utc(one.opened_at) for one in session.exec(select(MonitorItem)).all())


def test_the_page_leads_from_the_queue_to_a_decision_and_the_second_look(scene: Scene) -> None:
    scene.view(scene.neighbour)
    scene.run()
    with TestClient(create_app(scene.home), base_url="http://127.0.0.1") as client:

        def sign_in(user: str) -> str:
            client.cookies.clear()
            page = client.post("/sign-in", data={"user": user}, follow_redirects=True).text
            return re.findall(r'name="csrf" value="([0-9a-f]+)"', page)[0]

        csrf, page = sign_in(LEAD), f"/monitor/{scene.name()}"
        assert "the person lives in the user&#39;s street" in client.get("/monitor").text
        nothing = client.post(page, data={"csrf": csrf})
        assert (nothing.status_code, 'href="#outcome"' in nothing.text) == (422, True)
        assert client.post(page, data={"outcome": "misuse"}).status_code == 403
        done = client.post(page, data={"csrf": csrf, "outcome": "misuse"}, follow_redirects=False)
        assert (done.status_code, done.headers["location"]) == (303, "/monitor")
        assert "Take the second look" not in client.get("/monitor").text
        csrf = sign_in(SECOND)
        assert "Take the second look" in client.get("/monitor").text
        assert ">Agree</button>" in client.get(page).text
        client.post(page, data={"csrf": csrf, "word": "agree"})
        assert "Misuse found; it goes to the employer: 1." in client.get("/monitor/rates").text
        sign_in("demo.police_ig")
        refused = client.get(page)
        assert (refused.status_code, "FG-MON-05" in refused.text) == (403, True)
