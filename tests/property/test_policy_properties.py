"""Properties of the policy engine, with requests drawn from grants so that they do not pass vacuously."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import gateways.load
import policies.load
from policies import admit, authorise
from policies.authorise import open_bases
from policies.matrix import ASSUMED, plain_state
from policies.model import Cap, Grant, Level, Pack, Request
from policies.shadow import shadow_level

PACK: Pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
TODAY = date(2026, 11, 25)
FACTS = ASSUMED
MET = frozenset({"justify", "case_ref"})
FLAGS = sorted(PACK.vocabulary.subject_flags | PACK.vocabulary.record_flags)

states = st.fixed_dictionaries({}, optional={flag: st.sampled_from(["y", "n"]) for flag in FLAGS})
grants = st.sampled_from(PACK.grants)
days = st.integers(-900, 900).map(lambda days: TODAY + timedelta(days=days))


def _fields(grant: Grant) -> list[tuple[str, str]]:
    return [
        (source.id, name)
        for source in PACK.sources.values()
        for name, spec in source.fields.items()
        if spec.data_class == grant.data_class and (not grant.sources or source.id in grant.sources)
    ]


@st.composite
def requests(draw: st.DrawFn) -> tuple[Request, str, str]:
    """A request for a field of a class that some grant gives to the role."""
    grant = draw(grants)
    source, name = draw(st.sampled_from(_fields(grant)))
    return Request(grant.role, grant.agency, grant.purpose, FACTS), source, name


def _level(pack: Pack, asked: tuple[Request, str, str], state: dict[str, str], on: date = TODAY,
           met: frozenset[str] = MET) -> Level:  # fmt: skip
    request, source, name = asked
    return authorise(pack, request, source, [name], on, met).level(name, state)


@pytest.mark.finding("POL-P01")
@given(requests(), states, st.data())
def test_removing_a_grant_never_raises_a_level(asked, state, data) -> None:
    gone = data.draw(grants)
    fewer = replace(PACK, grants=tuple(grant for grant in PACK.grants if grant is not gone))
    assert _level(fewer, asked, state) <= _level(PACK, asked, state)


@pytest.mark.finding("POL-P02")
@given(
    requests(), states, st.sampled_from(FLAGS), st.sampled_from("yn"), st.sampled_from(list(Level))
)
def test_adding_a_cap_never_raises_a_level(asked, state, flag, value, level) -> None:
    cap = Cap(
        "cap.new",
        {flag: value},
        frozenset(),
        frozenset(),
        frozenset(),
        frozenset(),
        level,
        "say",
        "x",
        "x",
    )
    more = replace(PACK, caps=(*PACK.caps, cap))
    assert _level(more, asked, state) <= _level(PACK, asked, state)


@pytest.mark.finding("POL-P03")
@given(requests(), states, st.data())
def test_adding_a_grant_without_new_obligations_never_lowers_a_level(asked, state, data) -> None:
    extra = replace(data.draw(grants), id="grant.new", obligations=())
    more = replace(PACK, grants=(*PACK.grants, extra))
    assert _level(more, asked, state) >= _level(PACK, asked, state)


@pytest.mark.finding("POL-P04")
@given(requests(), states, st.permutations(PACK.grants), st.permutations(PACK.caps))
def test_order_and_duplicates_are_irrelevant(asked, state, some, others) -> None:
    shuffled = replace(PACK, grants=(*some, *some[:3]), caps=(*others, *others[:2]))
    assert _level(shuffled, asked, state) == _level(PACK, asked, state)


@pytest.mark.finding("POL-P05")
@given(
    st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), st.text(max_size=12), states
)
def test_any_unknown_word_is_refused_and_never_an_exception(
    role, agency, purpose, name, state
) -> None:
    request = Request(role, agency, purpose, FACTS)
    assert _level(PACK, (request, "council.persons", "surname"), state) == Level.REFUSE
    known = Request("social_worker", "council", "safeguard_child", FACTS)
    assume(name not in PACK.sources["council.persons"].fields)
    assert _level(PACK, (known, "council.persons", name), state) == Level.REFUSE
    answer = admit(
        PACK, from_agency=agency, host="council", source=role, fields=[name], as_of=TODAY
    )
    assert answer.admitted == ()


@given(requests(), states)
def test_the_empty_pack_refuses_everything(asked, state) -> None:
    for empty in (replace(PACK, grants=()), replace(PACK, sources={})):
        assert _level(empty, asked, state) == Level.REFUSE


@pytest.mark.finding("POL-P06")
@given(requests(), states)
def test_access_implies_a_grant_with_the_same_role_agency_and_purpose(asked, state) -> None:
    request, source, name = asked
    view = authorise(PACK, request, source, [name], TODAY, MET)
    if view.level(name, state) > Level.REFUSE:
        used = [grant for grant in PACK.grants if grant.id in view.fields[name].grants]
        assert used
        assert all(
            (g.role, g.agency, g.purpose) == (request.role, request.agency, request.purpose)
            for g in used
        )
        basis = view.fields[name].basis
        assert basis is not None
        assert any(basis[0] in grant.agreements for grant in used)


@pytest.mark.finding("POL-P07")
@given(requests(), states)
def test_no_field_without_a_gateway_is_ever_visible(asked, state) -> None:
    request, source, name = asked
    contract = PACK.sources[source]
    bare = replace(contract.fields[name], gateways=())
    stripped = replace(
        PACK,
        sources={**PACK.sources, source: replace(contract, fields={**contract.fields, name: bare})},
    )
    assert _level(stripped, asked, state) == Level.REFUSE


@pytest.mark.finding("POL-P08")
@given(requests(), days)
def test_outside_an_agreements_dates_nothing_is_visible(asked, on) -> None:
    state = plain_state(PACK)
    request, source, name = asked
    bases, _ = open_bases(
        PACK, request, PACK.sources[source], PACK.sources[source].fields[name], on
    )
    level = _level(PACK, asked, state, on)
    assert (level > Level.REFUSE) <= bool(bases)
    for agreement, _ in bases:
        found = PACK.register.agreements[agreement]
        assert found.start <= on <= min(found.end, found.review)


@pytest.mark.finding("POL-P10")
@given(requests(), states, st.sampled_from(FLAGS))
def test_forgetting_a_flag_never_raises_a_level(asked, state, flag) -> None:
    unknown = {name: value for name, value in state.items() if name != flag}
    assert _level(PACK, asked, unknown) <= _level(PACK, asked, state)


@pytest.mark.finding("POL-P12")
@given(requests(), states, days)
def test_casbin_gives_the_level_that_the_lattice_gives(asked, state, on) -> None:
    request, source, name = asked
    contract = PACK.sources[source]
    bases, _ = open_bases(PACK, request, contract, contract.fields[name], on)
    assert shadow_level(PACK, request, contract, name, state, bases) == _level(
        PACK, asked, state, on
    )


@pytest.mark.finding("POL-P17")
@given(requests(), states, st.sets(st.sampled_from(["justify", "case_ref"])))
def test_meeting_fewer_obligations_never_raises_a_level(asked, state, met) -> None:
    assert _level(PACK, asked, state, met=frozenset(met)) <= _level(PACK, asked, state)


def test_the_requests_drawn_above_are_not_vacuous() -> None:
    state = plain_state(PACK)
    asked = [
        (Request(grant.role, grant.agency, grant.purpose, FACTS), source, name)
        for grant in PACK.grants
        for source, name in _fields(grant)
    ]
    allowed = sum(_level(PACK, one, state) > Level.REFUSE for one in asked)
    assert allowed > len(asked) * 0.5
