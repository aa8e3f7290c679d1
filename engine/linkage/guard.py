"""The merge guard: what evidence a pair must show before it may link, whatever its weight.

A household shares surname, address and telephone, so a high weight alone merges families
(linkage.md 0, finding 3). The guard looks at levels and not at probability, which saturates.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.linkage.edges import Edges
from engine.linkage.encode import ADULT, CHILD, COLUMNS, Words
from engine.linkage.settings_v2 import gamma

Mask = npt.NDArray[np.bool_]

_BAND = COLUMNS.index("band")


def may_link(edges: Edges, words: Words) -> Mask:
    """Return which pairs may link (linkage.md 3.5, version 2, made stricter where 4.1 asks for it).

    A pair links on an equal NHS number unless given name and birth date both contradict. Otherwise
    neither NHS numbers nor age bands may contradict, and three things must speak for one person: a
    given name, a birth date, and one thing more (a surname, a home or a pupil number). A date that is
    swapped or 1 January needs the same postcode or pupil number (cases 8, 9, 14), and one that is only
    alike the same pupil number: a day apart at one address is a question for a person. A missing date
    is never made up for by a home, because father and son share it (case 5). Two pupil numbers need the
    same postcode (case 22). What fails is reviewed.
    """
    given, dob, home = (edges.gammas[name] for name in ("given", "dob", "home"))
    nhs, upn = edges.gammas["nhs"], edges.gammas["upn"]
    name_speaks = given > gamma("given", "initial")
    name_speaks &= ~_twin_names(edges, words)
    some_name = given >= gamma("given", "initial")
    same_number = upn == gamma("upn", "exact")
    same_postcode = home >= gamma("home", "postcode_only")
    # A pupil number changes now and then, and namesakes have two: with two numbers, a home must speak.
    two_numbers = (upn == 0) & ~same_postcode
    # An initial is what twins share (LNK-2): with it, only a number of the person's own is enough.
    exact = (dob == gamma("dob", "exact")) & (
        (name_speaks & (home > 0)) | (some_name & same_number)
    )
    # Names in the other order are two names that agree, so that the surname is the thing more (LNK-12).
    swapped = (given == gamma("given", "swapped")) & name_speaks
    exact |= (dob == gamma("dob", "exact")) & swapped
    alike = dob == gamma("dob", "alike")
    unsure = (dob == gamma("dob", "exact_weak")) | (dob == gamma("dob", "swapped"))
    near = name_speaks & ((unsure & same_postcode) | ((unsure | alike) & same_number))
    bands = words[edges.left, _BAND], words[edges.right, _BAND]
    known = np.isin(bands[0], (CHILD, ADULT)) & np.isin(bands[1], (CHILD, ADULT))
    band_clash = known & (bands[0] != bands[1])
    # An equal number on two people ("confusion") is never enough against both name and date.
    by_number = (nhs == gamma("nhs", "exact")) & ~((given == 0) & (dob == 0))
    return np.asarray(by_number | ((exact | near) & (nhs != 0) & ~band_clash & ~two_numbers))


def _twin_names(edges: Edges, words: Words) -> Mask:
    """Return the pairs whose given names may be those of twins (LNK-1, LNK-2).

    Twins share birth date, home and surname, so the given name alone tells them apart. Names that are
    only alike must begin and end alike and stand beside no other sex and no other pupil number: Louis
    and Louise, Amelia and Amelie, Aiden and Jaiden are two. And where both have a second name, another
    second name is another person: Mary Ann and Mary Jane.
    """
    given = edges.gammas["given"]
    soft = np.isin(given, (gamma("given", "alike"), gamma("given", "skeleton")))

    def same(name: str) -> Mask:
        column = words[:, COLUMNS.index(name)]
        left, right = column[edges.left], column[edges.right]
        return np.asarray((left == right) & (left != 0), dtype=bool)

    begins = same("initial") | same("skel")
    apart = (edges.gammas["sex"] == 0) | (edges.gammas["upn"] == 0)
    rest = words[:, COLUMNS.index("given_rest")]
    second = (rest[edges.left] != 0) & (rest[edges.right] != 0) & ~same("given_rest")
    return np.asarray((soft & (~begins | ~same("given_end") | apart)) | second, dtype=bool)
