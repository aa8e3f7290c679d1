"""The merge guard: what evidence a pair must show before it may link, whatever its weight.

A household shares surname, address and telephone, so a high weight alone merges families
(linkage.md 0, finding 3). The guard looks at levels and not at probability, which saturates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.linkage.encode import ADULT, CHILD, COLUMNS, Words
from engine.linkage.linker import Edges
from engine.linkage.settings_v2 import gamma

Mask = npt.NDArray[np.bool_]

_BAND, _NHS = COLUMNS.index("band"), COLUMNS.index("nhs")


def may_link(edges: Edges, words: Words) -> Mask:
    """Return which pairs may link (linkage.md 3.5, version 2).

    A pair links on an equal NHS number unless given name and birth date both contradict; otherwise
    neither NHS numbers nor age bands may contradict, and the given name must speak for it: better
    than an initial with a birth date that does not contradict, or any evidence with the exact date,
    or an exact name at the same home.
    """
    given, dob, home = (edges.gammas[name] for name in ("given", "dob", "home"))
    nhs = edges.gammas["nhs"]
    exact_date = (dob == gamma("dob", "exact")) | (dob == gamma("dob", "exact_weak"))
    name_speaks = given > gamma("given", "initial")
    some_name = given >= gamma("given", "initial")
    same_home = home >= gamma("home", "like_surname_home")
    by_name = name_speaks & ((dob > 0) | ((dob == -1) & same_home))
    by_date = some_name & exact_date
    by_home = (given == gamma("given", "exact")) & same_home & (dob != 0)
    # 1 January is often "some time in that year"; name and such a date alone are not enough.
    weak_only = (dob == gamma("dob", "exact_weak")) & (home <= 0)
    evidence = (by_name | by_date | by_home) & ~weak_only
    bands = words[edges.left, _BAND], words[edges.right, _BAND]
    contradicts = {CHILD, ADULT}
    band_clash = np.isin(bands[0], list(contradicts)) & np.isin(bands[1], list(contradicts)) & (
        bands[0] != bands[1]
    )
    # An equal number on two people ("confusion") is never enough against both name and date.
    by_number = (nhs == gamma("nhs", "exact")) & ~((given == 0) & (dob == 0))
    return by_number | (evidence & (nhs != 0) & ~band_clash)
