"""Whatever happened and whenever it was asked: the index says what the leaves say, and nothing else."""

from __future__ import annotations

import tempfile
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from audit.act import Act, acts
from audit.event import make_event
from audit.facets import FACETS, Named, Question
from audit.log import AuditLog, read_events
from audit.note import Signer
from audit.search import open_index, read_acts

KEY = b"k" * 32
SIGNER = Signer.from_bytes("test.example/log", bytes(range(32)))
START = datetime(2026, 11, 1, tzinfo=UTC)
FIELDS = ["police.flags.flag", "police.flags.day", "council.persons.surname", "engine.lists.rank"]
PEOPLE = ["audit.1.a", "audit.1.b", "audit.1.c"]

_DETAILS = st.fixed_dictionaries(
    {},
    optional={
        "purpose": st.sampled_from(["safeguard_child", "crime_prevention"]),
        "case": st.sampled_from(["1" * 32, "2" * 32]),
        "subject": st.sampled_from(PEOPLE),
        "fields": st.lists(st.sampled_from([*FIELDS, "and 3 more"]), max_size=4),
        "source": st.sampled_from(["police.flags", "engine.lists"]),
    },
)
_ACT = st.fixed_dictionaries(
    {
        "actor": st.sampled_from(["ann", "bob", "eve"]),
        "org": st.sampled_from(["council", "police"]),
        "role": st.sampled_from(["social_worker", "police_staff"]),
        "flow": st.sampled_from(["reveal", "look", "sign_in"]),
        "kind": st.sampled_from(["consultation", "login"]),
        "hours": st.integers(0, 200),
        "asked": _DETAILS,
        "came": _DETAILS,
        "outcome": st.sampled_from(["permit", "refuse", "completed", None]),
    }
)
_QUESTION = st.builds(
    Question,
    st.dictionaries(
        st.sampled_from(["actor", "agency", "action", "outcome", "purpose", "source", "field"]),
        st.lists(
            st.sampled_from(["ann", "bob", "council", "reveal", "permit", "unknown", *FIELDS,
                             "safeguard_child", "police.flags", "zoe", ""]),
            max_size=3,
        ),
        max_size=3,
    ),
    st.none() | st.lists(
        st.builds(
            Named, st.sampled_from(PEOPLE), st.none() | st.just(START + timedelta(hours=50)),
            st.none() | st.just(START + timedelta(hours=150)),
        ),
        max_size=2,
    ),
    st.sampled_from(["", "1" * 32, "3" * 32]),
    st.none() | st.just(date(2026, 11, 3)),
    st.none() | st.just(date(2026, 11, 5)),
)  # fmt: skip


def _values(act: Act, facet: str) -> set[str]:
    if facet == "source":
        return set(act.sources)
    if facet == "field":
        return set(act.touched)
    names = {"agency": act.agency, "action": act.flow, "purpose": act.text("purpose")}
    return {names[facet] if facet in names else str(getattr(act, facet))}


def _named(act: Act, question: Question) -> bool:
    return question.people is None or any(
        one.name in act.subjects
        and (one.since is None or act.when >= one.since)
        and (one.until is None or act.when <= one.until)
        for one in question.people
    )


def _belongs(act: Act, question: Question, leaving: str = "") -> bool:
    return (
        all(
            not _values(act, facet).isdisjoint(values)
            for facet, values in question.chosen.items()
            if facet != leaving
        )
        and _named(act, question)
        and (not question.case or act.text("case") == question.case)
        and (question.first is None or act.when.date() >= question.first)
        and (question.last is None or act.when.date() <= question.last)
    )


class _Writer:
    def __init__(self, folder: Path) -> None:
        AuditLog.create(folder, SIGNER.vkey())
        self.log, self.count = AuditLog(folder, SIGNER), 0

    def put(self, number: int, act: dict[str, Any], phase: str) -> None:
        details = dict(act["asked"])
        if phase == "outcome":
            details = {**act["came"], "decision": act["outcome"]}
        made = make_event(
            log="test.example/log", kind=act["kind"], phase=phase, flow=act["flow"],
            intent=f"intent-{number}", now=START + timedelta(hours=act["hours"]),
            actor={"id": act["actor"], "org": act["org"], "role": act["role"], "auth": "demo"},
            random=self.count.to_bytes(10, "big"), details=details,
        )  # fmt: skip
        self.count += 1
        self.log.append([made])


@given(
    st.lists(_ACT, max_size=12),
    st.randoms(use_true_random=False),
    st.lists(_QUESTION, min_size=1, max_size=3),
)
def test_an_index_answers_as_a_scan_of_the_leaves_does(
    made: list[dict[str, Any]], chance: Any, questions: list[Question]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        writer = _Writer(folder)
        # Outcomes come in any order after their intents, and questions are asked in between.
        waiting = []
        for number, act in enumerate(made):
            writer.put(number, act, "intent")
            waiting.append((number, act))
            while waiting and chance.random() < 0.6:
                done, other = waiting.pop(chance.randrange(len(waiting)))
                if other["outcome"] is not None:
                    writer.put(done, other, "outcome")
            if chance.random() < 0.3:
                open_index(folder, KEY)
        writer.log.close()
        scanned = sorted(acts(reversed(read_events(folder))), key=lambda one: one.seq)
        index = open_index(folder, KEY)
        for question in questions:
            whole, counts = index.ask(question)
            expected = [one for one in scanned if _belongs(one, question)]
            found = read_acts(folder, index.page(whole, 1, 1000))
            assert found == expected[::-1]
            for facet in (*FACETS, "source"):
                pool = [one for one in scanned if _belongs(one, question, facet)]
                told = Counter(value for one in pool for value in _values(one, facet) if value)
                assert counts[facet] == dict(told), facet
