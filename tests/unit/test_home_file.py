"""The description of a home: changed by one at a time, and durable before anybody is answered."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.flows.home import Home
from engine.flows.home_file import change
from engine.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "home.json"
    path.write_text(json.dumps({"profile": "demo"}), encoding="utf-8")
    return path


def test_of_two_who_read_it_before_neither_takes_back_what_the_other_set(file: Path) -> None:
    one, other = (Home(file.parent, Settings()) for _ in range(2))
    assert one.manifest == other.manifest == {"profile": "demo"}
    one.configure({"anchor": "/a"})
    other.configure({"second_signature": True})
    assert other.manifest == {"profile": "demo", "anchor": "/a", "second_signature": True}
    other.configure({"anchor": None})
    assert json.loads(file.read_text("utf-8")) == {"profile": "demo", "second_signature": True}


def test_who_comes_second_waits_for_the_lock(file: Path) -> None:
    held = os.open(file.parent, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    waiting = threading.Thread(target=change, args=(file, {"anchor": "/a"}), daemon=True)
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    change_by_holder = {"profile": "demo", "log_name": "x"}
    file.write_text(json.dumps(change_by_holder), encoding="utf-8")
    os.close(held)
    waiting.join(10)
    assert json.loads(file.read_text("utf-8")) == {**change_by_holder, "anchor": "/a"}


def test_the_file_is_durable_before_it_takes_the_name_and_the_name_before_the_answer(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        seen.append((name, file.read_text("utf-8")))
        real(descriptor)

    before = file.read_text("utf-8")
    monkeypatch.setattr(os, "fsync", watched)
    change(file, {"anchor": "/a"})
    after = file.read_text("utf-8")
    assert seen == [("home.json.new", before), (file.parent.name, after)]


def test_a_damaged_one_stays_as_it_is(file: Path) -> None:
    file.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="Expecting"):
        change(file, {"anchor": "/a"})
    assert file.read_text("utf-8") == "{"
