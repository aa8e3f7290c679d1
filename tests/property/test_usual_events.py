"""The quick way of reading events takes nothing that the slow way refuses, and tells the same story."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.canonical import canonical, parse
from audit.event import KEYS_OF, KINDS, make_event, schema_problem
from audit.merkle import EMPTY, leaf_hash
from audit.stranger import Story
from audit.usual import UsualStory, usual
from tests.property.test_stranger_properties import BODY, EVENT, ours, values

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def taken(body: bytes) -> bool:
    found = usual([body])
    assert usual([BODY, body, BODY]) is None or found is not None  # No neighbour makes it good.
    return found is not None


@settings(max_examples=150)
@given(st.integers(0, len(BODY) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_a_changed_event_is_never_taken_where_the_slow_way_refuses(at, put, cut):
    body = BODY[:at] + put + BODY[at + cut :]
    assert not taken(body) or ours(body)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(sorted(KEYS_OF[2])), values, max_size=3), st.booleans())
def test_an_event_with_other_values_is_never_taken_where_the_slow_way_refuses(changes, ordered):
    text = json.dumps(EVENT | changes, ensure_ascii=False, sort_keys=ordered, separators=(",", ":"))
    body = text.encode("utf-8", "surrogatepass")
    assert not taken(body) or ours(body)


def test_the_usual_event_is_taken_and_of_every_kind():
    for kind in KINDS:
        body = canonical(EVENT | {"kind": kind, "subjects": {"count": 2, "names": ["p1", "p2"]}})
        assert usual([body]) is not None


@pytest.mark.parametrize(
    "bodies",
    [
        [BODY + b"\n" + BODY],
        [BODY + BODY],
        [BODY[:40], BODY[40:]],
        [BODY + b"\n" + BODY[:50], BODY[50:]],
        [BODY, b""],
        [b"", BODY],
        [b" " + BODY],
        [BODY + b" "],
        [BODY.replace(b'"rows":3', b'"rows":3.0')],
        [BODY.replace(b'"rows":3', b'"rows":1e0')],
        [BODY.replace(b'"rows":3', b'"rows":-0')],
        [BODY.replace(b'"rows":3', b'"rows":9007199254740992')],
        [BODY.replace(b'{"n":1}', b'{"n":1,"a":1}')],
        [BODY.replace(b'{"n":1}', b'{"n":1,"n":1}')],
        [BODY.replace(b'{"n":1}', b'{"n":0.5}')],
        [BODY.replace(b'"rows":3', b'"rows":3,"rows":3')],
        [BODY.replace(b'"rows":3', b'"row":3')],
        [BODY.replace(b'"v":2', b'"v":true')],
        [BODY.replace(b'"v":2', b'"v":3')],
        [canonical(EVENT | {"v": 1, "net": "0" * 64})],
        [canonical(EVENT | {"net": "0" * 63 + "x"})],
        [canonical(EVENT | {"net": None})],
        [canonical(EVENT | {"request_hash": "0" * 65})],
        [canonical(EVENT | {"request_hash": ["0" * 64]})],
        [canonical(EVENT | {"approvers": "demo.dpo"})],
        [canonical(EVENT | {"approvers": [1]})],
        [BODY.replace(b'"a","b"', b'"a","\x7f"')],
        [BODY.replace(b'"a","b"', b'"a","\\u0041"')],
        [BODY.replace(b'"a","b"', b'"a' + b"x" * 4096 + b'"')],
        [b"\xef\xbb\xbf" + BODY],
    ],
)
def test_what_is_not_canonical_or_of_another_shape_is_left_to_the_slow_way(bodies):
    assert usual(bodies) is None
    assert usual([BODY, *bodies, BODY]) is None


def test_events_of_both_versions_are_taken_each_with_its_own():
    new = canonical(EVENT | {"net": "0" * 64, "request_hash": "f" * 64, "approvers": ["demo.dpo"]})
    old = canonical(EVENT | {"v": 1})
    assert usual([new, BODY, new]) is not None
    assert usual([old, old]) is not None
    assert usual([old, new]) is None  # Where two versions meet each event is looked at by itself.


def test_an_odd_event_that_may_be_is_left_to_the_slow_way():
    odd = canonical(EVENT | {"source": "café", "reason": {"a": {"b": [{"c": 1}]}}})
    assert schema_problem(parse(odd)) is None
    assert usual([odd]) is None


def told(number, phase, flow, who, back, details):
    return make_event(
        log="log.example/story", kind="consultation", phase=phase, flow=flow, intent=f"i{number}",
        actor={"id": who, "org": "council"}, now=NOW - timedelta(seconds=back), random=bytes(10),
        details=details,
    )  # fmt: skip


flows = (*Story.POLICY, "propose_policy", "answer_policy", "recover_log", "reveal", "show", "link")
events = st.builds(
    told,
    st.integers(0, 4),
    st.sampled_from(["intent", "outcome"]),
    st.sampled_from(flows),
    st.sampled_from(["a1", "a2"]),
    st.sampled_from([0, 1, 400]),
    st.fixed_dictionaries(
        {},
        optional={
            "decision": st.sampled_from(
                ["permit", "refuse", "completed", "withhold", "declared_lost"]
            ),
            "counts": st.sampled_from([{"left": 1, "signed": 3}, {"left": 1}]),
            "policy_hash": st.sampled_from(["p1", "p2"]),
            "rules": st.sampled_from([["approve"], ["declared_by a1"]]),
            "gateway": st.just("g"),
            "agreement": st.just("d"),
            "subject": st.sampled_from(["s1", "s2"]),
            "grant": st.sampled_from(["i0", "i1"]),
            "source": st.sampled_from(["council.persons", "café"]),
        },
    ),
)


@settings(max_examples=150)
@given(
    st.lists(events, max_size=30),
    st.integers(1, 7),
    st.sampled_from([None, "log.example/story", "x"]),
)
def test_the_story_told_in_batches_is_the_story_told_one_by_one(story, width, origin):
    plain, quick = Story(origin), UsualStory(origin)
    bodies = [canonical(one) for one in story]
    for seq, body in enumerate(bodies):
        plain.tell(seq, parse(body))
    for start in range(0, len(bodies), width):
        batch = bodies[start : start + width]
        found = usual(batch)
        if found is not None:
            quick.tell_all(start, found)
            continue
        for seq, body in enumerate(batch, start):
            one = usual([body])
            quick.tell_all(seq, one) if one is not None else quick.tell(seq, parse(body))
    for what in ("findings", "doubts", "open", "policies", "unread", "losses", "_last", "_active",
                 "_grants"):  # fmt: skip
        assert getattr(plain, what) == getattr(quick, what)


@given(st.integers(0, 80), st.lists(st.integers(0, 90), max_size=4))
def test_a_tree_that_grows_in_batches_is_the_tree_that_grows_leaf_by_leaf(first, more):
    slow = quick = EMPTY
    for number, width in enumerate([first, *more]):
        leaves = [leaf_hash(b"%d %d" % (number, at)) for at in range(width)]
        for leaf in leaves:
            slow = slow.append(leaf)
        quick = quick.extend(leaves)
        assert quick == slow


def test_refusing_is_all_that_bytes_can_make_it_do():
    for body in (b"", b"{", b"[]", b"null", b"\xff", b'"x"', b"[" * 4000, b'{"a":' * 700):
        assert usual([body]) is None
