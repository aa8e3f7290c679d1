"""Every flow of the house can be told as a sentence, and no sentence says more than the event."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

from audit.act import Act
from engine.flows.tell import ACTIONS, OUTCOMES, outcome_words, tell

FLOWS = Path(__file__).resolve().parents[2] / "engine" / "flows"


def _flows() -> set[str]:
    found = set()
    for path in FLOWS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Flow":
                name = node.args[1]
                assert isinstance(name, ast.Constant), path
                found.add(str(name.value))
    return found


def test_every_flow_has_words() -> None:
    assert _flows() - set(ACTIONS) == set()
    assert all(words.startswith(("to ", "for ", "what ")) for words in ACTIONS.values())


def _act(outcome: str, **details: object) -> Act:
    now = datetime(2026, 11, 25, tzinfo=UTC)
    return Act(1, 2, "i", now, now, "consultation", "reveal", "ann", "council", "social_worker",
               "demo", outcome, details)  # fmt: skip


def test_a_sentence_says_who_what_why_and_what_came_of_it() -> None:
    told = tell(
        _act("refuse", purpose="safeguard_child", rules=["FG-REV-03", "E12"]),
        {"safeguard_child": "Safeguarding a child"},
        {"social_worker": "Social worker"},
    )
    assert told == (
        "ann (Social worker) asked to see an identity, for: Safeguarding a child. "
        "Refused (FG-REV-03)."
    )
    assert "FG-" not in tell(_act("permit", rules=["FG-REV-03"]), {}, {})


def test_a_missing_outcome_is_never_told_as_nothing_happened() -> None:
    assert "it may have happened" in tell(_act("unknown"), {}, {}).lower()
    assert outcome_words("declared_lost") == "recorded as declared lost"
    assert set(OUTCOMES) >= {"permit", "refuse", "failed", "completed", "discarded", "unknown"}
