"""Spans around each arrow. Only counts, codes and tokens of our own may be attributes.

No exporter is set up here: an operator who wants one configures OpenTelemetry's own variables and
installs an exporter. A span never replaces an audit event.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace

_TRACER = trace.get_tracer("fieldgate")
_TOKEN = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_KEYS = frozenset({"flow", "source", "agency", "rows", "records", "edges", "persons", "code"})


@contextmanager
def span(name: str, **attributes: int | str) -> Iterator[None]:
    """Open a span.

    Args:
        name: Name of the arrow, for example ``intake.read``.
        attributes: Keys of a closed list; integers, or tokens of the vocabulary. Anything else is
            dropped, because a span leaves the process unseen.
    """
    with _TRACER.start_as_current_span(
        f"fieldgate.{name}", record_exception=False, set_status_on_exception=False
    ) as current:
        for key, value in attributes.items():
            if key in _KEYS and (isinstance(value, int) or _TOKEN.fullmatch(value)):
                current.set_attribute(f"fieldgate.{key}", value)
        yield


def arrow_span(flow: str, arrow: str) -> trace.Span:
    """Begin the span of one arrow of a flow; the caller ends it when the next arrow begins."""
    return _TRACER.start_span(f"fieldgate.{flow}.{arrow}")


def trace_ids() -> dict[str, str]:
    """Return the ids of the current span for an audit event, or nothing outside a recorded span."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {
        "trace_id": format(context.trace_id, "032x"),
        "span_id": format(context.span_id, "016x"),
    }
