"""Which fields of which source may not enter today, and what is missing for them."""

from __future__ import annotations

from datetime import date
from typing import Any

from policies.admit import admit
from policies.model import Pack


def closed_fields(pack: Pack, as_of: date) -> list[dict[str, Any]]:
    """Return every field of a partner's source that no open gateway lets in on that day."""
    found = []
    for name, source in sorted(pack.sources.items()):
        if source.agency == "engine":
            continue
        answer = admit(pack, from_agency=source.agency, host=pack.vocabulary.host, source=name,
                       fields=source.fields, as_of=as_of)  # fmt: skip
        found += [
            {
                "field": f"{name}.{field}",
                "label": source.fields[field].label,
                "reasons": [reason.key for reason in answer.fields[field].reasons],
            }
            for field in answer.refused
        ]
    return found
