"""The search index: brought up to the leaves, thrown away when it is not theirs, and never believed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit.act import UNKNOWN, acts
from audit.errors import AuditFault
from audit.event import make_event
from audit.facets import Named, Question
from audit.log import AuditLog, read_events
from audit.note import Signer
from audit.search import INDEX, open_index, read_acts

KEY = b"k" * 32
SIGNER = Signer.from_bytes("test.example/log", bytes(range(32)))
START = datetime(2026, 11, 1, 9, 0, tzinfo=UTC)
ANN = {"id": "ann", "org": "council", "role": "social_worker", "auth": "demo"}
BOB = {"id": "bob", "org": "police", "role": "police_staff", "auth": "demo"}


class Trail:
    """A log into which tests put acts."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        AuditLog.create(folder, SIGNER.vkey())
        self.log = AuditLog(folder, SIGNER)

    def event(self, phase: str, intent: str, actor: dict[str, str], **details: Any) -> None:
        flow, kind = details.pop("flow", "reveal"), details.pop("kind", "consultation")
        when = details.pop("when", START + timedelta(hours=self.count))
        made = make_event(
            log="test.example/log", kind=kind, phase=phase, flow=flow, intent=intent, actor=actor,
            now=when, random=self.count.to_bytes(10, "big"), details=details,
        )  # fmt: skip
        self.log.append([made])
        self.count += 1

    def act(self, actor: dict[str, str], decision: str | None, **details: Any) -> None:
        intent = f"intent-{self.count}"
        self.event("intent", intent, actor, **details)
        if decision is not None:
            self.event("outcome", intent, actor, **{**details, "decision": decision})


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    made = Trail(tmp_path / "audit")
    made.act(ANN, "permit", subject="audit.1.aaaa", fields=["police.flags.flag"], case="c" * 32)
    made.act(BOB, "refuse", subject="audit.1.bbbb", purpose="crime_prevention")
    made.act(ANN, None, subject="audit.1.aaaa", purpose="safeguard_child")
    made.act(BOB, "permit", flow="sign_in", kind="login")
    yield made
    made.log.close()


def _seqs(trail: Trail, question: Question) -> list[int]:
    index = open_index(trail.folder, KEY)
    return [seq for seq, _ in index.page(index.mask(question), 1, 100)]


def test_intent_and_outcome_are_one_act_and_the_newest_stands_first(trail: Trail) -> None:
    index = open_index(trail.folder, KEY)
    whole, counts = index.ask(Question())
    assert index.page(whole, 1, 100) == [(5, 6), (4, None), (2, 3), (0, 1)]
    assert index.page(whole, 2, 3) == [(0, 1)]
    assert counts["outcome"] == {"permit": 2, "refuse": 1, UNKNOWN: 1}
    assert counts["action"] == {"reveal": 3, "sign_in": 1}
    assert counts["source"] == {"police.flags": 1}
    assert counts["field"] == {"police.flags.flag": 1}
    told = read_acts(trail.folder, index.page(whole, 1, 2))
    assert [(one.actor, one.outcome) for one in told] == [("bob", "permit"), ("ann", UNKNOWN)]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (Question({"actor": ["ann"]}), [4, 0]),
        (Question({"actor": ["ann", "bob"], "outcome": ["permit"]}), [5, 0]),
        (Question({"actor": ["nobody"]}), []),
        (Question({"source": ["police.flags"]}), [0]),
        (Question({"field": ["police.flags.flag"]}), [0]),
        (Question({"field": ["police.flags"]}), [0]),
        (Question(people=[Named("audit.1.aaaa")]), [4, 0]),
        (Question(people=[Named("audit.1.aaaa", until=START + timedelta(hours=1))]), [0]),
        (Question(people=[Named("audit.1.aaaa", since=START + timedelta(hours=1))]), [4]),
        (Question(people=[]), []),
        (Question(case="c" * 32), [0]),
        (Question(case="d" * 32), []),
        (Question(first=date(2026, 11, 2)), []),
        (Question(first=date(2026, 11, 1), last=date(2026, 11, 1)), [5, 4, 2, 0]),
        (Question(last=date(2026, 10, 31)), []),
    ],
)
def test_each_limit_finds_its_acts(trail: Trail, question: Question, expected: list[int]) -> None:
    assert _seqs(trail, question) == expected


def test_the_counts_of_a_facet_leave_its_own_choice_aside(trail: Trail) -> None:
    _, counts = open_index(trail.folder, KEY).ask(
        Question({"actor": ["ann"], "outcome": ["permit"]})
    )
    assert counts["actor"] == {"ann": 1, "bob": 1}
    assert counts["outcome"] == {"permit": 1, UNKNOWN: 1}
    assert counts["role"] == {"social_worker": 1}


def test_an_outcome_that_comes_later_is_added_to_its_act(trail: Trail) -> None:
    assert _seqs(trail, Question({"outcome": [UNKNOWN]})) == [4]
    trail.event("outcome", "intent-4", ANN, decision="discarded", kind="recovery")
    assert _seqs(trail, Question({"outcome": [UNKNOWN]})) == []
    assert _seqs(trail, Question({"outcome": ["discarded"], "kind": ["consultation"]})) == [4]
    # Its subject stands once, not once more for the outcome.
    assert len(open_index(trail.folder, KEY).people) == 3


def test_only_what_stood_before_a_place_is_told(trail: Trail) -> None:
    index = open_index(trail.folder, KEY, below=5)
    assert len(index) == 3
    assert len(open_index(trail.folder, KEY)) == 4


def test_no_pseudonym_no_token_and_no_reason_stands_in_the_file(trail: Trail) -> None:
    trail.act(ANN, "permit", subjects={"count": 1, "names": ["audit.1.cccc"]}, reason="r" * 64,
              rules=["FG-REV-03"], grant="g" * 20, trace_id="t" * 16)  # fmt: skip
    assert _seqs(trail, Question(people=[Named("audit.1.cccc")])) == [7]
    text = (trail.folder / INDEX).read_bytes()
    for found in (b"audit.1", b"cccc", b"c" * 32, b"r" * 64, b"FG-REV", b"g" * 20, b"t" * 16):
        assert found not in text
    with sqlite3.connect(trail.folder / INDEX) as store:
        facets = {row[0] for row in store.execute("SELECT facet FROM word")}
    store.close()
    assert facets == {"actor", "agency", "role", "purpose", "action", "kind", "outcome", "touched"}


_DAMAGE = {
    "a bit of a part": "UPDATE part SET body = zeroblob(length(body))",
    "a part is gone": "DELETE FROM part",
    "a person is gone": "UPDATE part SET people = x''",
    "a word is another": "UPDATE word SET text = 'carol' WHERE text = 'ann'",
    "it says it read more": "UPDATE head SET next = next + 2",
    "the head is gone": "DELETE FROM head",
    "a table is gone": "DROP TABLE word",
}


@pytest.mark.parametrize("damage", _DAMAGE)
def test_a_file_that_was_changed_is_made_again(trail: Trail, damage: str) -> None:
    before = _seqs(trail, Question({"actor": ["ann"]}))
    with sqlite3.connect(trail.folder / INDEX) as store:
        store.execute(_DAMAGE[damage])
    store.close()
    assert _seqs(trail, Question({"actor": ["ann"]})) == before == [4, 0]
    assert _seqs(trail, Question(people=[Named("audit.1.bbbb")])) == [2]


def test_a_file_that_is_cut_or_of_another_key_is_made_again(trail: Trail) -> None:
    _seqs(trail, Question())
    path = trail.folder / INDEX
    path.write_bytes(path.read_bytes()[:5000])
    assert _seqs(trail, Question({"actor": ["bob"]})) == [5, 2]
    path.write_bytes(b"not a database at all")
    assert _seqs(trail, Question({"actor": ["bob"]})) == [5, 2]
    other = open_index(trail.folder, b"o" * 32)
    assert len(other) == 4


@pytest.mark.finding("AUD-18")
def test_the_index_of_a_log_that_was_put_back_from_a_backup_is_made_again(
    trail: Trail, tmp_path: Path
) -> None:
    whole = Trail(tmp_path / "other")
    for _ in range(4):
        whole.act(ANN, "permit")
    whole.log.close()
    _seqs(trail, Question())
    # The index of one log beside another one of which it never read a leaf.
    (whole.folder / INDEX).write_bytes((trail.folder / INDEX).read_bytes())
    assert _seqs(whole, Question({"actor": ["bob"]})) == []
    assert _seqs(whole, Question({"actor": ["ann"]})) == [6, 4, 2, 0]


def test_without_a_place_for_the_file_the_answer_comes_from_the_leaves(trail: Trail) -> None:
    (trail.folder / INDEX).mkdir()
    assert _seqs(trail, Question({"actor": ["ann"]})) == [4, 0]


def test_a_file_that_another_process_is_making_is_not_waited_for_for_ever(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    _seqs(trail, Question())
    monkeypatch.setattr("audit.search.WAIT_SECONDS", 0.05)
    with sqlite3.connect(trail.folder / INDEX, isolation_level=None) as store:
        store.execute("BEGIN EXCLUSIVE")
        with pytest.raises(AuditFault, match="FG-AUD-40"):
            open_index(trail.folder, KEY)
    store.close()
    assert (trail.folder / INDEX).stat().st_size > 0


def test_a_leaf_that_is_no_event_is_told_without_its_text(trail: Trail) -> None:
    with sqlite3.connect(trail.folder / "log.db") as log:
        log.execute("INSERT INTO leaf VALUES (7, ?, ?)", (b'{"secret": 1}', b"h"))
    log.close()
    with pytest.raises(AuditFault, match="FG-AUD-07") as fault:
        open_index(trail.folder, KEY)
    assert "secret" not in str(fault.value)


def test_acts_of_leaves_pass_over_an_outcome_of_nothing(trail: Trail) -> None:
    leaves = list(reversed(read_events(trail.folder)))
    assert [one.seq for one in acts(leaves)] == [0, 2, 5, 4]
    assert [one.seq for one in acts(leaves[1:])] == [2, 5, 4]
