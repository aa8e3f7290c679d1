"""Follow derived data to the sources behind it: a score inherits what its inputs were."""

from __future__ import annotations

from dataclasses import replace

from policies.model import Pack, Source


def with_lineage(pack: Pack) -> Pack:
    """Return the pack with the bodies and categories behind every derived source filled in.

    A loop in ``derived_from`` ends where it began; lint refuses it (POL-L22).
    """
    known = {name: _behind(name, pack.sources, ()) for name in pack.sources}
    sources = {}
    for name, source in pack.sources.items():
        if not source.derived_from:
            sources[name] = source
            continue
        partners = [pack.sources[one] for one in sorted(known[name])]
        sources[name] = replace(
            source,
            origins=frozenset().union(*(one.origins for one in partners)),
            inputs=frozenset(
                spec.category
                for one in partners
                for spec in one.fields.values()
                if spec.lane == "content" and spec.gateways
            ),
        )
    return replace(pack, sources=sources)


def _behind(name: str, sources: dict[str, Source], path: tuple[str, ...]) -> set[str]:
    """Return the partner sources behind a source, itself when it is one."""
    source = sources.get(name)
    if source is None or name in path:
        return set()
    if not source.derived_from:
        return {name}
    found: set[str] = set()
    for one in source.derived_from:
        found |= _behind(one, sources, (*path, name))
    return found


def loops(sources: dict[str, Source]) -> list[str]:
    """Return the derived sources that stand behind themselves."""

    def reaches(name: str, target: str, seen: set[str]) -> bool:
        for one in sources[name].derived_from if name in sources else ():
            if one == target:
                return True
            if one not in seen:
                seen.add(one)
                if reaches(one, target, seen):
                    return True
        return False

    return sorted(name for name in sources if reaches(name, name, set()))
