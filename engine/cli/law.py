"""``fieldgate gateway | agreement | access``: the register of law, the agreements, and what is owed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, day, open_home, operator, user_of
from engine.cli.output import emit, os_user, receipt_words, table, told
from engine.cli.policy import DateOption, DraftOption, PackOption, pack_of

gateway = typer.Typer(help="The register of law.", no_args_is_help=True)
agreement = typer.Typer(help="Data sharing agreements.", no_args_is_help=True)
access = typer.Typer(help="What is owed after an access.", no_args_is_help=True)


@gateway.command("list")
def gateway_list(
    as_of: DateOption = "today",
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """List every record: what kind of law it is, whether it is in force, and what was verified."""
    with told(as_json):
        from gateways.notice import gateway_rows

        found, today = pack_of(home, pack, draft=draft), day(as_of)
        rows = gateway_rows(found.register, today)
        emit(
            rows,
            as_json,
            lambda: table(
                f"{len(rows)} records as of {today.isoformat()}. Not legal advice.",
                ("id", "kind", "in force", "on", "verified", "statute"),
                [
                    (
                        one["id"],
                        one["kind"],
                        "yes" if one["in_force"] else "no",
                        "yes" if one["enabled"] else "no",
                        "yes" if one["verified"] else "no",
                        one["cite"],
                    )
                    for one in rows
                ],
            ),
        )


@gateway.command("gaps")
def gateway_gaps(
    as_of: DateOption = "today",
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """List what nobody has settled: unverified parts, fields without an open gateway, old reviews."""
    with told(as_json):
        from gateways.notice import gaps
        from policies.coverage import closed_fields

        found, today = pack_of(home, pack, draft=draft), day(as_of)
        result = {
            "register": gaps(found.register, today),
            "fields": closed_fields(found, today),
        }
        emit(
            result,
            as_json,
            lambda: "\n\n".join(
                [
                    table(
                        "Of the register",
                        ("gateway", "gap", "what it means"),
                        [
                            (one["gateway"], one["gap"], one["meaning"])
                            for one in result["register"]
                        ],
                    ),
                    table(
                        "Fields that may not enter today",
                        ("field", "reasons"),
                        [(one["field"], "; ".join(one["reasons"])) for one in result["fields"]],
                    ),
                ]
            ),
        )


@agreement.command("list")
def agreement_list(
    as_of: DateOption = "today",
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the agreements and whether each carries data on a day."""
    with told(as_json):
        from gateways.notice import agreement_rows

        found, today = pack_of(home, pack, draft=draft), day(as_of)
        rows = agreement_rows(found.register, today)
        emit(
            rows,
            as_json,
            lambda: table(
                f"{len(rows)} agreements as of {today.isoformat()}",
                ("id", "carries data", "review", "end", "title"),
                [
                    (
                        one["id"],
                        "suspended" if one["suspended"] else "yes" if one["carries_data"] else "no",
                        one["review"],
                        one["end"],
                        one["title"],
                    )
                    for one in rows
                ],
            ),
        )


@agreement.command("expiring")
def agreement_expiring(
    as_of: DateOption = "today",
    home: HomeOption = None,
    pack: PackOption = None,
    draft: DraftOption = False,
    as_json: JsonOption = False,
) -> None:
    """List what runs out: 60, 30 and 7 days' notice, and what is past."""
    with told(as_json):
        from gateways.notice import expiring

        found, today = pack_of(home, pack, draft=draft), day(as_of)
        rows = expiring(found.register, today)
        emit(
            [one.as_dict() for one in rows],
            as_json,
            lambda: (
                table(
                    f"Running out, as of {today.isoformat()}",
                    ("agreement", "what", "last day", "days left", "notice"),
                    [
                        (
                            one.agreement,
                            one.what,
                            one.last_day.isoformat(),
                            one.days_left,
                            f"{one.notice} days" if one.notice else "past",
                        )
                        for one in rows
                    ],
                )
                if rows
                else "Nothing runs out within 60 days."
            ),
        )


@agreement.command("suspend")
def agreement_suspend(
    name: Annotated[str, typer.Argument(help="Id of the agreement.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop everything under an agreement at once: intake, reading, scoring input."""
    _stop(name, home, as_json, stopped=True)


@agreement.command("resume")
def agreement_resume(
    name: Annotated[str, typer.Argument(help="Id of the agreement.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a suspended agreement carry data again."""
    _stop(name, home, as_json, stopped=False)


def _stop(name: str, home: Any, as_json: bool, *, stopped: bool) -> None:
    with told(as_json):
        from engine.flows.setup import stop_agreement

        opened = open_home(home)
        stop_agreement(opened, name, os_user(), stopped=stopped)
        opened.close()
        words = "is suspended" if stopped else "carries data again"
        emit({"agreement": name, "suspended": stopped}, as_json, lambda: f"{name} {words}.")


@access.command("reviews")
def access_reviews(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """List the uses for immediate danger that wait for another person's review."""
    with told(as_json):
        from engine.flows.access import open_reviews

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        rows = open_reviews(opened, user, auth=auth)
        opened.close()
        emit(
            rows,
            as_json,
            lambda: table(
                "Waiting for review",
                ("use", "by", "role", "opened", "due", "overdue"),
                [
                    (
                        one["reveal"],
                        one["user"],
                        one["role"],
                        one["opened_at"],
                        one["due"],
                        "yes" if one["overdue"] else "no",
                    )
                    for one in rows
                ],
            ),
        )


@access.command("review")
def access_review(
    use: Annotated[str, typer.Argument(help="Id of the use.")],
    finding: Annotated[str, typer.Argument(help="justified, training or misuse.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record what you found about somebody else's use for immediate danger."""
    with told(as_json):
        from engine.flows.access import review_access

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        result = review_access(opened, user, use, finding, auth=auth)
        opened.close()
        emit(result, as_json, lambda: f"Recorded: {finding}.")


@access.command("notices")
def access_notices(
    agency: Annotated[str, typer.Argument(help="Agency whose data was shown.")],
    mark_told: Annotated[
        bool, typer.Option("--told", help="Mark them as told; you have handed them over.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what an agency must be told: that its data was shown, when and for what."""
    with told(as_json):
        from engine.flows.access import owed_notices, tell_notices

        opened = open_home(home)
        read = tell_notices if mark_told else owed_notices
        done = read(opened, agency, operator(opened))
        opened.close()
        emit(
            done,
            as_json,
            lambda: (
                table(
                    f"{agency} {'was told' if mark_told else 'is to be told'}",
                    ("use", "shown to", "role", "purpose", "when"),
                    [
                        (
                            one["reveal"],
                            one["shown_to_agency"],
                            one["role"],
                            one["purpose"],
                            one["when"],
                        )
                        for one in done["notices"]
                    ],
                )
                + f"\n\n{receipt_words(done)}"
            ),
        )
