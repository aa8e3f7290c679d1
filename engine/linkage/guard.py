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
_SURNAME = COLUMNS.index("surname")


def may_link(edges: Edges, words: Words) -> Mask:
    """Return which pairs may link (linkage.md 3.5, version 2, made stricter where 4.1 asks for it).

    A pair links on an equal NHS number unless given name and birth date both contradict. Otherwise
    neither NHS numbers nor age bands may contradict, and three things must speak for one person: a
    given name, a birth date, and one thing more (a surname, a home or a pupil number). A date that is
    swapped or 1 January needs the same house, or the postcode with the surname, or the pupil number
    (cases 8, 9, 14), and one that is only alike the same pupil number: a day apart at one address is a
    question for a person. A missing date is never made up for by a home, because father and son share
    it (case 5). Two pupil numbers need the same postcode (case 22). What fails is reviewed.
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
    # Of somebody with one name only, a street full of people lives at the postcode (LNK-12).
    surnames = words[:, _SURNAME]
    one_name = (surnames[edges.left] == 0) | (surnames[edges.right] == 0)
    exact &= ~one_name | same_number | (home >= gamma("home", "home_only"))
    alike = dob == gamma("dob", "alike")
    unsure = (dob == gamma("dob", "exact_weak")) | (dob == gamma("dob", "swapped"))
    # Of the first of January, half a street may have been born: a house or a surname must speak too.
    placed = home >= gamma("home", "home_only")
    near = name_speaks & ((unsure & placed) | ((unsure | alike) & same_number))
    bands = words[edges.left, _BAND], words[edges.right, _BAND]
    known = np.isin(bands[0], (CHILD, ADULT)) & np.isin(bands[1], (CHILD, ADULT))
    band_clash = known & (bands[0] != bands[1])
    # An equal number on two people ("confusion") is never enough against both name and date.
    by_number = (nhs == gamma("nhs", "exact")) & ~((given == 0) & (dob == 0))
    return np.asarray(by_number | ((exact | near) & (nhs != 0) & ~band_clash & ~two_numbers))


def _twin_names(edges: Edges, words: Words) -> Mask:
    """Return the pairs whose given names may be those of twins (LNK-1, LNK-2).

    Twins share birth date, home and surname, so the given name alone tells them apart, and parents choose
    names that sound alike: Jasmin and Yasmin, Amina and Amna, Kieran and Kiran. Without a number of the
    person's own, a name may only be a misspelling of the other: one of the two is a name that people
    have and the other is not, they begin and end alike, and nothing says another sex or another pupil
    number. Two short forms of one name may be two children as well (Molly and Polly); a short form and
    the whole name are one. And where both have a second name, another second name is another person:
    Mary Ann and Mary Jane. What may be twins is a question for a person.
    """
    given = edges.gammas["given"]
    soft = np.isin(given, (gamma("given", "alike"), gamma("given", "skeleton")))

    def column(name: str) -> tuple[Words, Words]:
        values = words[:, COLUMNS.index(name)]
        return values[edges.left], values[edges.right]

    def same(name: str) -> Mask:
        left, right = column(name)
        return np.asarray((left == right) & (left != 0), dtype=bool)

    number = (edges.gammas["nhs"] == gamma("nhs", "exact")) | (
        edges.gammas["upn"] == gamma("upn", "exact")
    )
    unlike = (~same("initial") & ~same("skel")) | ~same("given_end")
    unlike |= (edges.gammas["sex"] == 0) | (edges.gammas["upn"] == 0)
    names = column("given_is_known")
    misspelt = names[0] != names[1]
    shorts = column("given_is_short")
    two_shorts = (given == gamma("given", "nickname")) & (shorts[0] != 0) & (shorts[1] != 0)
    rest = column("given_rest")
    second = (rest[0] != 0) & (rest[1] != 0) & ~same("given_rest")
    twins = soft & (unlike | ~(misspelt | number))
    return np.asarray(twins | (two_shorts & ~number) | second, dtype=bool)
