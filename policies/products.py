"""Products: what the engine makes of evidence, for whom, from what, and what it may never be made of.

A product is a file that governance owns, not code. One that law or known harm forbids does not load:
denied features (LAW-27), social care or health data under the serious violence power (LAW-11), a score as
evidence for a score, what the team on the label's side wrote itself, people known from a check only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateways.findings import LintFinding
from gateways.strict_yaml import Document
from policies.lint_tokens import fault
from policies.model import Pack, Product, Source

CHECK_ONLY = "police_check"
"""People known only because a police computer was asked about them; in no product (scoring.md 1.1)."""
OWN = "own_evidence"
RELEASE_REFS = ("dpia", "eqia", "ethics", "disparity")


def product_of(document: Document) -> Product:
    """Return the product of a file."""
    raw = document.value
    return Product(
        id=raw["product"],
        title=raw["title"],
        kind=raw["kind"],
        theme=raw["theme"],
        purpose=raw["purpose"],
        gateways=tuple(raw["gateways"]),
        evidence=tuple(raw["evidence"]),
        links=tuple(raw["links"]),
        tracks=dict(raw["tracks"]),
        lists=tuple(raw["lists"]),
        label=raw.get("label", ""),
        exclusions=frozenset(raw["exclusions"]),
        family=raw["family"],
        release=dict(raw.get("release", {})),
        algo_care=dict(raw.get("algo_care", {})),
        file=document.name,
    )


@dataclass(frozen=True)
class Yielded:
    """A field of a source that an event or state of some kind comes from."""

    source: Source = field(repr=False)
    name: str


def yielded(pack: Pack) -> dict[str, list[Yielded]]:
    """Return, by kind, the fields that show it."""
    found: dict[str, list[Yielded]] = {}
    for source in pack.sources.values():
        for one in source.yields:
            made = one.get("event") or one.get("state") or {}
            kind = made.get("kind")
            names = [kind] if isinstance(kind, str) else list((kind or {}).get("map", {}).values())
            for name in names:
                found.setdefault(name, []).append(Yielded(source, one["show"]))
    return found


def product_findings(pack: Pack) -> Iterator[LintFinding]:
    """Return every reason why a product of the pack must not load."""
    kinds = yielded(pack)
    for product in pack.products.values():
        for rule, subject, message in _wrong(pack, product, kinds):
            yield fault(
                product.file,
                pack.line(product.file, "evidence"),
                "FG-POL-02",
                rule,
                f"{product.id}.{subject}",
                f"{product.id} {message}",
                "Take it out of the product.",
            )


def _wrong(
    pack: Pack, product: Product, kinds: Mapping[str, list[Yielded]]
) -> Iterator[tuple[str, str, str]]:
    words = pack.register.vocabulary
    twins = [one.id for one in pack.products.values()
             if one.theme == product.theme and one.kind == product.kind]  # fmt: skip
    if len(twins) > 1:
        yield (
            "POL-L31",
            "theme",
            f"shares its theme with another product: {', '.join(sorted(twins))}",
        )
    for name in (*product.evidence, *product.links):
        if name in pack.vocabulary.denied_features:
            yield "POL-L27", name, f"names {name}, which is denied as evidence (LAW-27)"
    for name in product.evidence:
        if name in pack.vocabulary.denied_features:
            continue
        if name == product.label:
            yield "POL-L30", name, f"takes {name} as evidence, which is what it should foretell"
        yield from _evidence(pack, product, name, kinds.get(name, []))
    if product.purpose not in words.purposes or product.purpose in words.never_purposes:
        yield "POL-L28", "purpose", f"serves {product.purpose}, which is unknown or never served"
    if CHECK_ONLY not in product.exclusions:
        yield "POL-L31", "exclusions", f"does not leave out people known from a {CHECK_ONLY} only"
    if product.family != OWN:
        yield "POL-L31", "family", "gives a member the score of a family; members have their own"
    if product.kind == "profile" and (product.lists or product.tracks):
        yield "POL-L31", "lists", "is a profile in counts and names a list of people"
    if product.theme in pack.vocabulary.profile_only and product.kind != "profile":
        yield "POL-L31", "kind", f"makes a list of people out of {product.theme}"


def _evidence(
    pack: Pack, product: Product, name: str, fields: list[Yielded]
) -> Iterator[tuple[str, str, str]]:
    """Each kind needs a source field that a gateway of the product opens for its purpose."""
    register = pack.register
    partners = [one for one in fields if not one.source.derived_from]
    if fields and not partners:
        yield "POL-L29", name, f"takes {name}, which is a result of the engine, as evidence"
        return
    if any(not one.source.feeds_models for one in partners):
        yield "POL-L29", name, f"takes {name} from a source that may feed no model"
    for one in partners:
        spec = one.source.fields[one.name]
        gates = [register.gateways[gate] for gate in product.gateways]
        barred = [gate.id for gate in gates if spec.category in gate.deny]
        if barred and not _opens(product, spec.category, gates):
            yield (
                "POL-L28", name,
                f"takes {name} ({spec.category} of {one.source.id}), which {barred[0]} keeps out",
            )  # fmt: skip
            return
    opened = [
        one
        for one in partners
        if _opens(
            product,
            one.source.fields[one.name].category,
            [register.gateways[gate] for gate in product.gateways
             if gate in one.source.fields[one.name].gateways],
        )
        and product.purpose in one.source.fields[one.name].purposes
    ]  # fmt: skip
    if not opened:
        yield "POL-L28", name, f"takes {name}, which no gateway of it opens for {product.purpose}"


def _opens(product: Product, category: str, gates: list[Any]) -> bool:
    return any(
        product.purpose in gate.purposes and category in gate.allow and category not in gate.deny
        for gate in gates
    )


def counts_of(product: Product) -> dict[str, str]:
    """Return the four counts of a product's evaluation; nothing unless all are whole numbers."""
    counts = (product.release.get("evaluation") or {}).get("counts")
    names = {"hit", "false", "missed", "left"}
    if not isinstance(counts, Mapping) or set(counts) != names:
        return {}
    return dict(counts) if all(str(one).isdecimal() for one in counts.values()) else {}


def missing_for_release(product: Product, today: str) -> list[str]:
    """Return what a product lacks before it may be live; nothing when it is whole (LAW-25, T-GM11, HA4).

    Args:
        product: The product.
        today: Year-month-day; a reference that has run out is as good as none.
    """
    raw = product.release
    lacks = [name for name in ("owner", "uplift", "cost_ratio", "practitioners", "stop")
             if not str(raw.get(name, "")).strip()]  # fmt: skip
    if raw.get("stop", "") and raw["stop"] <= today:
        lacks.append("stop (it has passed)")
    for name in RELEASE_REFS:
        one = raw.get(name) or {}
        if not one.get("ref") or one.get("until", "") <= today:
            lacks.append(name)
    evaluation = raw.get("evaluation") or {}
    if not counts_of(product):
        lacks.append("evaluation (its four counts)")
    lacks += [
        f"evaluation ({name})"
        for name in ("made_on", "population", "later_period", "synthetic")
        if not evaluation.get(name)
    ]
    # Figures are derived from the counts; one that somebody typed in is refused (B48, HX3).
    lacks += [f"evaluation (typed figure {name})" for name in sorted(
        set(evaluation) - {"made_on", "population", "later_period", "synthetic", "counts"})]  # fmt: skip
    care = product.algo_care
    lacks += [f"algo_care ({name})" for name in ALGO_CARE if not str(care.get(name, "")).strip()]
    return lacks


ALGO_CARE = (
    *("advisory", "lawful", "granularity", "ownership", "challengeable", "accuracy"),
    *("responsible", "explainable"),
)
