"""``fieldgate pairs``: clerical review of linkage."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, day, open_home, user_of
from engine.cli.output import emit, table, told

pairs = typer.Typer(
    help="Pairs of records that a person decides: one person or two.", no_args_is_help=True
)
ReasonOption = Annotated[str, typer.Option(help="Why, in your own words; kept sealed.")]


@pairs.command("list")
def list_command(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """List the pairs that wait, the most urgent first; references and evidence, no names."""
    with told(as_json):
        from engine.flows.clerical import queue

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = queue(opened, user, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _queue_words(result))


@pairs.command("show")
def show_command(
    pair: Annotated[str, typer.Argument(help="The pair, as the list names it.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show both records of a pair side by side, at the level of your role, and the evidence."""
    with told(as_json):
        from engine.flows.pair_view import open_pair

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = open_pair(opened, user, pair, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _pair_words(result))


@pairs.command("decide")
def decide_command(
    pair: Annotated[str, typer.Argument(help="The pair, as the list names it.")],
    answer: Annotated[str, typer.Argument(help="one, two or unsure.")],
    reason: ReasonOption = "",
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide whether the two records are one person. It lasts, and takes effect with the next link."""
    with told(as_json):
        from engine.flows.clerical import decide_pair

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = decide_pair(opened, user, pair, answer, reason, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _decision_words(result))


@pairs.command("second")
def second_command(
    number: Annotated[int, typer.Argument(help="Number of the decision.")],
    agree: Annotated[bool, typer.Option("--agree/--reject", help="Your answer.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer as the second reviewer of a decision that would move protected or offence facts."""
    with told(as_json):
        from engine.flows.clerical import answer_second

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = answer_second(opened, user, number, agree=agree, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _decision_words(result))


@pairs.command("history")
def history_command(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """List every decision, the newest first."""
    with told(as_json):
        from engine.flows.clerical import decisions

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = decisions(opened, user, auth=auth)
        opened.close()
        emit(result, as_json, lambda: "\n".join(map(_decision_words, result)) or "No decisions.")


@pairs.command("quality")
def quality_command(
    delivery: Annotated[
        int | None, typer.Option(help="Number of a delivery: how well its records were linked.")
    ] = None,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print how well the newest run linked, and for whom; groups of ten records and more only."""
    with told(as_json):
        from engine.flows.link_quality import link_quality

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = link_quality(opened, user, auth=auth, delivery=delivery)
        opened.close()
        emit(result, as_json, lambda: _quality_words(result))


@pairs.command("records")
def records_command(
    person: Annotated[str, typer.Option(help="Reference of the person.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the records of a person, numbered, and every score, list place and reveal on them."""
    with told(as_json):
        from engine.flows.pair_view import open_records

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = open_records(opened, user, person, auth=auth)
        opened.close()
        emit(result, as_json, lambda: f"{_records_table(result)}\n\n{_rests(result)}")


@pairs.command("past")
def past_command(
    person: Annotated[str, typer.Option(help="Reference of the person, also a former one.")],
    as_of: Annotated[
        str, typer.Option(help="Day in the world: records that their agency held then.")
    ] = "today",
    known: Annotated[
        str, typer.Option(help="What was known by the end of that day, right or wrong.")
    ] = "today",
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show who a person was on a day, as known on a day, and what every run changed."""
    with told(as_json):
        from engine.flows.person_history import person_history

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = person_history(opened, user, person, auth=auth, as_of=day(as_of), known=day(known))
        opened.close()
        emit(result, as_json, lambda: _past_words(result))


@pairs.command("part")
def part_command(
    person: Annotated[str, typer.Option(help="Reference of the person.")],
    record: Annotated[int, typer.Option(help="Number of the record that is somebody else's.")],
    reason: ReasonOption = "",
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo a wrong merge: the record leaves the person for good, and what used the merge is listed."""
    with told(as_json):
        from engine.flows.part import part

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = part(opened, user, person, record, reason, auth=auth)
        opened.close()
        emit(
            result,
            as_json,
            lambda: (
                f"Decision {result['decision']}: takes effect with the next link. {_rests(result)}"
            ),
        )


@pairs.command("near")
def near_command(
    person: Annotated[str, typer.Option(help="Reference of the person.")],
    record: Annotated[int, typer.Option(help="Number of the record.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show records of other people that may belong to the person of one record, side by side."""
    with told(as_json):
        from engine.flows.near import near

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = near(opened, user, person, record, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _near_words(result))


@pairs.command("join")
def join_command(
    person: Annotated[str, typer.Option(help="Reference of the person.")],
    record: Annotated[int, typer.Option(help="Number of the person's record.")],
    pair: Annotated[str, typer.Option(help="The pair, as fieldgate pairs near names it.")],
    reason: ReasonOption = "",
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Join what a run missed: the near record is the same person's, for good."""
    with told(as_json):
        from engine.flows.near import join

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = join(opened, user, person, record, pair, reason, auth=auth)
        opened.close()
        emit(
            result, as_json,
            lambda: f"Decision {result['decision']}: takes effect {result['takes_effect']}.",
        )  # fmt: skip


def _past_words(result: dict[str, Any]) -> str:
    head = f"On {result['as_of']}, as run {result['known_by_run']} of {result['known']} knew it"
    records = table(
        head,
        ("Record", "What", "Held since", "Until"),
        [(one["record"], one["what"], one["since"] or "not known", one["until"] or "still held")
         for one in result["records"]],
    )  # fmt: skip
    changed = table(
        "What each run changed",
        ("Run", "On", "Joined", "Left", "Why"),
        [(one["run"], one["on"], ", ".join(map(str, one["joined"])), ", ".join(map(str, one["left"])),
          "; ".join(one["why"])) for one in result["changes"]],
    )  # fmt: skip
    return f"{records}\n\n{changed}"


def _near_words(result: dict[str, Any]) -> str:
    if not result["near"]:
        return f"No record is near this one. {result['note']}"
    rows = [(one["place"], one["pair"], f"{one['weight']:.1f}", one["says"])
            for one in result["near"]]  # fmt: skip
    return f"{_records_table(result)}\n\n{table('Near it', ('', 'pair', 'bits', 'evidence'), rows)}"


def _quality_words(result: dict[str, Any]) -> str:
    rows = [
        (one["group"], one["value"], *(("not told", "", "") if one["records"] is None else (
            one["records"], f"{one['matched']:.1%}", f"{one['not_enough']:.1%}")))
        for one in result["rates"]
    ]  # fmt: skip
    of = result["delivery"]
    text = table(
        f"Run {result['run']}: {result['records']} records, {result['persons']} persons"
        if of is None
        else f"Delivery {of['number']}, {of['source']}, as run {result['run']} linked it",
        ("group", "value", "records", "with another agency", "not enough"),
        rows,
    )
    drift = "; ".join(
        f"{one['field']} {'too few' if one['distance'] is None else one['distance']}"
        + (" (the frozen table is old)" if one["too_far"] else "")
        for one in result["drift"]
    )
    lines = [text, *result["not_told"], f"Distance from the frozen name tables: {drift}"]
    lines += [f"Alert: {one['says']} ({one['field']}, {one['records']} records)"
              for one in result["alerts"]]  # fmt: skip
    backlog = result["backlog"]
    lines.append(
        f"{backlog['pairs']} pairs wait, {backlog['second_reviews']} for a second reviewer."
    )
    return "\n\n".join(lines)


def _queue_words(result: dict[str, Any]) -> str:
    if not result["pairs"]:
        return "No pair waits for a decision."
    rows = [
        (one["pair"], one["priority"], f"{one['weight']:.1f}", one["says"],
         one["waits_for"] or one["why"])
        for one in result["pairs"][:50]
    ]  # fmt: skip
    more = len(result["pairs"]) - len(rows)
    text = table("Pairs that wait", ("pair", "priority", "bits", "evidence", "why"), rows)
    return text + (f"\nand {more} more; --json lists all of them" if more > 0 else "")


def _pair_words(result: dict[str, Any]) -> str:
    evidence = [(one["label"], one["says"], f"{one['bits']:+.1f}") for one in result["evidence"]]
    parts = [
        _records_table(result),
        table("Evidence", ("", "what it says", "bits"), evidence),
        f"{result['says']} {result['why']}",
    ]
    if result["needs_second"]:
        act = "Parting" if result["parts"] else "Joining"
        parts.append(f"{act} them needs a second reviewer: {'; '.join(result['needs_second'])}.")
    return "\n\n".join([*parts, result["note"]])


def _records_table(result: dict[str, Any]) -> str:
    rows = [
        (one["label"], *(cell["value"] or "not shown" for cell in one["cells"]))
        for one in result["rows"]
    ]
    return table("The records", ("", *result["sides"]), rows)


def _decision_words(one: dict[str, Any]) -> str:
    text = f"Decision {one['number']}: {one['answer']}, {one['state']}, by {one['decided_by']}."
    if one["needs_second"]:
        text += (
            f" Second reviewer: {one['second_by'] or 'waits'} ({'; '.join(one['needs_second'])})."
        )
    return text + (f" It takes effect {one['takes_effect']}." if one["takes_effect"] else "")


def _rests(result: dict[str, Any]) -> str:
    rests = result["rests_on_it"]
    return (
        f"On this person rest {len(rests['scores'])} scored runs, {len(rests['list_places'])} list "
        f"places and {len(rests['reveals'])} reveals"
        + "".join(f"\n  seen by {one['user']} on {one['opened_at']}" for one in rests["reveals"])
    )
