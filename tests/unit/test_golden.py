"""The published vectors of normaliser and encoder: another machine must give the same words."""

from __future__ import annotations

import pytest

from engine.domain.errors import LinkageError
from engine.flows import linkage_work
from engine.identity import normalise


@pytest.mark.finding("LNK-32", "LNK-33")
def test_the_vectors_agree_and_another_normaliser_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    linkage_work.self_test.cache_clear()
    assert linkage_work.self_test() > 60
    linkage_work.self_test.cache_clear()
    monkeypatch.setattr(normalise, "skeleton", lambda part: part)
    with pytest.raises(LinkageError, match="FG-LNK-12"):
        linkage_work.self_test()
    monkeypatch.undo()
    monkeypatch.setattr(normalise, "VERSION", "n0")
    with pytest.raises(LinkageError, match="FG-LNK-12"):
        linkage_work.self_test()
    monkeypatch.undo()
    assert linkage_work.self_test() > 60
