"""The 27 faults of pycasbin 2.8.0 (policy.md 4.1): each on plain pycasbin first, then at our guard.

A first half that fails after an upgrade says that casbin has mended the fault; the second half must
hold whatever casbin does. "Open" in a comment means that plain pycasbin gives access wrongly.
"""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import casbin
import pytest
from casbin.effect import AllowAndDenyEffector, AllowOverrideEffector
from casbin.model import FastModel, Model
from casbin.persist import Adapter
from casbin.rbac.default_role_manager import RoleManager

import policies.rows
from gateways import strict_yaml
from gateways.errors import GatewayFault
from policies.authorise import authorise
from policies.errors import PolicyFault
from policies.explain import explain
from policies.model import Level, Pack, Request
from policies.rows import MODEL, LoadedRows, Row, RowAdapter, check_rows, state_text
from policies.shadow import _ROUTE_MODEL, RouteGate
from tests.builders.policy_world import CATEGORIES, TODAY, cap, grant, small_pack

ROOT = Path(__file__).resolve().parents[2]
AND = "some(where (p.eft == allow)) && !some(where (p.eft == deny))"
SAME = "r.sub == p.sub && r.obj == p.obj"
BOTH = MODEL + _ROUTE_MODEL
SIZE = "invalid policy size"

WHO, WHAT = "social_worker@council", "council.persons#surname:4"
ASKED = (WHO, "safeguard_child", "dsa_0001|ca2004.s11", WHAT)
OPEN: Row = (*ASKED, "*", "allow")
SHUT: Row = (WHO, "*", "*", WHAT, "child:y", "deny")

WORKER = Request("worker", "council", "protect")
BY = ("worker", "council", "protect")
STATE = {"child": "y", "protected": "n", "restricted": "n"}
NONE = (Level.REFUSE,) * 3
LOW = small_pack([grant("g.low", BY, "plain", Level.TOKEN, ("a1",))])
HIGH = replace(
    LOW,
    grants=tuple(
        grant(one, BY, one, Level.CLEAR, ("a1",)) for one in ("plain", "health", "police")
    ),
    caps=(cap("cap.police", {"child": "y"}, Level.EXISTS, categories=["record"]),),
    version="1" * 64,
)
ROUTES = replace(LOW, routes={"lists": frozenset({"worker"})})


def _conf(matcher: str = SAME, effect: str = AND, policy: str = "sub, obj, eft") -> str:
    roles = "[role_definition]\ng = _, _\n" if "g(" in matcher else ""
    return (f"[request_definition]\nr = sub, obj\n[policy_definition]\np = {policy}\n{roles}"
            f"[policy_effect]\ne = {effect}\n[matchers]\nm = {matcher}\n")  # fmt: skip


BY_ROLE = _conf("g(r.sub, p.sub) && r.obj == p.obj")


def _model(conf: str, rows: Iterable[Sequence[str]] = (), made: Any = None) -> Any:
    model = made or Model()
    model.load_model_from_text(conf)
    for row in rows:
        model.add_policy("p", "p", list(row))
    return model


def _plain(rows: Iterable[Sequence[str]], conf: str = "") -> Any:
    """Return a plain enforcer over rows in memory."""
    return casbin.Enforcer(_model(conf or _conf(), rows))


def _from_file(folder: Path, text: str, conf: str = "") -> Any:
    """Return a plain enforcer over a policy file."""
    (folder / "model.conf").write_text(conf or _conf(), encoding="utf-8")
    (folder / "policy.csv").write_text(text, encoding="utf-8")
    return casbin.Enforcer(str(folder / "model.conf"), str(folder / "policy.csv"))


def _matcher(conf: str) -> str:
    """Return the matcher as casbin holds it after it has read the model."""
    return str(_model(conf)["m"]["m"].value)


MATCHERS = _matcher(MODEL) + " " + _matcher(_ROUTE_MODEL)


def _loaded(*rows: Row) -> LoadedRows:
    return LoadedRows.of(dict.fromkeys(rows, ()))


def _refuse(*cells: object) -> None:
    """Assert that our guard takes the row neither when it checks nor when it loads."""
    for guard in (lambda *rows: check_rows(rows), _loaded):
        with pytest.raises(PolicyFault, match="FG-POL-03"):
            guard(OPEN, cast("Row", cells))


def _refuse_cell(*cells: str) -> None:
    """Assert that no column takes one of the cells, neither in an allow row nor in a deny row."""
    check_rows([OPEN, SHUT])
    for cell in cells:
        for row in (OPEN, SHUT):
            for place in range(6):
                _refuse(*row[:place], cell, *row[place + 1 :])


def _refuse_route(gate: RouteGate, role: str = "worker", route: str = "lists") -> None:
    with pytest.raises(PolicyFault, match="FG-POL-04"):
        gate.admits(role, route)


def _lines(word: str) -> list[tuple[str, str]]:
    """Return every line of our packages that holds the word, with its file's name."""
    packages = ("policies", "engine", "gateways", "scoring", "audit")
    paths = [path for name in packages for path in sorted((ROOT / name).rglob("*.py"))]
    assert len(paths) > 50
    lines = [(path.name, line) for path in paths for line in path.read_text("utf-8").split("\n")]
    return [(name, line.strip()) for name, line in lines if word in line]


def _nowhere(*words: str) -> None:
    for word in words:
        assert _lines(word) == []


def _levels(pack: Pack) -> tuple[str, tuple[Level, ...]]:
    view = authorise(pack, WORKER, "s1", CATEGORIES, TODAY, frozenset())
    return view.policy_version, tuple(view.level(name, STATE) for name in CATEGORIES)


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let threads take turns very often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def _decide_while_the_pack_is_swapped() -> list[tuple[str, tuple[Level, ...]]]:
    """Decide in four threads while a fifth swaps in packs from which nothing is compiled yet."""
    active, done, swaps = [replace(LOW)], threading.Event(), [0]

    def swap() -> None:
        while not done.is_set():
            swaps[0] += 1
            active[0] = replace(HIGH if swaps[0] % 2 else LOW)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: _levels(active[0]), range(240), timeout=30))
    finally:
        done.set()
        swapper.join(5)
    assert swaps[0] > 1
    return found


@pytest.mark.finding("POL-TRAP-01")
@pytest.mark.parametrize("effect", ["Deny", "denied", "DENY", "deny ", "", "Allow"])
def test_01_an_effect_that_is_mistyped_counts_as_neither(effect: str) -> None:
    rows = [("ann", "file", "allow"), ("ann", "file", effect)]
    assert _plain(rows).enforce("ann", "file") is True  # Open: the denial is lost.
    _refuse(*OPEN[:5], effect)
    _refuse(*SHUT[:5], effect)


@pytest.mark.finding("POL-TRAP-02")
@pytest.mark.parametrize("kind", ["d", "P", "p2"])
def test_02_a_row_of_an_unknown_type_is_dropped_without_a_word(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _from_file(tmp_path, f"p, ann, file, allow\n{kind}, ann, file, deny\n")
    assert plain.get_policy() == [["ann", "file", "allow"]]
    assert plain.enforce("ann", "file") is True  # Open.

    class Losing(RowAdapter):
        def __init__(self, rows: Iterable[Row]) -> None:
            super().__init__(row for row in rows if row[5] != "deny")

    assert _loaded(OPEN, SHUT).rows == (OPEN, SHUT)
    monkeypatch.setattr(policies.rows, "RowAdapter", Losing)
    with pytest.raises(PolicyFault, match="FG-POL-09"):
        _loaded(OPEN, SHUT)


@pytest.mark.finding("POL-TRAP-03")
def test_03_a_byte_order_mark_drops_the_first_row(tmp_path: Path) -> None:
    plain = _from_file(tmp_path, "\ufeffp, ann, file, deny\np, ann, file, allow\n")
    assert plain.enforce("ann", "file") is True  # Open.
    (tmp_path / "caps.yaml").write_text("\ufeffcaps: []\n", encoding="utf-8")
    with pytest.raises(GatewayFault, match="byte order mark"):
        strict_yaml.load(tmp_path / "caps.yaml")
    _refuse_cell("\ufeffchild")
    _nowhere("FileAdapter", "load_policy_line")


@pytest.mark.finding("POL-TRAP-04")
def test_04_an_empty_policy_meets_an_empty_wildcard_and_allows_everything() -> None:
    anyone = _conf('(p.sub == "" || r.sub == p.sub) && (p.obj == "" || r.obj == p.obj)')
    assert _plain([], anyone).enforce("mallory", "file") is True  # Open.
    assert not _loaded().allows(*ASKED, "none:y")
    assert not _loaded().allows("", "", "", "", "")
    for role, route in (("worker", "lists"), ("", ""), ("*", "*")):
        _refuse_route(RouteGate(LOW), role, route)
    _refuse_cell("")
    assert _levels(small_pack())[1] == NONE


@pytest.mark.finding("POL-TRAP-05")
def test_05_in_on_a_string_is_a_test_for_a_part() -> None:
    part = _plain([("ann", "surname;address", "allow")], _conf("r.sub == p.sub && r.obj in p.obj"))
    assert part.enforce("ann", "name") is True  # Open.
    assert part.enforce("ann", "") is True  # Open.
    assert not re.search(r"\bin\b", MATCHERS)
    assert _loaded(OPEN).allows(*ASKED, "none:y")
    for place, cell in enumerate(ASKED):
        for other in (cell[:-1], cell[1:], cell[3:6], cell + "x", cell.upper(), "", "*"):
            asked = dict(enumerate(ASKED)) | {place: other}
            assert not _loaded(OPEN).allows(asked[0], asked[1], asked[2], asked[3], "none:y"), other


@pytest.mark.finding("POL-TRAP-06")
@pytest.mark.parametrize(
    ("function", "policy"),
    [("regexMatch", "police"), ("keyMatch", "police*"), ("globMatch", "police*")],
)
def test_06_a_pattern_function_reaches_further_than_it_reads(function: str, policy: str) -> None:
    conf = _conf(f"r.sub == p.sub && {function}(r.obj, p.obj)")
    assert _plain([("ann", policy, "allow")], conf).enforce("ann", "police_intel") is True  # Open.
    _nowhere("keyMatch", "regexMatch", "globMatch", "ipMatch", "key_match", "regex_match")
    assert set(re.findall(r"\w+(?=\()", MATCHERS)) == {"match", "state"}
    _refuse(*OPEN[:3], "council.*#surname:4", *OPEN[4:])
    _refuse(*SHUT[:3], "council.persons#.*:4", *SHUT[4:])


@pytest.mark.finding("POL-TRAP-07")
def test_07_the_effect_of_denials_alone_allows_by_default() -> None:
    alone = _conf(effect="!some(where (p.eft == deny))")
    assert _plain([("ann", "file", "allow")], alone).enforce("mallory", "other") is True  # Open.
    assert f"\ne = {AND}\n" in MODEL
    assert isinstance(next(iter(_loaded(OPEN)._enforcers.values())).eft, AllowAndDenyEffector)
    gate = RouteGate(ROUTES)._enforcer  # Its one column of effects knows no denial.
    assert isinstance(gate.eft, AllowOverrideEffector)
    assert [row[2] for row in gate.get_policy()] == ["allow"]
    assert not _loaded(OPEN).allows("nobody@council", *ASKED[1:], "none:y")
    assert not _loaded(SHUT).allows(*ASKED, "child:n")


@pytest.mark.finding("POL-TRAP-08")
@pytest.mark.parametrize(("links", "opens"), [(9, False), (10, True)])
def test_08_a_denial_behind_a_deep_chain_is_lost(links: int, opens: bool, tmp_path: Path) -> None:
    chain = "".join(f"g, r{n}, r{n + 1}\n" for n in range(links))
    plain = _from_file(tmp_path, f"p, r0, file, allow\np, r{links}, file, deny\n{chain}", BY_ROLE)
    assert plain.enforce("r0", "file") is opens
    assert "role_definition" not in BOTH
    assert list(_model(MODEL).keys()) == list(_model(_ROUTE_MODEL).keys()) == ["r", "p", "e", "m"]
    _nowhere("grouping_policy", "role_links", "RoleManager", "role_manager")


@pytest.mark.finding("POL-TRAP-09")
def test_09_a_comment_cuts_the_rest_of_the_matcher_off() -> None:
    cut = _conf("r.sub == p.sub # the person \\\n && r.obj == p.obj")
    assert _plain([("ann", "file", "allow")], cut).enforce("ann", "other") is True  # Open.
    assert "#" not in BOTH
    calls = [f"match(r_{one}, p_{one})" for one in ("who", "purpose", "basis", "what")]
    assert _matcher(MODEL).split(" && ") == [*calls, "state(r_state, p_state)"]
    assert _matcher(_ROUTE_MODEL) == "r_role == p_role && r_route == p_route"


@pytest.mark.finding("POL-TRAP-10")
def test_10_a_row_can_carry_an_expression_into_eval() -> None:
    conf = _conf("r.sub == p.sub && eval(p.rule)", policy="sub, rule, eft")
    plain = _plain([("ann", "False) or (True", "allow")], conf)
    assert plain.enforce("mallory", "file") is True  # Open.
    _refuse_cell("False) or (True", "True")
    assert "eval" not in BOTH


@pytest.mark.finding("POL-TRAP-11")
def test_11_a_row_that_is_loaded_twice_survives_its_removal(tmp_path: Path) -> None:
    plain = _from_file(tmp_path, "p, ann, file, allow\np, ann, file, allow\n")
    plain.remove_policy("ann", "file", "allow")
    assert plain.enforce("ann", "file") is True  # Open.
    assert RowAdapter([OPEN, SHUT, OPEN]).rows == (OPEN, SHUT)
    doubled = replace(LOW, grants=LOW.grants * 2)
    rows = policies.rows.rows_for(doubled, *BY, LOW.sources["s1"])
    assert len(LoadedRows.of(rows).rows) == len(rows) > 0
    assert _levels(replace(doubled, grants=()))[1] == NONE


FAST = _conf('r.sub == p.sub && (p.obj == "*" || r.obj == p.obj)')


def _fast(rows: Iterable[Sequence[str]]) -> Any:
    return casbin.FastEnforcer(_model(FAST, rows, FastModel([0, 1])), cache_key_order=[0, 1])


@pytest.mark.finding("POL-TRAP-12")
def test_12_the_fast_enforcer_never_looks_at_a_wildcard_row() -> None:
    rows = [("ann", "file", "allow"), ("ann", "*", "deny")]
    assert _plain(rows, FAST).enforce("ann", "file") is False
    assert _fast(rows).enforce("ann", "file") is True  # Open.
    _nowhere("FastEnforcer", "FastModel", "fast_policy_filter", "fast_enforcer")
    assert _loaded(OPEN, SHUT).allows(*ASKED, "child:n")
    assert not _loaded(OPEN, SHUT).allows(*ASKED, "child:y")
    assert not _loaded(OPEN, (*SHUT[:4], "*", "deny")).allows(*ASKED, "child:n")


@pytest.mark.finding("POL-TRAP-13")
def test_13_a_reload_shows_a_policy_without_roles(tmp_path: Path, hurried: None) -> None:
    """The race is made certain: the question is asked between two lines of casbin's own reload."""
    policy = "p, ann, file, allow\np, barred, file, deny\ng, ann, barred\n"
    plain, seen = _from_file(tmp_path, policy, BY_ROLE), []

    class Asking(RoleManager):  # type: ignore[misc]  # casbin carries no types
        def clear(self) -> None:
            super().clear()
            seen.append(plain.enforce("ann", "file"))

    plain.set_role_manager(Asking(10))
    plain.build_role_links()
    seen.clear()
    assert plain.enforce("ann", "file") is False
    plain.load_policy()
    assert seen == [True]  # Open, for as long as the reload takes.
    low = (LOW.version, (Level.TOKEN, Level.REFUSE, Level.REFUSE))
    high = (HIGH.version, (Level.CLEAR, Level.CLEAR, Level.EXISTS))
    assert set(_decide_while_the_pack_is_swapped()) <= {low, high} == {_levels(LOW), _levels(HIGH)}
    ours = ("rows.py", "def load_policy(self, model: Model) -> None:")
    assert _lines("load_policy(") == [ours]


@pytest.mark.finding("POL-TRAP-14")
def test_14_threads_overwrite_each_others_filter_in_the_fast_enforcer(hurried: None) -> None:
    """What another thread's question does first happens here after Ann's question has begun."""
    fast = _fast([("ann", "file", "allow"), ("bob", "file", "allow")])
    assert fast.enforce("ann", "file") is True
    others = fast.model["p"]["p"].policy.apply_filter
    fast.fm = SimpleNamespace(get_functions=lambda: others("bob", "file") or {})
    assert fast.enforce("ann", "file") is False  # Wrong: she is answered from Bob's rows.
    assert set(_ask_in_threads()) <= {"right", "FG-POL-10"}  # Never wrong; at worst not decided.


def _ask_in_threads() -> list[str]:
    """Ask one set of rows from four threads; say of each answer whether it was right."""
    shared = _loaded(OPEN, SHUT, ("lead@council", *OPEN[1:]))
    asked = [(WHO, "child:n", True), (WHO, "child:y", False), ("lead@council", "child:y", True),
             ("nobody@council", "child:n", False)]  # fmt: skip

    def ask(turn: int) -> str:
        who, state, right = asked[turn % 4]
        try:
            return "right" if shared.allows(who, *ASKED[1:], state) is right else "wrong"
        except PolicyFault as fault:
            return fault.code

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(ask, range(400)))


@pytest.mark.finding("POL-TRAP-14")
def test_14_threads_that_ask_casbin_at_once_are_all_answered(hurried: None) -> None:
    assert set(_ask_in_threads()) == {"right"}


@pytest.mark.finding("POL-TRAP-15")
def test_15_reloads_starve_the_readers_of_the_synced_enforcer(hurried: None) -> None:
    """A reload that comes after a question overtakes it, so endless reloads let no question by."""
    order: list[str] = []

    class Noting(Adapter):  # type: ignore[misc]  # casbin carries no types
        def load_policy(self, model: Model) -> None:
            order.append("reload")

    synced = casbin.SyncedEnforcer(_model(_conf()), Noting())
    ask = threading.Thread(target=lambda: order.append(str(synced.enforce("ann", "file"))))
    threads = [ask, *(threading.Thread(target=synced.load_policy) for _ in range(2))]
    end = time.monotonic() + 5
    with synced._wl:  # A reload is under way.
        order.clear()
        for number, thread in enumerate(threads, 1):
            thread.start()
            while len(synced._rwlock._cond._waiters) < number and time.monotonic() < end:
                time.sleep(0.001)
    for thread in threads:
        thread.join(5)
    assert order == ["reload", "reload", "False"]
    _nowhere("SyncedEnforcer", "AsyncEnforcer", "auto_load_policy", "set_watcher")
    assert len(_decide_while_the_pack_is_swapped()) == 240  # A swap makes nobody wait.


@pytest.mark.finding("POL-TRAP-16")
@pytest.mark.parametrize(
    ("literal", "becomes"), [("ig@p.gov.uk", "ig@p_gov.uk"), ("a!b", "anot b"), ("r.x", "r_x")]
)
def test_16_a_literal_in_the_matcher_is_rewritten(literal: str, becomes: str) -> None:
    plain = _plain([("ann", "file", "allow")], _conf(f"r.sub == '{literal}' && r.obj == p.obj"))
    assert plain.enforce(literal, "file") is False
    assert plain.enforce(becomes, "file") is True  # Open, for another name than was written.
    assert not re.search(r"""['"0-9!]""", MATCHERS)


@pytest.mark.finding("POL-TRAP-17")
def test_17_a_quoted_cell_is_split_and_breaks_every_caller(tmp_path: Path) -> None:
    plain = _from_file(tmp_path, 'p, ann, "x,y", allow\np, bob, file, allow\n')
    assert plain.get_policy()[0] == ["ann", '"x', 'y"', "allow"]
    with pytest.raises(RuntimeError, match=SIZE):
        plain.enforce("bob", "file")
    _refuse_cell('"x,y"', "x,y", '"x', "x;y", "x y")


@pytest.mark.finding("POL-TRAP-18")
def test_18_a_newline_in_a_value_becomes_a_row_when_it_is_saved(tmp_path: Path) -> None:
    plain = _from_file(tmp_path, "p, bob, file, allow\n")
    plain.add_policy("ann", "x, allow\np, mallory, secret", "allow")
    assert plain.enforce("mallory", "secret") is False
    plain.save_policy()
    plain.load_policy()
    assert plain.enforce("mallory", "secret") is True  # Open: a row was injected.
    _refuse_cell("x, allow\np, mallory, secret", "x\n", "\nx", "x\r", "x\0", "=x", "+x", "-x", "@x")
    for row in (OPEN, SHUT):
        for place, cell in enumerate(row):
            _refuse(*row[:place], cell + "\n", *row[place + 1 :])
    _nowhere("save_policy")


@pytest.mark.finding("POL-TRAP-19")
def test_19_a_parenthesis_in_a_value_makes_the_policy_unusable(tmp_path: Path) -> None:
    swallowing = _from_file(tmp_path, "p, ann, (file, allow\np, bob, file, allow\n")
    assert swallowing.get_policy()[0] == ["ann", "(file, allow"]
    with pytest.raises(RuntimeError, match=SIZE):
        swallowing.enforce("bob", "file")
    with pytest.raises(IndexError):
        _from_file(tmp_path, "p, ann, file), allow\n")
    _refuse_cell("(file", "file)", "[file", "file]", "f(a)")


@pytest.mark.finding("POL-TRAP-20")
def test_20_a_short_row_stays_hidden_until_somebody_else_asks() -> None:
    some = _conf(effect="some(where (p.eft == allow))")
    plain = _plain([("ann", "file", "allow"), ("bob", "file")], some)
    assert plain.enforce("ann", "file") is True
    with pytest.raises(RuntimeError, match=SIZE):
        plain.enforce("bob", "file")
    for width in range(6):
        _refuse(*OPEN[:width])
        _refuse(*SHUT[:width])
    _refuse(*ASKED, "allow")


@pytest.mark.finding("POL-TRAP-21")
def test_21_a_row_of_eight_values_does_not_come_back_from_six_columns() -> None:
    """No adapter to a database is installed: its truncation to v0..v5 is done here by hand."""
    conf = _conf(policy="sub, obj, c, d, e, f, g, eft")
    row = ("ann", "file", "c", "d", "e", "f", "g", "allow")
    assert _plain([row], conf).enforce("ann", "file") is True
    with pytest.raises(RuntimeError, match=SIZE):
        _plain([row[:6]], conf).enforce("ann", "file")
    assert len(_model(MODEL)["p"]["p"].tokens) == 6  # So that none would be cut off.
    assert _model(MODEL)["p"]["p"].tokens[5] == "p_eft"
    _refuse(*OPEN, "allow")
    _refuse(*OPEN[:5], "x", "allow")


@pytest.mark.finding("POL-TRAP-22")
def test_22_priorities_are_compared_as_numbers_and_as_text(tmp_path: Path) -> None:
    conf = _conf(effect="priority(p.eft) || deny", policy="priority, sub, obj, eft")
    with pytest.raises(TypeError):
        _from_file(tmp_path, "p, 10, ann, file, deny\np, high, ann, file, allow\n", conf)
    plain = _from_file(tmp_path, "p, -10, ann, file, deny\np, -1, ann, file, allow\n", conf)
    assert plain.enforce("ann", "file") is True  # Open: "-1" stands before "-10".
    assert "priority" not in BOTH
    for ours in (_loaded(OPEN, SHUT), _loaded(SHUT, OPEN)):
        assert ours.allows(*ASKED, "child:n")
        assert not ours.allows(*ASKED, "child:y")


@pytest.mark.finding("POL-TRAP-23")
def test_23_a_filter_of_nothing_removes_every_row() -> None:
    plain = _plain([("ann", "file", "allow"), ("ann", "file", "deny")])
    assert plain.remove_filtered_policy(0, "") is True
    assert plain.get_policy() == []
    _nowhere("remove_polic", "remove_filtered", "remove_named", "add_policies", "update_polic",
             "clear_policy", "load_filtered_policy", "load_increment", "add_named_policy")  # fmt: skip
    adds = _lines(".add_policy(")
    assert [name for name, _ in adds] == ["rows.py", "shadow.py"]
    assert all(line.startswith("model.add_policy(") for _, line in adds)
    with pytest.raises(FrozenInstanceError):
        _loaded(OPEN).rows = ()  # type: ignore[misc]  # that is what must fail


@pytest.mark.finding("POL-TRAP-24")
def test_24_one_switch_allows_everything() -> None:
    plain = _plain([("ann", "file", "deny")])
    plain.enable_enforce(False)
    assert plain.enforce("mallory", "secret") is True  # Open.
    assert plain.enforce_ex("mallory", "secret") == [True, []]  # And a list, not a pair.
    _nowhere("enable_enforce", "enforce_ex", ".enabled = ", "set_effector", "set_model(")
    for ours, wanted in ((_loaded(OPEN), []), (RouteGate(ROUTES), ["_enforcer"])):
        held = [name for name in dir(ours) if isinstance(getattr(ours, name), casbin.Enforcer)]
        assert held == wanted
    assert {name for name, _ in _lines("._enforcer")} == {"rows.py", "shadow.py"}


@pytest.mark.finding("POL-TRAP-25")
@pytest.mark.parametrize(
    ("pack", "asked", "name", "code"),
    [
        (small_pack(), WORKER, "attends", "E12"),
        (LOW, replace(WORKER, purpose="prevent"), "ill", "E12"),
        (LOW, replace(WORKER, role="nobody"), "attends", "E01"),
        (LOW, WORKER, "no_such_field", "E01"),
        (HIGH, WORKER, "record", "E13"),
    ],
)
def test_25_casbin_gives_no_reason(pack: Pack, asked: Request, name: str, code: str) -> None:
    assert _plain([("ann", "file", "allow")]).enforce_ex("mallory", "file") == (False, [])
    told = explain(pack, asked, "s1", name, TODAY, frozenset(), STATE)
    assert told.level < Level.CLEAR
    assert code in {reason.code for reason in told.reasons}
    assert all(reason.sentence for reason in told.reasons)


@pytest.mark.finding("POL-TRAP-26")
@pytest.mark.parametrize(
    ("constant", "words"),
    [("true", "not defined"), ("false", "not defined"), ("1", "should be bool")],
)
def test_26_plain_constants_in_a_matcher_raise(
    constant: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _plain([("ann", "file", "allow")], _conf(f"{SAME} && {constant}"))
    with pytest.raises(Exception, match=words) as raised:
        plain.enforce("ann", "file")

    def broken(*_: object) -> Any:
        raise raised.value

    for text in ("malformed", "", "child", "child:y:n", "child:y|"):
        with pytest.raises(PolicyFault, match="FG-POL-10"):
            _loaded(OPEN, SHUT).allows(*ASKED, text)
    assert not _loaded(OPEN, SHUT).allows(*ASKED, state_text({"child": "maybe"}))
    gate = RouteGate(ROUTES)
    gate.admits("worker", "lists")
    for answer in (broken, lambda *_: 1, lambda *_: "True", lambda *_: [True]):
        gate._enforcer = SimpleNamespace(enforce=answer)
        _refuse_route(gate)
        if answer is not broken:
            assert (
                LoadedRows((OPEN,), {}, {OPEN[3].partition(":")[0]: gate._enforcer}).allows(
                    *ASKED, "none:y"
                )
                is False
            )
    monkeypatch.setitem(authorise.__globals__, "slice_of", broken)
    view = authorise(HIGH, WORKER, "s1", ["attends"], TODAY, frozenset())
    assert view.level("attends", STATE) == Level.REFUSE
    assert [reason.code for reason in view.fields["attends"].reasons] == ["E15"]


@pytest.mark.finding("POL-TRAP-27")
def test_27_a_request_stands_in_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2.8.0 writes when somebody enables its log; then each request is in it as it was asked."""
    logger = logging.getLogger("casbin.enforcer")
    for name in ("disabled", "level"):
        monkeypatch.setattr(logger, name, getattr(logger, name))
    loud = {"version": 1, "incremental": True, "loggers": {"casbin.enforcer": {"level": "INFO"}}}
    caplog.set_level(logging.DEBUG)
    model = _model(_conf(), [("ann", "file", "allow")])
    plain = casbin.Enforcer(model, enable_log=True, logging_config=loud)
    plain.enforce("Quokka Smith 1987-01-01", "file")
    assert "Quokka Smith 1987-01-01" in caplog.text
    caplog.clear()
    ours = _loaded(OPEN)  # It closes the log again, for every enforcer there is.
    ours.allows("nobody@council", *ASKED[1:], "none:y")
    ours.allows(*ASKED, "none:y")
    _refuse_route(RouteGate(ROUTES), "nobody")
    assert [record for record in caplog.records if record.name.startswith("casbin")] == []
    _nowhere("enable_log", "configure_logging")


@pytest.mark.finding("POL-TRAP-27")
def test_27_not_even_the_first_enforcer_of_a_process_writes_into_the_log() -> None:
    code = (
        "import logging; logging.basicConfig(level=10); from policies.rows import LoadedRows as L; "
        f"row = {OPEN!r}; assert L.of({{row: ()}}).allows(*row[:4], 'none:y')"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "casbin" not in done.stderr


def test_an_answer_is_kept_with_the_pack_it_came_from_and_no_longer() -> None:
    """policy.md 4.2: casbin's own caches outlived a change of policy; Python has none to use."""
    assert not hasattr(casbin, "CachedEnforcer")
    _nowhere("CachedEnforcer", "timeMatch")
    assert _levels(HIGH)[1][0] == Level.CLEAR
    assert HIGH.compiled
    emptied = replace(HIGH, grants=())
    assert emptied.compiled == {}
    assert _levels(emptied)[1] == NONE


def test_one_casbin_is_installed_and_no_adapter_to_a_database() -> None:
    names = {str(one.metadata["Name"]).lower() for one in distributions()}
    assert len(names & {"pycasbin", "casbin"}) == 1
    assert {name for name in names if "casbin" in name} == {"pycasbin"}  # No adapter beside it.
