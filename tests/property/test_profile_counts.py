"""Of a problem profile no number of few can be read, whatever the incidents are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scoring.profile import LEAST, Incident, at_least, cells

_INCIDENTS = st.lists(
    st.builds(Incident, st.sampled_from(["q1", "q2"]), st.sampled_from(["n", "s"]),
              st.sampled_from(["a", "b"]), st.integers(0, 12), st.integers(0, 12)),
    max_size=80,
)  # fmt: skip


@given(_INCIDENTS)
def test_no_number_below_the_least_is_ever_told_nor_follows_from_a_total(
    found: list[Incident],
) -> None:
    rows = cells(found, ["q1", "q2"], ["n", "s"], ["a", "b"])
    for row in rows:
        for kind, told in dict(row["counts"]).items():  # type: ignore[call-overload]
            place = (row["quarter"], row["area"], kind)
            mine = [one for one in found if (one.quarter, one.area, one.kind) == place]
            number, people = len({o.incident for o in mine}), len({o.person for o in mine})
            assert told == (number if not mine or min(number, people) >= LEAST else None)
    total = at_least(rows, ["a", "b"])
    for kind in ("a", "b"):
        shown = [dict(row["counts"])[kind] or 0 for row in rows]  # type: ignore[call-overload]
        assert total[kind] == sum(shown)
