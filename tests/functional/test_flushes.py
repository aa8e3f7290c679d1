"""What a permitted read costs on the disk (audit_crypto.md 7.5)."""

from __future__ import annotations

import statistics

import pytest

from bench.flushes import counted

pytestmark = pytest.mark.deep


def test_a_permitted_read_waits_for_the_disk_three_times() -> None:
    """Once for the intent, once for the decision, once for the outcome: fewer would not be durable."""
    flushes = counted(reads=8)
    if flushes is None:
        pytest.skip("strace is not installed")
    assert len(flushes) == 7
    assert statistics.median(flushes) == 3
