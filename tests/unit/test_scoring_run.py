"""A whole run over small Parquet files, in this process and in a scrubbed one of its own."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scoring.errors import ScoringFault
from scoring.hashes import code_hash, digest, inputs_hash
from scoring.run import main, run
from scoring.tables import TRACKS
from tests.builders.scoring_columns import (
    EVERY_KIND,
    MISSING_UNIT,
    TABLES,
    UNKNOWN_MONTH,
    Event,
    State,
    edited_tables,
    name32,
    rows_of,
    write_job,
)

AS_OF = 20_000  # 2024-10-04, the month 657 since 1970-01.
MONTH = 657
CHILD, ADULT = MONTH - 15 * 12, MONTH - 30 * 12
MONTHS = {0: CHILD, 1: CHILD, 2: ADULT, 3: CHILD, 4: UNKNOWN_MONTH}
EVENTS = (
    Event(0, 1, "missing_episode", "missing", AS_OF - 10, source=MISSING_UNIT),
    Event(1, 1, "missing_episode", "missing", AS_OF - 10, source=MISSING_UNIT),
    Event(1, 2, "cse_flag", "victim", AS_OF - 30),
    Event(2, 3, "drug_supply", "suspect", AS_OF - 5, 2),
    Event(3, 3, "drug_supply", "suspect", AS_OF - 5),
    Event(2, 4, "cce_flag", "suspect", AS_OF - 50, 2),
    Event(3, 5, "cce_flag", "victim", AS_OF),
    Event(0, 6, "cse_flag", "victim", AS_OF + 1),
    Event(2, 7, "weapon", "suspect", AS_OF - 2000, 2),
)
STATES = (State(0, "household", 4, AS_OF - 99), State(3, "household", 4, AS_OF - 88))


def job(folder: Path, events: tuple[Event, ...] = EVENTS, **more: Any) -> dict[str, Any]:
    return write_job(folder, events, STATES, months=MONTHS, as_of=AS_OF, **more)


def results(made: dict[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    found = {}
    for path in Path(made["out"]).glob("*.parquet"):
        if path.stem != "person":
            table = pq.read_table(path)
            found[path.stem] = {name: table[name].to_numpy() for name in table.column_names}
    return found


def named(made: dict[str, Any], *columns: str, result: str = "score") -> set[tuple[Any, ...]]:
    """Rows of a result with the pseudonym of the person in place of their number in the run."""
    people = pq.read_table(Path(made["out"]) / "person.parquet").column("person").to_pylist()
    found = results(made)[result]
    return {(people[row[0]], *row[1:]) for row in rows_of(found, "pid", *columns)}


def test_a_run_gives_scores_lists_and_a_manifest_whose_counts_add_up(tmp_path: Path) -> None:
    made = job(tmp_path / "a")
    manifest = run(made)
    assert json.loads((Path(made["out"]) / "manifest.json").read_text()) == manifest
    assert manifest["persons"] == 5
    assert manifest["themes_scored"] == ["cse", "cce"]
    assert manifest["themes_not_scored"] == {}
    dropped = manifest["events"]["dropped"]
    assert dropped["in_the_future"] == dropped["past_retention"] == 1
    assert manifest["events"]["kept"] + sum(dropped.values()) == len(EVENTS)
    states = manifest["states"]
    assert states["kept"] + sum(states["dropped"].values()) == len(STATES)
    assert manifest["links"] == 3
    assert manifest["events_too_large_to_link"] == 0
    assert (manifest["run"], manifest["as_of"]) == ("run-1", AS_OF)
    assert manifest["tables"] == TABLES.hash
    assert manifest["code"] == code_hash()
    made_names = {path.stem for path in Path(made["out"]).glob("*.parquet")}
    assert made_names == {
        *("score", "contribution", "link", "link_weight", "link_skipped", "person"),
        *("exposure", "exposure_part"),
        *(f"list.{one.id}" for one in TABLES.lists),
        *("group", "group_member"),
    }


def test_children_are_listed_and_an_adult_or_somebody_of_unknown_age_is_not(tmp_path: Path) -> None:
    older = (Event(2, 8, "cse_flag", "victim", AS_OF), Event(4, 9, "cse_flag", "victim", AS_OF))
    made = job(tmp_path / "a", (*EVENTS, *older))
    manifest = run(made)
    listed = {row[0] for row in named(made, "rank", result="list.cse.harmed")}
    assert name32("p", 1) in listed
    assert not listed & {name32("p", 2), name32("p", 4)}
    assert manifest["lists"]["cse.harmed"] == len(listed)
    scored = {row[0] for row in named(made, "theme")}
    assert {name32("p", 2), name32("p", 4)} <= scored


@pytest.mark.parametrize(
    ("born", "listed"),
    [(MONTH - 216, True), (MONTH - 217, False), (MONTH - 215, True), (UNKNOWN_MONTH, False)],
)
def test_a_child_stays_one_to_the_end_of_the_month_of_the_eighteenth_birthday(
    tmp_path: Path, born: int, listed: bool
) -> None:
    made = write_job(
        tmp_path / "a",
        [Event(0, 1, "cse_flag", "victim", AS_OF)],
        months={0: born},
        as_of=AS_OF,
    )
    assert run(made)["lists"]["cse.harmed"] == int(listed)


@pytest.mark.finding("SCO-P3")
def test_the_same_inputs_give_the_same_digest_in_another_order_and_in_other_files(
    tmp_path: Path,
) -> None:
    one = run(job(tmp_path / "a"))
    again = run(job(tmp_path / "b"))
    assert one["digest"] == again["digest"]
    assert one["inputs"] == again["inputs"]
    split = job(tmp_path / "c", EVENTS[4:])
    other = job(tmp_path / "d", tuple(reversed(EVENTS[:4])))
    split["events"] += other["events"]
    assert run(split)["digest"] == one["digest"]


@pytest.mark.parametrize(
    "changed",
    [
        EVENTS[:3] + EVENTS[4:],
        (EVENTS[0]._replace(day=AS_OF - 11), *EVENTS[1:]),
        (*EVENTS, Event(4, 10, "cse_flag", "victim", AS_OF)),
    ],
)
def test_other_events_give_another_digest(tmp_path: Path, changed: tuple[Event, ...]) -> None:
    one, other = run(job(tmp_path / "a")), run(job(tmp_path / "b", changed))
    assert one["digest"] != other["digest"]
    assert one["inputs"] != other["inputs"]


@pytest.mark.finding("SCO-P9")
def test_other_pseudonyms_change_no_score(tmp_path: Path) -> None:
    made, other = job(tmp_path / "a"), job(tmp_path / "b")
    new = {name32("p", number): name32("q", 9 - number) for number in MONTHS}
    for name in ("membership", "persons"):
        table = pq.read_table(other[name])
        column = pa.array([new[value] for value in table["person"].to_pylist()], pa.binary(32))
        place = table.column_names.index("person")
        pq.write_table(table.set_column(place, "person", column), other[name])
    run(made), run(other)
    columns = ("theme", "track", "index", "exposure", "score", "points", "neighbours", "state")
    assert {(new[row[0]], *row[1:]) for row in named(made, *columns)} == named(other, *columns)


@pytest.mark.finding("SCO-P11")
def test_two_records_of_one_person_score_as_the_union_of_their_events(tmp_path: Path) -> None:
    of_4 = (
        Event(4, 1, "missing_episode", "missing", AS_OF - 10),
        Event(4, 11, "cse_flag", "victim", AS_OF - 1),
    )
    also = (Event(0, 1, "missing_episode", "missing", AS_OF - 10), of_4[1]._replace(pid=0))
    made, whole = job(tmp_path / "a", (*EVENTS, *of_4)), job(tmp_path / "b", (*EVENTS, *also))
    table = pq.read_table(made["membership"])
    people = [
        name32("p", 0) if value == name32("p", 4) else value
        for value in table["person"].to_pylist()
    ]
    pq.write_table(
        table.set_column(1, "person", pa.array(people, pa.binary(32))), made["membership"]
    )
    merged = run(made)
    assert merged["events"]["dropped"]["duplicate"] == 1
    assert merged["digest"] == run(whole)["digest"]


@pytest.mark.finding("SCO-P10")
def test_a_restricted_record_counts_nowhere(tmp_path: Path) -> None:
    closed = job(tmp_path / "a", restricted=[2])
    without = job(tmp_path / "b", tuple(row for row in EVENTS if row.pid != 2))
    told, never, open_run = run(closed), run(without), run(job(tmp_path / "c"))
    assert told["events"]["dropped"]["restricted"] == 3
    assert told["digest"] == never["digest"] != open_run["digest"]
    assert name32("p", 2) not in {row[0] for row in named(closed, "theme")}
    assert told["links"] == open_run["links"] - 1


def test_a_restricted_state_links_nobody(tmp_path: Path) -> None:
    told = run(job(tmp_path / "a", restricted=[3]))
    assert told["states"]["dropped"]["restricted"] == 1
    assert told["links"] == 1


def test_a_record_that_nobody_was_linked_to_is_counted_as_such(tmp_path: Path) -> None:
    stray = Event(77, 12, "cse_flag", "victim", AS_OF)
    told = run(job(tmp_path / "a", (*EVENTS, stray)))
    assert told["events"]["dropped"]["no_person"] == 1
    assert told["digest"] == run(job(tmp_path / "b"))["digest"]


@pytest.mark.finding("SCO-T15", "T-TF3")
@pytest.mark.parametrize(
    "silence",
    [
        {"sources": {"1": "police.occurrences"}},
        {"admitted": {"1": sorted(EVERY_KIND)}},
        {"admitted": {"1": sorted(EVERY_KIND), "2": []}},
    ],
    ids=["never loaded", "no longer admitted", "admitted for nothing"],
)
def test_a_theme_with_a_silent_source_is_not_scored_and_has_no_list(
    tmp_path: Path, silence: dict[str, Any]
) -> None:
    made = job(tmp_path / "a", **silence)
    manifest = run(made)
    assert manifest["themes_scored"] == []
    assert manifest["themes_not_scored"] == dict.fromkeys(
        ("cse", "cce"), "not scored: no data from police.missing"
    )
    assert manifest["lists"] == {}
    assert not (Path(made["out"]) / "list.cse.harmed.parquet").exists()
    found = results(made)
    for name in ("score", "contribution", "exposure", "exposure_part"):
        assert len(found[name]["pid"]) == 0


@pytest.mark.finding("SCO-T15", "T-TF3")
def test_one_silent_theme_leaves_the_other_as_it_is(tmp_path: Path) -> None:
    made, whole = job(tmp_path / "a"), job(tmp_path / "b")
    (tmp_path / "tables").mkdir()
    edit = {"parameters.yaml": ("  cse: [police.occurrences", "  cse: [health.flags")}
    made["tables"] = str(edited_tables(tmp_path / "tables", edit))
    manifest = run(made)
    run(whole)
    assert manifest["themes_scored"] == ["cce"]
    assert manifest["themes_not_scored"] == {"cse": "not scored: no data from health.flags"}
    assert list(manifest["lists"]) == ["cce.harmed", "cce.increasing", "cce.emerging"]
    cce = TABLES.themes.index("cce")
    columns = ("theme", "track", "index", "exposure", "score")
    expected = {row for row in named(whole, *columns) if row[1] == cce}
    assert named(made, *columns) == expected
    assert len(expected) >= 4


def test_only_admitted_kinds_of_a_source_are_scored(tmp_path: Path) -> None:
    kinds = [TABLES.kinds["cce_flag"].id]
    made = job(tmp_path / "a", admitted={"1": kinds, "2": sorted(EVERY_KIND)})
    manifest = run(made)
    assert manifest["events"]["dropped"]["not_admitted"] == 4
    harming = TRACKS.index("harming")
    points = {row[1:] for row in named(made, "track", "points") if row[0] == name32("p", 2)}
    assert {row[0] for row in points} == {harming}


def test_nobody_and_nothing_give_an_empty_result(tmp_path: Path) -> None:
    made = write_job(tmp_path / "a", [], months={0: CHILD}, as_of=AS_OF)
    made["events"], made["states"] = [], []
    manifest = run(made)
    assert manifest["lists"] == {one.id: 0 for one in TABLES.lists}
    assert manifest["events"]["kept"] == manifest["links"] == 0


def test_a_record_of_nobody_in_the_run_stops_it(tmp_path: Path) -> None:
    made = job(tmp_path / "a")
    people = pq.read_table(made["persons"])
    pq.write_table(people.slice(1), made["persons"])
    with pytest.raises(ScoringFault) as refused:
        run(made)
    assert refused.value.code == "FG-RUN-03"


@pytest.mark.finding("SCO-T16")
def test_another_tie_key_changes_no_score(tmp_path: Path) -> None:
    made, other = job(tmp_path / "a"), job(tmp_path / "b")
    other["tie_key"] = "08" * 32
    run(made), run(other)
    for name, column in results(made)["score"].items():
        assert column.tolist() == results(other)["score"][name].tolist()


def test_the_hash_of_inputs_is_of_their_bytes_and_not_of_their_names(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "2"), ("c", "1"), ("d", "3")):
        (tmp_path / name).write_text(text)
    of = {name: str(tmp_path / name) for name in "abcd"}
    assert inputs_hash([of["a"], of["b"]]) == inputs_hash([of["b"], of["c"]])
    assert inputs_hash([of["a"], of["b"]]) != inputs_hash([of["a"], of["d"]])


def test_the_digest_covers_every_column_name_and_person() -> None:
    columns = {"score": {"a": np.array([1, 2]), "b": np.array([3, 4])}}
    base = digest(columns, [b"x"])
    swapped = {"score": {"b": columns["score"]["b"], "a": columns["score"]["a"]}}
    assert digest(swapped, [b"x"]) == base
    others = [
        digest({"score": {**columns["score"], "b": np.array([3, 5])}}, [b"x"]),
        digest({"score": {"a": np.array([1, 2]), "c": np.array([3, 4])}}, [b"x"]),
        digest({"other": columns["score"]}, [b"x"]),
        digest(columns, [b"y"]),
    ]
    assert len({base, *others}) == 5


def scrubbed(made: dict[str, Any], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-m", "scoring.run"],
        input=json.dumps(made),
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": "", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"},
        check=False,
    )


def test_a_process_of_its_own_with_nothing_in_its_environment_gives_the_same(
    tmp_path: Path,
) -> None:
    here = run(job(tmp_path / "a"))
    made = job(tmp_path / "b")
    process = scrubbed(made, tmp_path)
    assert process.returncode == 0
    assert process.stderr == ""
    assert json.loads(process.stdout) == here
    assert (Path(made["out"]) / "score.parquet").is_file()


def test_a_process_that_refuses_says_why_as_json_and_writes_nothing(tmp_path: Path) -> None:
    made = job(tmp_path / "a")
    made["tables"] = str(tmp_path)
    process = scrubbed(made, tmp_path)
    assert process.returncode == 3
    assert process.stdout == ""
    fault = json.loads(process.stderr)
    assert fault["code"] == "FG-RUN-01"
    assert fault["message"] == "kinds.yaml cannot be read"
    assert fault["next_step"]
    assert list(Path(made["out"]).iterdir()) == []


def test_the_main_function_answers_a_job_and_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = job(tmp_path / "a")
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(made)))
    assert main() == 0
    assert json.loads(capsys.readouterr().out)["persons"] == 5
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({**made, "tables": str(tmp_path)})))
    assert main() == 3
    assert json.loads(capsys.readouterr().err)["code"] == "FG-RUN-01"
