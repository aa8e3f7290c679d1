"""Dates as people type them."""

from __future__ import annotations

from datetime import date

from engine.domain.errors import ConfigError


def day_of(text: str, today: date) -> date:
    """Return the date that was typed: year-month-day, or ``today``.

    Raises:
        ConfigError: ``FG-CLI-02``.
    """
    if text == "today":
        return today
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            "FG-CLI-02", "the date is not year-month-day", "Write 2026-11-25."
        ) from None
