"""``fieldgate audit export-tiles | stranger | checkpoint | witnessed | submit-checkpoint``: for others to check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.context import AsOption, HomeOption, JsonOption, open_home, user_of
from engine.cli.output import emit, told


def add_to(audit: typer.Typer) -> None:
    """Add these commands to ``fieldgate audit``."""
    audit.command("export-tiles")(export_tiles)
    audit.command("stranger")(stranger)
    audit.command("checkpoint")(checkpoint)
    audit.command("witnessed")(witnessed)
    audit.command("submit-checkpoint")(submit_checkpoint)
    audit.command("anchor")(anchor)
    audit.command("second-signature")(second_signature)


def export_tiles(
    out: Annotated[Path, typer.Option(help="An empty folder, or an earlier export.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole trail as static files that any tlog-tiles tool can check."""
    with told(as_json):
        from engine.flows.trail_out import export_trail

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = export_trail(opened, user, out, auth=auth)
        opened.close()
        emit(
            done,
            as_json,
            lambda: "\n".join(
                [
                    f"{done['size']} events, {done['files']} files written. "
                    f"Public key {done['vkey']}",
                    *(f"  An auditor will find: {one}" for one in done["incomplete"]),
                    f"Audit entry {done['receipt']['entry']}",
                ]
            ),
        )


def stranger(
    out: Annotated[Path, typer.Option(help="Where to write the script.")],
    as_json: JsonOption = False,
) -> None:
    """Write the script with which somebody outside checks the trail; it needs nothing of fieldgate."""
    with told(as_json):
        import hashlib

        import audit.stranger

        script = Path(str(audit.stranger.__file__)).read_bytes()
        out.write_bytes(script)
        digest = hashlib.sha256(script).hexdigest()
        emit(
            {"file": str(out), "sha256": digest},
            as_json,
            lambda: f"{out}: sha256 {digest}. Run it with python and the package cryptography.",
        )


def checkpoint(
    out: Annotated[Path, typer.Option(help="File for the witness to countersign.")],
    witness: Annotated[str, typer.Option(help="Name of the witness it is for.")] = "",
    old: Annotated[
        int | None, typer.Option(min=0, help="Size that the witness signed last, if it says so.")
    ] = None,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the newest checkpoint for a witness to countersign; it holds sizes and hashes only."""
    with told(as_json):
        from engine.flows.trail_out import checkpoint_out

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = checkpoint_out(opened, user, out, auth=auth, witness=witness, old=old)
        opened.close()
        emit(
            done,
            as_json,
            lambda: (
                f"{out}: {done['size']} events, continues {done['old']}. "
                "The witness runs: fieldgate witness countersign"
            ),
        )


def witnessed(
    file: Annotated[Path, typer.Argument(help="What a witness countersigned.")],
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a countersigned checkpoint back beside the trail."""
    with told(as_json):
        from engine.flows.trail_out import take_witnessed

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = take_witnessed(opened, user, file, auth=auth)
        opened.close()
        names = ", ".join(done["witnesses"])
        emit(done, as_json, lambda: f"{names} vouches for the first {done['size']} events.")


def submit_checkpoint(
    home: HomeOption = None, as_user: AsOption = None, as_json: JsonOption = False
) -> None:
    """Ask the witnesses to sign. Exit 14 when one contradicts the trail, 17 when not all have signed."""
    with told(as_json):
        from engine.domain.errors import Exit
        from engine.flows.witness_submit import submit_checkpoint as run
        from engine.settings import settings

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = run(opened, user, settings().witness_urls, auth=auth)
        opened.close()
        lines = [f"  {one['witness']}: {one['state']}" for one in done["answers"]]
        emit(
            done,
            as_json,
            lambda: "\n".join([f"{done['signed']} of {done['asked']} have signed.", *lines]),
        )
        if any(one["state"] == "contradicts" for one in done["answers"]):
            raise typer.Exit(Exit.TAMPERED)
        if done["signed"] < done["asked"]:
            raise typer.Exit(Exit.INCOMPLETE)


def anchor(
    at: Annotated[
        Path | None, typer.Option(help="File on another disk, or on a share of a partner.")
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Take the anchor away.")] = False,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy every checkpoint to a file outside the home; start-up and verify compare with it."""
    with told(as_json):
        from engine.domain.errors import ConfigError
        from engine.flows.trail_keep import set_anchor

        if (at is None) is not off:
            raise ConfigError("FG-AUD-30", "give a file, or --off", "Give --at FILE.")
        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = set_anchor(opened, user, at, auth=auth)
        opened.close()
        emit(
            done,
            as_json,
            lambda: (
                f"The anchor is {done['anchor'] or 'off'}; {done['copied']} bytes copied. Restart what "
                f"is running. Audit entry {done['receipt']['entry']}"
            ),
        )


def second_signature(
    off: Annotated[bool, typer.Option("--off", help="Sign once again, as before.")] = False,
    home: HomeOption = None,
    as_user: AsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign every checkpoint with ML-DSA-44 as well, which quantum computers do not break."""
    with told(as_json):
        from engine.flows.trail_keep import set_second_signature

        opened = open_home(home)
        user, auth = user_of(opened, as_user)
        done = set_second_signature(opened, user, on=not off, auth=auth)
        opened.close()
        state = "on" if done["second_signature"] else "off"
        emit(
            done,
            as_json,
            lambda: (
                f"The second signature is {state}. Restart what is running. Its public key:\n"
                f"{done['vkey']}\nAudit entry {done['receipt']['entry']}"
            ),
        )
