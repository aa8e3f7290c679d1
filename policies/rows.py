"""The policy as casbin rows: made from the validated pack, loaded once, checked by count.

casbin stays the semantic authority (policy.md 8), and these rows are all it is ever given. No person
edits them: 13 of the 27 faults of policy.md 4.1 fail open without a word, and each of them needs a
hand-written file, a wildcard of the empty string, a changed enforcer or a free expression.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import casbin
from casbin.model import Model
from casbin.persist import Adapter

from policies.errors import PolicyFault
from policies.model import Cap, Grant, Level, Pack, Source, State

# casbin writes rows and refused requests into its log (policy.md 4.1, trap 27). It makes some of its
# loggers only when the first enforcer is built, so all of them are closed by name.
for _name in ("casbin", "casbin.enforcer", "casbin.policy", "casbin.role"):
    logging.getLogger(_name).disabled = True

_ASKING = threading.Lock()
"""casbin parses its matcher on every call, and CPython 3.11's parser is not safe in threads
(gh-106905): two requests at once could fail, which would refuse somebody who may see."""

MODEL = """
[request_definition]
r = who, purpose, basis, what, state
[policy_definition]
p = who, purpose, basis, what, state, eft
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = match(r.who, p.who) && match(r.purpose, p.purpose) && match(r.basis, p.basis) && \
match(r.what, p.what) && state(r.state, p.state)
"""
"""Part of the policy's hash. The effect and the matcher are constants, without a literal in them."""

Row = tuple[str, str, str, str, str, str]
EFFECTS = ("allow", "deny")
ANY = "*"
_ATOM = r"[a-z][a-z0-9_.-]{0,63}"
_SHAPES = (
    re.compile(rf"{_ATOM}@{_ATOM}"),
    re.compile(_ATOM),
    re.compile(rf"{_ATOM}\|{_ATOM}"),
    re.compile(rf"{_ATOM}#{_ATOM}:[1-4]"),
    re.compile(rf"(?:{_ATOM}:[yn])(?:\|{_ATOM}:[yn])*"),
)
"""What each column may hold; atoms cannot contain the joints ``@ | # :`` nor anything casbin reads."""


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """Where a row comes from, for an explanation that names file and line."""

    kind: str
    id: str
    file: str
    line: int


def who(role: str, agency: str) -> str:
    """Return the first column for a role of an agency."""
    return f"{role}@{agency}"


def state_text(state: State) -> str:
    """Return a state as its column: known flags in order; nothing known is ``none:y``."""
    known = [f"{flag}:{value}" for flag, value in sorted(state.items()) if value in ("y", "n")]
    return "|".join(known) or "none:y"


def ask_route(enforcer: casbin.Enforcer, role: str, route: str) -> bool:
    """Ask a route enforcer, one at a time for the same reason as rows."""
    with _ASKING:
        return enforcer.enforce(role, route) is True


def check_rows(rows: Iterable[Row]) -> None:
    """Refuse any row that casbin could read in another way than it was written.

    Raises:
        PolicyFault: ``FG-POL-03``: a wrong width or effect, an empty cell, a wildcard in an allow
            row's purpose or basis, or a cell that is not of its column's shape.
    """
    for row in rows:
        cells: tuple[object, ...] = row
        good = len(cells) == 6 and cells[5] in EFFECTS
        for place, cell in enumerate(cells[:5]):
            shaped = isinstance(cell, str) and bool(_SHAPES[place].fullmatch(cell))
            # A grant names all it opens: only its state may be anything. A cap may say "any".
            wild = cell == ANY and (place == 4 or cells[-1] == "deny")
            good = good and (shaped or wild)
        if not good:
            raise PolicyFault("FG-POL-03", "a casbin row is malformed", "Report this fault.")


def rows_for(
    pack: Pack, role: str, agency: str, purpose: str, source: Source
) -> dict[Row, tuple[RowOrigin, ...]]:
    """Return the casbin rows for one role, agency, purpose and source, with their origins.

    A grant of a level gives a row for each level up to it, a cap a denial for each level above it:
    casbin's yes or no then says "may see at this level", and the highest yes is the lattice's level.
    """
    found: dict[Row, list[RowOrigin]] = {}
    by_class: dict[str, set[str]] = {}
    for spec in source.fields.values():
        by_class.setdefault(spec.data_class, set()).add(spec.category)

    def add(row: Row, origin: RowOrigin) -> None:
        origins = found.setdefault(row, [])
        if origin not in origins:
            origins.append(origin)

    for grant in pack.grants_of(role, agency, purpose):
        if grant.sources and source.id not in grant.sources:
            continue
        for category in by_class.get(grant.data_class, ()):
            for row in _grant_rows(pack, grant, source.id, category):
                add(row, RowOrigin("grant", grant.id, grant.file, grant.line))
    for cap in pack.caps:
        for category in set().union(*by_class.values()) if by_class else ():
            if cap.concerns(role, source.id, category):
                for row in _cap_rows(cap, who(role, agency), source.id, category):
                    add(row, RowOrigin("cap", cap.id, cap.file, cap.line))
    return {row: tuple(found[row]) for row in sorted(found)}


def _grant_rows(pack: Pack, grant: Grant, source: str, category: str) -> Iterable[Row]:
    for name in grant.agreements:
        agreement = pack.register.agreements.get(name)
        for gateway in agreement.gateways if agreement else ():
            for level in range(Level.EXISTS, grant.level + 1):
                yield (
                    who(grant.role, grant.agency),
                    grant.purpose,
                    f"{name}|{gateway}",
                    f"{source}#{category}:{level}",
                    ANY,
                    "allow",
                )


def _cap_rows(cap: Cap, asker: str, source: str, category: str) -> Iterable[Row]:
    when = state_text(cap.when) if cap.when else ANY
    for level in range(cap.level + 1, Level.CLEAR + 1):
        yield (asker, ANY, ANY, f"{source}#{category}:{level}", when, "deny")


class RowAdapter(Adapter):  # type: ignore[misc]  # casbin carries no types
    """Loads rows from memory; every row that is written is a row that is loaded."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(dict.fromkeys(rows))

    def load_policy(self, model: Model) -> None:
        """Put the checked rows into the model.

        Raises:
            PolicyFault: ``FG-POL-03``.
        """
        check_rows(self.rows)
        for row in self.rows:
            model.add_policy("p", "p", list(row))


def match(request: str, policy: str) -> bool:
    """Equal, or the policy says "any"; the only wildcard there is."""
    return policy in (ANY, request)


def state_match(request: str, policy: str) -> bool:
    """The policy's flags all hold; one that is unknown, absent from the request, holds."""
    if policy == ANY:
        return True
    known = dict(part.split(":") for part in request.split("|"))
    wanted = (part.split(":") for part in policy.split("|"))
    return all(known.get(flag, value) == value for flag, value in wanted)


def _object(what: str) -> str:
    """Return the source and category of a fourth column, without the level."""
    return what.partition(":")[0]


def _enforcer(rows: Iterable[Row]) -> casbin.Enforcer:
    model = Model()
    model.load_model_from_text(MODEL)
    enforcer = casbin.Enforcer(model, RowAdapter(rows))
    enforcer.add_function("match", match)
    enforcer.add_function("state", state_match)
    return enforcer


@dataclass(frozen=True)
class LoadedRows:
    """Rows that a casbin enforcer holds; built once and never changed.

    Attributes:
        rows: What casbin holds, read back from it.
        origins: Row to where it comes from.
    """

    rows: tuple[Row, ...]
    origins: Mapping[Row, tuple[RowOrigin, ...]]
    _enforcers: Mapping[str, casbin.Enforcer] = field(repr=False)

    @classmethod
    def of(cls, rows: Mapping[Row, tuple[RowOrigin, ...]]) -> LoadedRows:
        """Load rows into enforcers of their own, one per object asked about.

        casbin looks at every row it holds for every answer, so each holds only the rows that can
        speak of its object; no row speaks of two.

        Raises:
            PolicyFault: ``FG-POL-03`` a malformed row, ``FG-POL-09`` casbin holds other rows than
                were written (POL-L20).
        """
        check_rows(rows)
        by_object: dict[str, list[Row]] = {}
        for row in rows:
            by_object.setdefault(_object(row[3]), []).append(row)
        enforcers = {name: _enforcer(some) for name, some in by_object.items()}
        held = tuple(tuple(row) for enforcer in enforcers.values() for row in enforcer.get_policy())
        if len(held) != len(rows) or set(held) != set(rows) or ANY in enforcers:
            raise PolicyFault(
                "FG-POL-09", "casbin holds other rows than were written", "Report this fault."
            )
        return cls(held, dict(rows), enforcers)

    def allows(self, asker: str, purpose: str, basis: str, what: str, state: str) -> bool:
        """Ask casbin. No row at all is no: with none its matcher would run on empty fields.

        Raises:
            PolicyFault: ``FG-POL-10`` casbin failed; a check that crashed did not pass.
        """
        enforcer = self._enforcers.get(_object(what))
        if enforcer is None:
            return False
        try:
            with _ASKING:
                answer = enforcer.enforce(asker, purpose, basis, what, state)
        except Exception as error:
            raise PolicyFault(
                "FG-POL-10", "casbin could not decide", "Report this fault; nothing is shown."
            ) from error
        return answer is True


def loaded(pack: Pack, role: str, agency: str, purpose: str, source: Source) -> LoadedRows:
    """Return the loaded rows for a role, agency, purpose and source; built once per pack."""
    key = ("rows", role, agency, purpose, source.id)
    found: LoadedRows | None = pack.compiled.get(key)
    if found is None:
        found = LoadedRows.of(rows_for(pack, role, agency, purpose, source))
        pack.compiled[key] = found
    return found
