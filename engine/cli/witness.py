"""``fieldgate witness``: watch another partner's audit trail. It needs no home and no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.context import JsonOption
from engine.cli.output import emit, table, told

if TYPE_CHECKING:
    from audit.witness import Witness

witness = typer.Typer(
    help="Watch another partner's audit trail and sign its checkpoints.", no_args_is_help=True
)
FolderOption = Annotated[Path, typer.Option("--folder", help="Folder of the witness; no home.")]
KEYRING = "witness.json"
PURPOSE = "witness"


@witness.command()
def init(
    folder: FolderOption,
    name: Annotated[str, typer.Option(help="Name, for example police.example/witness.")],
    log: Annotated[list[str] | None, typer.Option(help="Public key of a log to watch.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a witness with a key of its own; its passphrase comes from FIELDGATE_PASSPHRASE_FILE."""
    with told(as_json):
        from audit.witness import Witness
        from engine.domain.errors import ConfigError
        from engine.domain.ids import system_randomness
        from engine.flows.home import MANIFEST
        from engine.flows.passphrase import passphrase
        from engine.identity.keys import STRONG, create_keyring
        from engine.settings import settings

        if not name or any(char.isspace() or char == "+" for char in name):
            raise ConfigError(
                "FG-AUD-27", "a witness's name has no space and no plus", "Choose one."
            )
        if any((one / MANIFEST).exists() for one in (folder, *folder.resolve().parents)):
            raise ConfigError(
                "FG-AUD-23",
                "a witness does not stand in the home of a log",
                "Choose a folder of another partner's machine.",
            )
        word = passphrase(settings(), folder, "single", PURPOSE)
        Witness.create(folder)
        folder.chmod(0o700)
        create_keyring(folder / KEYRING, PURPOSE, word, STRONG, system_randomness)
        (folder / "name").write_text(name + "\n", encoding="utf-8")
        made = _open(folder)
        logs = [made.trust(one) for one in log or []]
        emit(
            {"name": name, "vkey": made.vkey(), "logs": logs},
            as_json,
            lambda: (
                f"{name} watches {len(logs)} logs. Its public key, for their policies:\n{made.vkey()}"
            ),
        )


@witness.command()
def trust(
    vkey: Annotated[str, typer.Argument(help="Public key of the log, from its owner.")],
    folder: FolderOption,
    as_json: JsonOption = False,
) -> None:
    """Watch a log from now on."""
    with told(as_json):
        origin = _open(folder).trust(vkey)
        emit({"origin": origin}, as_json, lambda: f"{origin} is watched.")


@witness.command()
def show(folder: FolderOption, as_json: JsonOption = False) -> None:
    """Say what was signed last of each log, and how much evidence there is against it."""
    with told(as_json):
        made = _open(folder)
        logs = made.standing()
        emit(
            {"name": made.name, "vkey": made.vkey(), "logs": logs},
            as_json,
            lambda: table(
                f"{made.name}\n{made.vkey()}",
                ("log", "events", "root", "evidence", "unclear", "kept before"),
                [
                    tuple(
                        one[key] for key in ("origin", "size", "root", "evidence", "open", "before")
                    )
                    for one in logs
                ],
            ),
        )


@witness.command()
def countersign(
    file: Annotated[Path, typer.Argument(help="What fieldgate audit checkpoint wrote.")],
    folder: FolderOption,
    out: Annotated[Path, typer.Option(help="Where to write the signed checkpoint.")],
    as_json: JsonOption = False,
) -> None:
    """Sign a checkpoint that continues what this witness signed before. Exit 14 when it does not."""
    with told(as_json):
        from audit.errors import AuditFault
        from audit.witness import MAX_REQUEST, Refusal, Submission
        from engine.domain.errors import ConfigError
        from engine.domain.ids import system_clock

        try:
            text = file.read_bytes()[: MAX_REQUEST + 1].decode()
        except (OSError, UnicodeDecodeError):
            raise ConfigError("FG-AUD-27", "the file cannot be read", "Give another one.") from None
        try:
            line = _open(folder).add_checkpoint(text, int(system_clock().timestamp()))
        except Refusal as refusal:
            raise AuditFault(
                "FG-AUD-24",
                f"not signed ({refusal.status}): {refusal.why}",
                f"Ask for a file that begins at size {refusal.size}: --old {refusal.size}. If the log "
                "holds fewer events than that, tell its owner and the other witnesses."
                if refusal.size is not None
                else "Tell the log's owner and the other witnesses.",
            ) from None
        out.write_text(Submission.parse(text).note + line, encoding="utf-8")
        result: dict[str, Any] = {"file": str(out), "line": line.strip()}
        emit(result, as_json, lambda: f"Signed: {out}. Send it back to the log's owner.")


@witness.command()
def serve(
    folder: FolderOption,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8322,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Answer add-checkpoint (C2SP tlog-witness). Put TLS in front of it."""
    with told(False):
        import uvicorn

        from engine.domain.ids import system_clock
        from engine.web.witness import create_witness_app

        app = create_witness_app(_open(folder), lambda: int(system_clock().timestamp()))
        uvicorn.run(app, host=host, port=port, access_log=False, log_level="warning")


def _open(folder: Path) -> Witness:
    from audit.cosign import Cosigner
    from audit.errors import AuditFault
    from audit.witness import Witness
    from engine.flows.passphrase import passphrase
    from engine.identity.keys import open_keyring
    from engine.settings import settings

    try:
        name = (folder / "name").read_text(encoding="utf-8").strip()
    except OSError:
        raise AuditFault(
            "FG-AUD-23", "no witness stands in that folder", "Run fieldgate witness init."
        ) from None
    ring = open_keyring(
        folder / KEYRING, PURPOSE, lambda: passphrase(settings(), folder, "single", PURPOSE)
    )
    return Witness(folder, Cosigner.from_seed(name, ring.derive("cosignature", 32)))
