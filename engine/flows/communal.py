"""Addresses that the partnership lists as nobody's home, as linkage may know them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.domain.errors import LinkageError
from engine.flows.encodings import encoder_of
from engine.flows.home import Home
from engine.identity.normalise import normalise
from engine.linkage.blocks import Places, listed
from engine.linkage.encode import Words

Mask = npt.NDArray[np.bool_]


def on_the_list(home: Home, words: Words) -> Mask:
    """Return which encoded records name an address of the policy's list (LNK-23).

    The list stands in the policy in clear, as it names institutions and nobody; it is encoded for the
    run, so that a change of it needs no encoding made again.

    Raises:
        LinkageError: ``FG-LNK-16`` an entry says nothing that can be compared.
    """
    places = home.pack.governance.communal
    parts: dict[str, list[str | None]] = {
        "uprn": [one.uprn or None for one in places],
        "address": [one.address or None for one in places],
        "postcode": [one.postcode or None for one in places],
    }
    clean = normalise(
        dict(parts), len(places), home.clock().date(), accept_test_range=False, local_scheme=""
    )
    wrong = [
        one.id
        for one, uprn, code, house, street in zip(
            places, clean.uprn, clean.postcode, clean.house, clean.street, strict=True
        )
        if (one.uprn and not uprn)
        or (one.postcode and not code)
        # An address that says nothing would make of one building a whole postcode.
        or (one.address and not (house or street))
    ]
    if wrong:
        raise LinkageError(
            "FG-LNK-16",
            f"communal addresses of the policy cannot be read: {', '.join(wrong)}",
            "Correct their postcode or property reference in governance.yaml; nothing was linked.",
        )
    encoder = encoder_of(home)
    return listed(
        words,
        Places(
            encoder.tokens("uprn", clean.uprn),
            encoder.tokens("house", clean.house),
            encoder.tokens("street", clean.street),
            encoder.tokens("postcode", clean.postcode),
        ),
    )
