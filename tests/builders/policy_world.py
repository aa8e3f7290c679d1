"""Small and large invented policies, made in memory: a law of two gateways and a pack over it.

The law side has no conditions, so that a naive reading of it fits on a page (`naive_level`): what is
under test is how grants, caps, agreements and dates come together.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date

from gateways.model import Agreement, Gateway, Kind, Party, Register, Vocabulary
from policies.model import (
    Approval,
    Cap,
    Field,
    Governance,
    Grant,
    Level,
    Pack,
    PackVocabulary,
    Role,
    Source,
)

TODAY = date(2026, 11, 25)
FLAGS = ("child", "protected", "restricted")
CLASSES = {"plain": frozenset(), "health": frozenset({"art9"}), "police": frozenset({"art10"})}
NOTES = {
    "confidence": "test",
    "apd": "test",
    "no_consent_reason": "would_prejudice",
    "part3_crossing": "test",
}


def gateway(
    name: str, bodies: Iterable[str], purposes: Iterable[str], allow: Iterable[str]
) -> Gateway:
    """Return a gateway without conditions, with every basis."""
    return Gateway(
        id=name,
        cite=name,
        kind=Kind.EXPRESS_POWER,
        in_force_from=date(2000, 1, 1),
        in_force_to=None,
        enabled=True,
        overrides_confidence="yes",
        parties_from=frozenset(bodies),
        parties_to=frozenset(bodies),
        unverified_from=frozenset(),
        unverified_to=frozenset(),
        never_party=frozenset(),
        purposes=frozenset(purposes),
        allow=frozenset(allow),
        deny=frozenset(),
        applies_to=frozenset(),
        conditions=(),
        article6=("e",),
        article9=("g",),
        article10=("sch1",),
        schedule1=("p6",),
        reviewed_on=TODAY,
        verified=True,
        unverified=(),
        text_vintage="invented",
        note="",
        file=f"register/{name}.yaml",
    )


def agreement(
    name: str,
    parties: Iterable[str],
    sources: Iterable[str],
    gateways: Iterable[str],
    purposes: Iterable[str],
    *,
    end: date = date(2027, 12, 31),
) -> Agreement:
    """Return an agreement that has begun and ends on a day."""
    return Agreement(
        id=name,
        title=name,
        parties=frozenset(parties),
        sources=frozenset(sources),
        gateways=frozenset(gateways),
        purposes=frozenset(purposes),
        start=date(2026, 1, 1),
        end=end,
        review=end,
        dpia="test",
        dpia_expires=end,
        text_sha256="0" * 64,
        signatories=("test",),
        notes=dict(NOTES),
        file=f"agreements/{name}.yaml",
    )


def source(name: str, agency: str, categories: Mapping[str, str], gateways: tuple[str, ...],
           agreements: tuple[str, ...], purposes: tuple[str, ...], body: str) -> Source:  # fmt: skip
    """Return a source with one field per category, named after it; category to class."""
    return Source(
        id=name,
        agency=agency,
        title=name,
        regime="ukgdpr",
        scheme=name,
        key=next(iter(categories)),
        fields={
            one: Field(
                source=name,
                name=one,
                label=one,
                category=one,
                data_class=data_class,
                lane="content",
                part=None,
                gateways=gateways,
                agreements=agreements,
                purposes=purposes,
                retention_years=6,
                free_text=False,
                transforms={"exists": "known", "token": "entry", "banded": "held"},
                spec={"gateways": list(gateways), "type": "text"},
            )
            for one, data_class in categories.items()
        },
        layouts=(),
        yields=(),
        record_defaults={},
        row_error_limit=0.0,
        derived_from=frozenset(),
        feeds_models=True,
        origins=frozenset({body}),
        inputs=frozenset(),
        file=f"sources/{name}.yaml",
    )


def grant(name: str, who: tuple[str, str, str], data_class: str, level: Level, agreements: tuple[str, ...],
          obligations: tuple[str, ...] = (), sources: Iterable[str] = ()) -> Grant:  # fmt: skip
    """Return a grant for (role, agency, purpose)."""
    return Grant(
        name,
        *who,
        data_class,
        level,
        agreements,
        frozenset(sources),
        obligations,
        "test",
        "grants/t.yaml",
        1,
    )


def cap(name: str, when: Mapping[str, str], level: Level, *, roles: Iterable[str] = (),
        except_roles: Iterable[str] = (), categories: Iterable[str] = ()) -> Cap:  # fmt: skip
    """Return a cap."""
    return Cap(name, dict(when), frozenset(roles), frozenset(except_roles), frozenset(categories), frozenset(),
               level, "say", "test", "caps/t.yaml", 1)  # fmt: skip


ROLES = ("worker", "lead")
AGENCIES = {"council": "la", "school": "school"}
PURPOSES = ("protect", "prevent")
GATEWAYS = ("g1", "g2")
AGREEMENTS = ("a1", "a2")
SOURCES = ("s1", "s2", "s3", "s4", "s5")
CATEGORIES = {"attends": "plain", "ill": "health", "record": "police"}


def small_pack(
    grants: Iterable[Grant] = (), caps: Iterable[Cap] = (), *, ended: bool = True
) -> Pack:
    """Return a pack of 2 roles, 2 agencies, 2 purposes, 2 agreements (a2 has ended) and 2 sources."""
    words = Vocabulary(
        bodies=frozenset({"la", "school"}),
        groups={},
        purposes=dict.fromkeys(PURPOSES, "test"),
        never_purposes=frozenset(),
        counts_only=frozenset(),
        le_purposes=frozenset(),
        competent=frozenset(),
        public_authorities=frozenset({"la", "school"}),
        categories=dict(CATEGORIES),
        classes=dict(CLASSES),
        dea_factors={},
    )
    last = date(2026, 9, 30) if ended else date(2027, 12, 31)
    register = Register(
        words,
        {
            "g1": gateway("g1", AGENCIES.values(), PURPOSES, CATEGORIES),
            "g2": gateway("g2", ["la"], ["protect"], ["attends", "ill"]),
        },
        {
            "a1": agreement("a1", AGENCIES, ["s1", "s2", "s4"], GATEWAYS, PURPOSES),
            "a2": agreement("a2", ["council"], ["s1", "s5"], ["g1"], ["prevent"], end=last),
        },
        {name: Party(name, body, name) for name, body in AGENCIES.items()},
    )
    sources = {
        "s1": source("s1", "council", CATEGORIES, GATEWAYS, AGREEMENTS, PURPOSES, "la"),
        "s2": source("s2", "school", {"attends": "plain"}, ("g1",), AGREEMENTS, PURPOSES, "school"),
        "s3": source("s3", "council", {"attends": "plain"}, ("g1",), ("a2",), PURPOSES, "la"),
        "s5": source("s5", "council", {"attends": "plain"}, ("g1",), ("a2",), PURPOSES, "la"),
        "s4": source("s4", "council", {"attends": "plain"}, ("g2",), ("a1",), PURPOSES, "la"),
    }
    return _pack(register, ROLES, AGENCIES, sources, grants, caps, FLAGS)


def _pack(register: Register, roles: Iterable[str], agencies: Mapping[str, str], sources: dict[str, Source],
          grants: Iterable[Grant], caps: Iterable[Cap], flags: tuple[str, ...]) -> Pack:  # fmt: skip
    vocabulary = PackVocabulary(
        host="council",
        roles={name: Role(name, name, frozenset(agencies), "practice", False) for name in roles},
        subject_flags=frozenset(flags) - {"restricted"},
        record_flags=frozenset({"restricted"}),
        closing_flags=frozenset({"restricted"}),
        obligations={
            "justify": "test",
            "case_ref": "test",
            "notify": "test",
            "second_approver": "test",
        },
        transforms={},
        break_glass_purpose="",
        break_glass_reviewers=frozenset(),
    )
    governance = Governance("test", date(2030, 1, 1), "test",
                            (Approval("any", "any", frozenset({"lead"}), frozenset()),), frozenset(), (), 90)  # fmt: skip
    return Pack(register, vocabulary, sources, tuple(grants), tuple(caps), {}, governance, "0" * 64)


def naive_level(pack: Pack, role: str, agency: str, purpose: str, source_id: str, name: str,
                state: Mapping[str, str], as_of: date, met: frozenset[str]) -> Level:  # fmt: skip
    """Decide by reading the pack from top to bottom, without any code of `policies`."""
    contract = pack.sources[source_id]
    spec = contract.fields[name]
    give = "council" if contract.agency == "engine" else contract.agency
    open_pairs = []
    for a in pack.register.agreements.values():
        for g in pack.register.gateways.values():
            good = (
                a.id in spec.agreements
                and g.id in spec.gateways
                and g.id in a.gateways
                and a.start <= as_of <= min(a.end, a.review, a.dpia_expires)
                and a.id not in pack.register.suspended
                and {give, agency} <= a.parties
                and source_id in a.sources
                and purpose in a.purposes & g.purposes & set(spec.purposes)
                and g.in_force_from is not None
                and g.in_force_from <= as_of
                and pack.register.parties[give].body in g.parties_from
                and pack.register.parties[agency].body in g.parties_to
                and spec.category in g.allow
            )
            if good:
                open_pairs.append(a.id)
    best, owed = 0, set()
    for one in pack.grants:
        if (one.role, one.agency, one.purpose, one.data_class) != (
            role,
            agency,
            purpose,
            spec.data_class,
        ):
            continue
        if one.sources and source_id not in one.sources:
            continue
        if set(one.agreements) & set(open_pairs):
            best = max(best, int(one.level))
            owed |= set(one.obligations)
    if any(o in ("justify", "case_ref", "second_approver") and o not in met for o in owed):
        return Level.REFUSE
    for c in pack.caps:
        concerned = (not c.roles or role in c.roles) and role not in c.except_roles
        concerned = concerned and (not c.categories or spec.category in c.categories)
        bites = all(
            state.get(f) in (v, None) or state.get(f) not in ("y", "n") for f, v in c.when.items()
        )
        if concerned and bites:
            best = min(best, int(c.level))
    return Level(best)


def big_pack(rows: int, seed: int = 1) -> Pack:
    """Return a policy of the size of the design notes, with about `rows` casbin rows.

    15 roles, 8 agencies, 10 purposes, 24 agreements, 12 gateways, 40 sources of 30 fields in 8 classes;
    about one rule in eight is a cap.
    """
    rng = random.Random(seed)
    roles = [f"r{n}" for n in range(15)]
    agencies = {"council": "la", **{f"ag{n}": "la" for n in range(7)}}
    purposes = [f"p{n}" for n in range(10)]
    gateways = [f"g{n}" for n in range(12)]
    classes = {f"c{n}": frozenset({"art9"}) if n % 3 == 0 else frozenset() for n in range(8)}
    categories = {f"k{n}": f"c{n % 8}" for n in range(30)}
    sources = [f"s{n}" for n in range(40)]
    names = [f"a{n}" for n in range(24)]
    words = Vocabulary(frozenset({"la"}), {}, dict.fromkeys(purposes, "test"), frozenset(), frozenset(),
                       frozenset(), frozenset(), frozenset({"la"}), dict(categories), dict(classes), {})  # fmt: skip
    # Each agreement rests on one gateway, so that a grant of a level is that many rows per category.
    law = {one: gateway(one, ["la"], purposes, categories) for one in gateways}
    agreements = {
        name: agreement(name, agencies, sources, [gateways[n % 12]], purposes)
        for n, name in enumerate(names)
    }
    register = Register(words, law, agreements, {one: Party(one, "la", one) for one in agencies})
    made = {
        name: source(
            name,
            rng.choice(list(agencies)),
            categories,
            tuple(gateways),
            tuple(names),
            tuple(purposes),
            "la",
        )
        for name in sources
    }
    pack = _pack(register, roles, agencies, made, (), (), ("child", "protected", "police"))
    caps = [
        cap(f"cap{n}", {rng.choice(("child", "protected", "police")): rng.choice("yn")}, Level(rng.randrange(0, 3)),
            roles=[rng.choice(roles)], categories=rng.sample(list(categories), 4))
        for n in range(max(1, rows // 80))
    ]  # fmt: skip
    grants: list[Grant] = []
    total = 0
    while total < rows:
        data_class = rng.choice(list(classes))
        level = Level(rng.randrange(1, 5))
        one = grant(f"n{len(grants)}", (rng.choice(roles), rng.choice(list(agencies)), rng.choice(purposes)),
                    data_class, level, (rng.choice(names),), sources=[rng.choice(sources)])  # fmt: skip
        grants.append(one)
        total += int(level) * sum(value == data_class for value in categories.values())
    return replace(pack, grants=tuple(grants), caps=tuple(caps))
