"""Printing: a result on standard output, talk on standard error, errors with a code and a next step."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer


def os_user() -> str:
    """Return the user of this process as the system knows it; LOGNAME and USER are not believed."""
    return pwd.getpwuid(os.getuid()).pw_name


def emit(result: Mapping[str, Any] | list[Any], as_json: bool, words: Callable[[], str]) -> None:
    """Print one JSON document, or the words for a person."""
    typer.echo(json.dumps(result, indent=1, ensure_ascii=False) if as_json else words())


def say(text: str) -> None:
    """Tell progress on standard error, when somebody is there to read it."""
    if sys.stderr.isatty():
        typer.echo(text, err=True)


@contextmanager
def told(as_json: bool) -> Iterator[None]:
    """Turn an error of ours into a message, a JSON document if asked for, and its exit code."""
    from engine.domain.errors import Exit
    from engine.domain.errors import told as translate

    try:
        yield
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        typer.echo("Interrupted. What had not been committed has been taken back.", err=True)
        raise typer.Exit(Exit.UNEXPECTED) from None
    except Exception as error:  # noqa: BLE001  # the last border: told by type only
        known = translate(error)
        if known is None:
            # The text of an unknown error might hold a value, so only its type is told.
            typer.echo(
                f"FG-XXX-00: unexpected {type(error).__name__}. Please report it.",
                err=True,
            )
            raise typer.Exit(Exit.UNEXPECTED) from None
        if as_json:
            typer.echo(
                json.dumps(
                    {
                        "error": {
                            "code": known.code,
                            "message": known.message,
                            "next_step": known.next_step,
                            "reasons": list(known.reasons),
                            "exit_code": int(known.exit_code),
                        }
                    },
                    indent=1,
                )
            )
        typer.echo(f"{known.code}: {known.message}.", err=True)
        for reason in known.reasons:
            typer.echo(f"  - {reason}", err=True)
        typer.echo(f"Next: {known.next_step}", err=True)
        raise typer.Exit(known.exit_code) from None


def table(title: str, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    """Return a plain table; numbers to the right, nothing but spaces between."""
    texts = [tuple("" if cell is None else str(cell) for cell in row) for row in rows]
    widths = [max([len(header[at]), *(len(row[at]) for row in texts)]) for at in range(len(header))]
    numeric = [
        all(_is_number(row[at]) for row in texts if row[at]) and bool(texts)
        for at in range(len(header))
    ]

    def line(cells: tuple[str, ...]) -> str:
        return "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        ).rstrip()

    body = [
        line(header),
        line(tuple("-" * width for width in widths)),
        *map(line, texts),
    ]
    return "\n".join([title, *body])


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True


def receipt_words(answer: Mapping[str, Any]) -> str:
    """Return where the receipt of what left stands; its proof is in the answer of ``--json``."""
    receipt = answer["receipt"]
    return f"Receipt: audit entry {receipt['entry']} ({receipt.get('why', 'its proof: --json')})."
