"""``fieldgate policy check | diff | simulate | propose | answer | activate | rollback``: changing it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, day, open_home, operator, user_of
from engine.cli.output import emit, table, told
from engine.cli.policy import DateOption, folders_of, pack_of, policy

if TYPE_CHECKING:
    from policies.model import Pack

__all__ = ["policy"]


@policy.command("check")
def check_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Hold the draft against all a proposal must pass, without proposing it."""
    with told(as_json):
        from engine.flows.policy_review import check_draft

        opened = open_home(home)
        review = check_draft(opened, operator(opened))
        opened.close()
        emit(
            review.as_dict(),
            as_json,
            lambda: "\n".join(
                [f"Draft {review.pack.version[:12]}: {review.cases} tests pass, {len(review.waived)} warnings "
                 f"waived, {len(review.changes)} differences."]
                + [one.sentence() for one in review.changes]
                + [simulation_words(review.simulation)]
            ),
        )  # fmt: skip


@policy.command("diff")
def diff_command(
    old: Annotated[
        str, typer.Argument(help="A folder or a kept version; the active one when left out.")
    ] = "",
    new: Annotated[
        str, typer.Argument(help="A folder or a kept version; the draft when left out.")
    ] = "",
    declare: Annotated[
        bool,
        typer.Option(
            "--declare", help="Print expected_changes.yaml for the widenings that need it."
        ),
    ] = False,
    as_of: DateOption = "today",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions exactly, over the whole decision space. Exit 12 on an undeclared widening."""
    with told(as_json):
        from engine.domain.errors import Exit
        from engine.flows.policy_review import expected_of
        from policies.diff import declared_classes, diff, undeclared

        today = day(as_of)
        one = _version(home, old, draft=False)
        other = _version(home, new, draft=True)
        changes = diff(one, other, today)
        classes = declared_classes(one) | declared_classes(other)
        if declare:
            typer.echo(_declaration(one.version, undeclared(changes, [], classes)), nl=False)
            return
        folder = _draft_folder(home, new)
        expected = expected_of(folder, one.version) if folder is not None else []
        hidden = undeclared(changes, expected, classes)
        result = {
            "from": one.version,
            "to": other.version,
            "changes": [change.as_dict() for change in changes],
            "undeclared": [change.as_dict() for change in hidden],
        }
        emit(
            result,
            as_json,
            lambda: "\n".join(
                [f"{one.version[:12]} -> {other.version[:12]}: {len(changes)} differences"]
                + [change.sentence() for change in changes]
                + [f"UNDECLARED {change.sentence()}" for change in hidden]
            ),
        )
        raise typer.Exit(Exit.REFUSED if hidden else Exit.OK)


def _draft_folder(home: Path | None, new: str) -> Path | None:
    """Return the folder whose declaration counts: that of a named folder, else the draft's."""
    if new and Path(new).is_dir():
        return folders_of(None, Path(new), draft=True)[1]
    if new:
        return None
    return open_home(home).draft[1]


def _version(home: Path | None, name: str, *, draft: bool) -> Pack:
    if name and Path(name).is_dir():
        return pack_of(None, Path(name))
    if name:
        return open_home(home).stored_pack(name)
    return pack_of(home, None, draft=draft)


def _declaration(against: str, changes: list[Any]) -> str:
    lines = [
        "# Widenings that this change means. Say why for each; reviewers read it.",
        f"against: {against}",
    ]
    lines.append("changes:" if changes else "changes: []")
    lines += [
        f"  - {{role: {one.role or 'none'}, agency: {one.agency or 'none'}, purpose: {one.purpose or 'none'}, "
        f'source: {one.source}, field: {one.field or "none"}, from: {one.old}, to: {one.new}, why: ""}}'
        for one in changes
    ]
    return "\n".join(lines) + "\n"


@policy.command("simulate")
def simulate_command(
    days: Annotated[int, typer.Option(help="How far back.", min=1, max=366)] = 30,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide the real requests of the last days again under the draft, and count what would differ."""
    with told(as_json):
        from engine.flows.policy_simulate import simulate_draft

        opened = open_home(home)
        result = simulate_draft(opened, operator(opened), days)
        opened.close()
        emit(result, as_json, lambda: simulation_words(result))


def simulation_words(result: dict[str, Any]) -> str:
    """Tell a simulation in words."""
    head = (
        f"{result['requests']} requests of {result['days']} days: {result['would_be_shown_something_new']} would "
        f"be shown something for the first time, {result['would_be_shown_nothing']} nothing any more."
    )
    rows = [
        (
            one["role"],
            one["agency"],
            one["purpose"],
            one["source"],
            one["fields_raised"],
            one["fields_lowered"],
        )
        for one in result["effects"]
    ]
    return (
        table(head, ("role", "agency", "purpose", "source", "raised", "lowered"), rows)
        if rows
        else head
    )


@policy.command("propose")
def propose_command(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """Propose the draft: it is frozen, compared, simulated, and shown to those who must agree."""
    with told(as_json):
        from engine.flows.policy_change import propose

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = propose(opened, user, auth=auth)
        opened.close()
        emit(
            result,
            as_json,
            lambda: _change_words(
                {**result, "state": "open", "missing": [n["kind"] for n in result["needs"]]}
            ),
        )


def _change_words(one: dict[str, Any]) -> str:
    lines = [f"Change {one['change']} ({one['state']}), version {one['version'][:12]}"]
    lines += [f"  {sentence}" for sentence in one["sentences"]]
    lines.append("  " + simulation_words(one["simulation"]).replace("\n", "\n  "))
    for given in one.get("answers", []):
        lines.append(f"  {given['user']} ({given['role']}) for {given['kind']}: {given['answer']}")
    lines.append(f"  still needed: {', '.join(one['missing']) or 'nothing'}")
    return "\n".join(lines)


@policy.command("changes")
def changes_command(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List every change, the newest first, with its answers and what it still needs."""
    with told(as_json):
        from engine.flows.policy_change import changes

        opened = open_home(home)
        found = changes(opened, operator(opened))
        opened.close()
        emit(
            found,
            as_json,
            lambda: "\n".join(map(_change_words, found)) or "No change was proposed yet.",
        )


@policy.command("answer")
def answer_command(
    change: Annotated[int, typer.Argument(help="Number of the change.")],
    kind: Annotated[str, typer.Argument(help="Kind of approval, for example health; or advice.")],
    word: Annotated[str, typer.Argument(help="approve, reject or advise.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve or reject a change as one kind of approver, or advise on it."""
    with told(as_json):
        from engine.flows.policy_change import answer

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = answer(opened, user, change, kind, word, auth=auth)
        opened.close()
        emit(result, as_json, lambda: _change_words(result))


@policy.command("activate")
def activate_command(
    change: Annotated[int, typer.Argument(help="Number of the approved change.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an approved change the active policy of every worker at once."""
    with told(as_json):
        from engine.flows.policy_change import activate, governor

        opened = open_home(home)
        actor = operator(opened)
        if as_user is not None:
            user, auth = user_of(opened, as_user)
            actor = governor(opened, user, auth)
        result = activate(opened, change, actor)
        opened.close()
        emit(result, as_json, lambda: f"Change {change} is active: {result['version']}")


@policy.command("rollback")
def rollback_command(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """Go back one step, to the version that was active before."""
    with told(as_json):
        from engine.flows.policy_change import governor, rollback

        opened = open_home(home)
        actor = operator(opened)
        if as_user is not None:
            user, auth = user_of(opened, as_user)
            actor = governor(opened, user, auth)
        result = rollback(opened, actor)
        opened.close()
        emit(result, as_json, lambda: f"Active policy: {result['version']}")
