"""Plain rows for the rules of unusual access; the tokens are letters and belong to nobody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from audit.unusual import Act, Found, Look, Subject, User, judge, load_weights, shipped
from audit.unusual.rows import Tokens
from audit.unusual.signs import Surnames

WEIGHTS = load_weights(shipped())
NOON = datetime(2026, 11, 24, 12, 0)  # noqa: DTZ001  # local time, a Tuesday
KEY = b"k" * 32


def tokens(
    oneself: str = "", surname: str = "", address: str = "", street: str = "", area: str = ""
) -> Tokens:
    """Return tokens of one letter each; nothing where nothing is named."""
    return Tokens(*(frozenset({one} if one else ()) for one in
                    (oneself, surname, address, street, area)))  # fmt: skip


def look(
    seq: int,
    subject: str = "p1",
    *,
    actor: str = "worker.one",
    role: str = "social_worker",
    agency: str = "council",
    at: datetime = NOON,
    act: Act = Act.VIEW,
    explained: Iterable[str] = (),
) -> Look:
    """Return one access."""
    return Look(seq, actor, agency, role, at, subject, act, "safeguard_child", "",
                frozenset(explained))  # fmt: skip


def judged(
    looks: Sequence[Look],
    users: dict[str, User] | None = None,
    subjects: dict[str, Subject] | None = None,
    *,
    on: datetime = NOON,
    known: int = 0,
) -> list[Found]:
    """Judge the day of `on`, with some further people known whose surnames are all different."""
    names = Surnames.of([*(users or {}).values(), *(subjects or {}).values()])
    names.known += known
    return judge(WEIGHTS, on.date(), looks, users or {}, subjects or {}, names, KEY)
