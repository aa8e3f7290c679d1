"""What changes between two versions of the policy: exact over the whole decision space.

A decision is a function of the rows of its role, agency, purpose and source, of the law, and of the
state. Where all of these are equal the answers are, and nothing is computed; everywhere else every
cell is, in every state that a cap of either version tells apart. Nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from itertools import product
from typing import Any

from gateways.check import conditions_of
from gateways.conditions import When
from policies.admit import admit
from policies.authorise import compile_slice, flow_to, open_bases, unknown_words
from policies.matrix import ASSUMED, everything_met
from policies.model import Level, Pack, Product, Request, Source
from policies.rows import rows_for
from policies.view import View

Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One thing that differs.

    Attributes:
        kind: ``level``, ``obligations``, ``conditions``, ``admission`` or ``route``.
        widens: Whether somebody sees more, or owes less for it, than before.
        old: What it was: a level, or a list of words.
        new: What it becomes.
        states: How many states differ; 0 where states play no part.
        state: The first state that differs, as words.
    """

    kind: str
    role: str
    agency: str
    purpose: str
    source: str
    field: str
    data_class: str
    widens: bool
    old: str
    new: str
    states: int = 0
    state: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the change for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}

    def sentence(self) -> str:
        """Tell the change on one line."""
        who = f"{self.role}@{self.agency}" if self.role else "intake"
        where = f"{self.source}.{self.field}" if self.field else self.source
        words = f"{who} for {self.purpose}: {where}" if self.purpose else f"{who}: {where}"
        more = f" in {self.states} states, first {self.state}" if self.states else ""
        sign = "WIDENS" if self.widens else "narrows"
        return (
            f"{sign} {self.kind}: {words} {self.old or 'nothing'} -> {self.new or 'nothing'}{more}"
        )


@dataclass(frozen=True, slots=True)
class CellChange:
    """One decision of the space whose level differs: the finest grain of a difference."""

    role: str
    agency: str
    purpose: str
    source: str
    field: str
    state: tuple[tuple[str, str], ...]
    old: Level
    new: Level


def diff(old: Pack, new: Pack, as_of: date) -> list[Change]:
    """Return every difference, widenings first.

    Args:
        old: The version that is active.
        new: The version that would be.
        as_of: The date of the question; law is read as at it on both sides.
    """
    found: list[Change] = []
    for one in _compared(old, new, as_of):
        found += _level_changes(one)
        found += _owed_changes(one)
    found += _admissions(old, new, as_of)
    found += _routes(old, new)
    found += _products(old, new)
    return sorted(found, key=lambda one: (not one.widens, one))


def cell_changes(old: Pack, new: Pack, as_of: date) -> Iterator[CellChange]:
    """Yield every single decision whose level differs (POL-P15)."""
    for one in _compared(old, new, as_of):
        for name, state, was, becomes in one.cells():
            yield CellChange(*one.key, one.source, name, state, Level(was), Level(becomes))


@dataclass(frozen=True)
class _Pair:
    """The compiled answers of both versions for one role, agency, purpose and source."""

    key: Key
    source: str
    old: View | None
    new: View | None
    old_pack: Pack
    new_pack: Pack
    flags: tuple[str, ...]
    as_of: date

    def names(self) -> list[str]:
        views = [one for one in (self.old, self.new) if one is not None]
        return list(dict.fromkeys(name for view in views for name in view.fields))

    def data_class(self, name: str) -> str:
        for pack in (self.new_pack, self.old_pack):
            source = pack.sources.get(self.source)
            if source and name in source.fields:
                return source.fields[name].data_class
        return ""

    def cells(self) -> Iterator[tuple[str, tuple[tuple[str, str], ...], int, int]]:
        names = self.names()
        for values in product("yn", repeat=len(self.flags)):
            state = dict(zip(self.flags, values, strict=True))
            rows = [self._row(view, state, names) for view in (self.old, self.new)]
            if rows[0] != rows[1]:
                for name, was, becomes in zip(names, *rows, strict=True):
                    if was != becomes:
                        yield name, tuple(state.items()), was, becomes

    @staticmethod
    def _row(view: View | None, state: dict[str, str], names: list[str]) -> list[int]:
        if view is None:
            return [0] * len(names)
        code = view.table.code(state)
        return [view.table.level(name, code) for name in names]


def _compared(old: Pack, new: Pack, as_of: date) -> Iterator[_Pair]:
    """Yield both answers wherever they could differ."""
    same_law = old.register == new.register and old.vocabulary == new.vocabulary
    same_caps = old.caps == new.caps
    met = everything_met(old) | everything_met(new)
    asked = {(one.role, one.agency, one.purpose) for one in (*old.grants, *new.grants)}
    for key in sorted(asked):
        mine, theirs = (set(pack.grants_of(*key)) for pack in (old, new))
        if same_law and same_caps and _same_rules(mine, theirs) and old.sources == new.sources:
            continue
        touched = {(g.data_class, g.sources) for g in mine ^ theirs}
        for source in sorted(set(old.sources) | set(new.sources)):
            one, other = old.sources.get(source), new.sources.get(source)
            if same_law and same_caps and one == other and one and not _touches(touched, one):
                continue
            if same_law and one == other and one is not None:
                rows = [set(rows_for(pack, *key, one)) for pack in (old, new)]
                if rows[0] == rows[1] and _same_rules(mine, theirs):
                    continue
            pair = [_answer(pack, key, source, as_of, met) for pack in (old, new)]
            flags = sorted(
                {
                    flag
                    for view in pair
                    if view is not None
                    for field in view.fields.values()
                    for cap in field.caps
                    for flag in cap.when
                }
            )
            yield _Pair(key, source, pair[0], pair[1], old, new, tuple(flags), as_of)


def _rule(grant: Any) -> tuple[Any, ...]:
    return (
        grant.data_class,
        grant.level,
        frozenset(grant.agreements),
        grant.sources,
        frozenset(grant.obligations),
    )


def _same_rules(mine: set[Any], theirs: set[Any]) -> bool:
    return {_rule(one) for one in mine} == {_rule(one) for one in theirs}


def _touches(touched: set[tuple[str, frozenset[str]]], source: Source) -> bool:
    classes = {spec.data_class for spec in source.fields.values()}
    return any(
        data_class in classes and (not sources or source.id in sources)
        for data_class, sources in touched
    )


def _answer(pack: Pack, key: Key, source: str, as_of: date, met: frozenset[str]) -> View | None:
    contract = pack.sources.get(source)
    request = Request(*key, ASSUMED)
    if contract is None or unknown_words(pack, request, contract):
        return None
    rows = rows_for(pack, *key, contract)
    return compile_slice(pack, request, contract, as_of, met, rows)


def _level_changes(one: _Pair) -> list[Change]:
    found: dict[tuple[str, bool], list[tuple[tuple[tuple[str, str], ...], int, int]]] = {}
    for name, state, was, becomes in one.cells():
        found.setdefault((name, becomes > was), []).append((state, was, becomes))
    changes = []
    for (name, widens), cells in found.items():
        state, was, becomes = cells[0]
        words = ", ".join(f"{flag}={value}" for flag, value in state) or "any"
        changes.append(
            Change(
                "level",
                *one.key,
                one.source,
                name,
                one.data_class(name),
                widens,
                Level(was).name.lower(),
                Level(becomes).name.lower(),
                len(cells),
                words,
            )
        )
    return changes


def _owed_changes(one: _Pair) -> list[Change]:
    """Obligations that are owed no longer, and conditions that no longer stand, widen too."""
    changes = []
    for name in one.names():
        before, after = (
            view.fields[name] if view is not None and name in view.fields else None
            for view in (one.old, one.new)
        )
        if before is None or after is None or not (before.ceiling and after.ceiling):
            continue
        pairs: list[tuple[str, set[str], set[str]]] = [
            ("obligations", set(before.obligations), set(after.obligations))
        ]
        if one.old_pack.register != one.new_pack.register:
            was_asked, is_asked = (
                _conditions(pack, one, name) for pack in (one.old_pack, one.new_pack)
            )
            pairs.append(("conditions", was_asked, is_asked))
        for kind, was, becomes in pairs:
            if was != becomes:
                changes.append(
                    Change(
                        kind,
                        *one.key,
                        one.source,
                        name,
                        one.data_class(name),
                        bool(was - becomes),
                        " ".join(sorted(was)),
                        " ".join(sorted(becomes)),
                    )
                )
    return changes


def _conditions(pack: Pack, one: _Pair, name: str) -> set[str]:
    """Return what the open pairs of a field still ask of the row and the request."""
    contract = pack.sources[one.source]
    spec, request = contract.fields[name], Request(*one.key, ASSUMED)
    found = set()
    pairs, _ = open_bases(pack, request, contract, spec, one.as_of)
    flow = flow_to(pack, contract, spec, request.agency, request.purpose, one.as_of)
    for agreement, gateway in pairs:
        for record, condition in conditions_of(
            pack.register, pack.register.gateways[gateway], flow
        ):
            if condition.when is not When.FLOW:
                found.add(f"{agreement}|{record.id}.{condition.id}")
    return found


def _admissions(old: Pack, new: Pack, as_of: date) -> list[Change]:
    """Fields that may enter which could not, or for other purposes, and the other way round."""
    if old.register == new.register and old.sources == new.sources:
        return []
    changes = []
    for source in sorted(set(old.sources) | set(new.sources)):
        answers: list[dict[str, set[str]]] = []
        for pack in (old, new):
            contract = pack.sources.get(source)
            if contract is None or contract.agency == "engine":
                answers.append({})
                continue
            answer = admit(
                pack,
                from_agency=contract.agency,
                host=pack.vocabulary.host,
                source=source,
                fields=contract.fields,
                as_of=as_of,
            )
            answers.append({name: set(one.purposes) for name, one in answer.fields.items()})
        for name in sorted(set(answers[0]) | set(answers[1])):
            was, becomes = (one.get(name, set()) for one in answers)
            if was != becomes:
                pack = new if source in new.sources and name in new.sources[source].fields else old
                data_class = pack.sources[source].fields[name].data_class
                changes.append(
                    Change(
                        "admission",
                        "",
                        "",
                        "",
                        source,
                        name,
                        data_class,
                        bool(becomes - was),
                        " ".join(sorted(was)),
                        " ".join(sorted(becomes)),
                    )
                )
    return changes


def _routes(old: Pack, new: Pack) -> list[Change]:
    changes = []
    for route in sorted(set(old.routes) | set(new.routes)):
        was, becomes = (set(pack.routes.get(route, frozenset())) for pack in (old, new))
        for role in sorted(was ^ becomes):
            words = ["open" if role in group else "closed" for group in (was, becomes)]
            changes.append(
                Change("route", role, "", "", route, "", "", role in becomes, words[0], words[1])
            )
    return changes


def _products(old: Pack, new: Pack) -> list[Change]:
    """Return each part of a product that differs; more evidence or another gateway widens."""
    changes = []
    for name in sorted(set(old.products) | set(new.products)):
        was, becomes = old.products.get(name), new.products.get(name)
        for part in (one.name for one in fields(Product) if one.name != "file"):
            words = [_words(getattr(one, part, "")) for one in (was, becomes)]
            if words[0] != words[1]:
                purpose = becomes.purpose if becomes else was.purpose if was else ""
                fewer = bool(was and becomes and was.exclusions - becomes.exclusions)
                widens = becomes is not None and (
                    fewer if part == "exclusions" else part != "title"
                )
                changes.append(
                    Change(
                        "product", "", "", purpose, name, part, "score", widens, words[0], words[1]
                    )
                )
    return changes


def _words(value: object) -> str:
    if isinstance(value, frozenset | tuple):
        return ", ".join(sorted(map(str, value)))
    return ", ".join(f"{key}={one}" for key, one in sorted(value.items())) if isinstance(
        value, Mapping) else str(value)  # fmt: skip


def undeclared(
    changes: list[Change], expected: list[dict[str, str]], classes: frozenset[str]
) -> list[Change]:
    """Return widenings in a special, police or health class that the change does not declare.

    Args:
        changes: From `diff`.
        expected: The ``changes`` of ``expected_changes.yaml``: role, agency, purpose, source, field,
            from and to.
        classes: Classes that need a declaration.
    """
    named = {
        tuple(one[key] for key in ("role", "agency", "purpose", "source", "field", "from", "to"))
        for one in expected
    }
    return [
        one
        for one in changes
        if one.widens
        and one.data_class in classes
        and (one.role, one.agency, one.purpose, one.source, one.field, one.old, one.new)
        not in named
    ]


def declared_classes(pack: Pack) -> frozenset[str]:
    """Return the classes whose widening must be declared: all that need an extra basis."""
    return frozenset(name for name, needs in pack.register.vocabulary.classes.items() if needs)
