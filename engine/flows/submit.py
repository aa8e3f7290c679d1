"""Accept a delivery: read, check, admit, minimise, split into lanes, publish, answer with a receipt."""

from __future__ import annotations

from typing import Any, BinaryIO

from sqlmodel import Session, col, select

from engine.domain.errors import (
    ConfigError,
    FieldgateError,
    RowsRefused,
    SubmissionError,
)
from engine.domain.ids import Actor, day_number
from engine.domain.records import Prepared
from engine.flows import stage as lanes
from engine.flows.home import Home
from engine.flows.incoming import (
    ORDINARY,
    Files,
    Options,
    Watched,
    content_of,
    contract_for,
    opened_files,
)
from engine.flows.intent import Flow
from engine.flows.pause import pauses_of
from engine.flows.receipt import make_receipt, next_number, outcome_of
from engine.flows.refusal import keep_refusal
from engine.flows.standing import STANDS, corrected, replace_row, same_bytes
from engine.flows.stated import settle_words, stated_flags
from engine.identity import vault_write
from engine.intake.contract import Contract
from engine.intake.meaning import NO_DAY
from engine.intake.package import members_of
from engine.intake.prepare import prepare
from engine.intake.read import Opened, open_delivery
from engine.intake.terms import intake_for
from engine.store.session import reading
from engine.store.tables import Delivery, DeliveryDetail, StatedFlag
from engine.telemetry import span


def submit(
    home: Home,
    file: Files,
    *,
    agency: str,
    source: str,
    actor: Actor,
    options: Options = ORDINARY,
) -> dict[str, Any]:
    """Accept a delivery.

    Args:
        home: The home.
        file: The file as the agency made it, the files that belong together, or a zip of them; read
            where they stand and never copied. Names and streams for what came over the network.
        agency: The agency that sends.
        source: The source it belongs to.
        actor: Who submits.
        options: How it is meant.

    Returns:
        The receipt: counts that reconcile, fields kept and dropped with reasons, findings by cause,
        and the inclusion proof of its audit event. The same bytes again give the first receipt. A
        delivery whose volume is out of the ordinary is ``paused`` and counts only once somebody
        has released it.

    Raises:
        SubmissionError, ContractError, GatewayError: Nothing was stored.
        RowsRefused: Only the receipt of its findings was, under the number that the error carries.

    Audited as ``collection``; a dry run as ``consultation``.
    """
    named = {
        "source": source if source in home.pack.sources else "unknown",
        "recipient": agency if agency in home.pack.register.parties else "unknown",
    }
    with opened_files(file) as files:
        try:
            if options.dry_run:
                return _try(home, files, agency, source, actor, named, options)
            return _submit(home, files, agency, source, actor, named, options)
        except _AlreadyAccepted as first:
            # Another process accepted the same bytes between our look and our commit.
            return {**first.receipt, "duplicate": True}


class _AlreadyAccepted(FieldgateError):
    """The same bytes were accepted while this delivery was prepared; carries the first receipt."""

    def __init__(self, receipt: dict[str, Any]) -> None:
        super().__init__("FG-SUB-08", "the same file was accepted just now", "Nothing.")
        self.receipt = receipt


def _submit(
    home: Home,
    files: list[tuple[str, BinaryIO]],
    agency: str,
    source: str,
    actor: Actor,
    named: dict[str, str],
    options: Options,
) -> dict[str, Any]:
    with Flow(home, "submit", "collection", actor, named) as flow:
        contract = contract_for(home, agency, source)
        content_hash = content_of(files)
        with Session(reading(home.casework)) as session:
            known = _same(session, agency, source, content_hash)
        if known is not None and options.replaces not in (None, known["number"]):
            raise ConfigError(
                "FG-SUB-21",
                f"the same bytes are delivery {known['number']} already, so they correct no other",
                "Withdraw the delivery that is wrong: fieldgate deliveries withdraw.",
            )
        if known is not None:
            flow.finish({"source": source, "result_hash": content_hash, "rules": ["duplicate"]})
            return {**known, "duplicate": True}
        replaced = _meant(home, agency, source, options)
        try:
            prepared = _prepare(flow, files, contract, options)
        except RowsRefused as refusal:
            raise keep_refusal(flow, refusal, contract, content_hash, options) from None
        if content_of(files) != content_hash:
            raise SubmissionError(
                "FG-SUB-07",
                "the file changed while it was read",
                "Send it when it is complete.",
            )
        with span("submit.stage", source=source, records=len(prepared.local_keys)):
            records = lanes.stage(flow, prepared, contract, history=options.history)
        window = _window(contract, prepared, options)
        pauses = pauses_of(
            home, contract, prepared, records, partial=options.partial, window=window
        )
        receipt = make_receipt(
            flow,
            prepared,
            contract,
            content_hash,
            options=options,
            pauses=pauses,
            replaces=replaced,
        )
        delivery = _delivery(flow, receipt, prepared, contract, options, window)
        flags = stated_flags(flow, prepared, records, *lanes.flag_rows(home, contract, prepared))
        detail = DeliveryDetail(
            delivery=flow.intent, sealed=lanes.sealed_detail(home, flow.intent, prepared)
        )
        gone = flow.commit(
            lambda session: _publish(session, flow, delivery, flags, detail, replaced)
        )
        if not pauses:
            _afterwards(flow, source)
        outcome = outcome_of(home, receipt, prepared, records, options)
        outcome["rules"] += [f"replaces {one}" for one in gone]
        flow.finish(outcome)
        receipt["number"] = delivery.number
        receipt["audit"] = flow.receipt()
        return receipt


def _try(
    home: Home,
    files: list[tuple[str, BinaryIO]],
    agency: str,
    source: str,
    actor: Actor,
    named: dict[str, str],
    options: Options,
) -> dict[str, Any]:
    """Read and judge a delivery without keeping anything of it."""
    with Flow(home, "submit_try", "consultation", actor, named) as flow:
        contract = contract_for(home, agency, source)
        content_hash = content_of(files)
        _meant(home, agency, source, options)
        prepared = _prepare(flow, files, contract, options)
        window = _window(contract, prepared, options)
        tokens = lanes.key_tokens(home, contract, prepared.local_keys)
        # A key that nobody has sent before names a record that is not there: it can end nothing.
        records = list(vault_write.known_records(home.vault, tokens).values())
        pauses = pauses_of(
            home, contract, prepared, records, partial=options.partial, window=window
        )
        receipt = make_receipt(
            flow, prepared, contract, content_hash, options=options, pauses=pauses
        )
        flow.finish({"source": source, "rows": prepared.rows_kept, "rules": ["dry_run"]})
        return {**receipt, "state": "dry run"}


def _same(session: Session, agency: str, source: str, content_hash: str) -> dict[str, Any] | None:
    """Return the receipt, with its number, of the delivery that has the same bytes."""
    found = same_bytes(session, agency, source, content_hash)
    return {**found.receipt, "number": found.number} if found else None


def _meant(home: Home, agency: str, source: str, options: Options) -> str | None:
    """Hold what a delivery is meant to correct or mend against what counts; return what it corrects.

    Raises:
        ConfigError: ``FG-SUB-21``.
    """
    if options.mends is not None and options.replaces is not None:
        raise ConfigError(
            "FG-SUB-21",
            "a delivery either holds mended rows of another or takes its place, not both",
            "Say one of the two.",
        )
    mended = _earlier(home, agency, source, options.mends, "mended")
    order = home.published()
    with Session(reading(home.casework)) as session:
        found = session.get(Delivery, mended) if mended is not None else None
    if found is not None and found.state == "accepted" and found.id not in order:
        raise ConfigError(
            "FG-SUB-21",
            f"delivery {options.mends} counts no more: a later extract took its place",
            "Mend the rows of the later one.",
        )
    return _earlier(home, agency, source, options.replaces, "replaced")


def _earlier(home: Home, agency: str, source: str, number: int | None, word: str) -> str | None:
    """Return the delivery that this one corrects or mends."""
    if number is None:
        return None
    with Session(reading(home.casework)) as session:
        found = session.exec(select(Delivery).where(Delivery.number == number)).first()
        if (
            found is None
            or (found.agency, found.source) != (agency, source)
            or found.state not in STANDS
        ):
            raise ConfigError(
                "FG-SUB-21",
                f"delivery {number} is none of this source that could be {word}",
                "See fieldgate deliveries list.",
            )
        return found.id


def _prepare(
    flow: Flow,
    files: list[tuple[str, BinaryIO]],
    contract: Contract,
    options: Options,
) -> Prepared:
    home = flow.home
    flow.arrow("read")
    with span("submit.read", source=contract.source):
        watched: list[tuple[str, Any]] = [
            (name, Watched(stream, options.progress)) if options.progress else (name, stream)
            for name, stream in files
        ]
        opened: Opened = open_delivery(members_of(watched), contract)
    flow.arrow("admit")
    intake = intake_for(
        home.pack,
        contract,
        opened.present,
        home.tables,
        home.clock().date(),
        arrow=flow.arrow,
        history=options.history,
        key=home.randomness(32),
    )
    with span("submit.prepare", source=contract.source):
        return prepare(opened, intake)


def _window(contract: Contract, prepared: Prepared, options: Options) -> tuple[int, int] | None:
    """Return the days that the delivery replaces: as stated, else from its first to its last row."""
    if contract.sending.mode != "window" or options.partial:
        return None
    days = prepared.spoken[:, 2]
    days = days[days != NO_DAY]
    if options.window is not None:
        first, last = day_number(options.window[0]), day_number(options.window[1])
        outside = int(((days < first) | (days > last)).sum())
        if outside:
            raise SubmissionError(
                "FG-SUB-29",
                f"{outside} rows lie outside the window that was stated, and would count twice",
                "State the whole window, or leave it out: then it goes from the first row to the last.",
            )
        return first, last
    return (int(days.min()), int(days.max())) if len(days) else None


def _delivery(
    flow: Flow,
    receipt: dict[str, Any],
    prepared: Prepared,
    contract: Contract,
    options: Options,
    window: tuple[int, int] | None,
) -> Delivery:
    plain = not (prepared.row_keys or prepared.gone or prepared.merges or window)
    return Delivery(
        id=flow.intent,
        number=0,
        agency=receipt["agency"],
        source=receipt["source"],
        content_hash=receipt["content_sha256"],
        policy_version=receipt["policy_version"],
        accepted_at=flow.home.clock(),
        receipt=receipt,
        state=receipt["state"],
        # What a back-load or a mended row leaves out was never said to be gone.
        mode="delta" if options.partial else contract.sending.mode,
        window_first=window[0] if window else None,
        window_last=window[1] if window else None,
        plain=plain,
        history=options.history,
    )


def _publish(
    session: Session,
    flow: Flow,
    delivery: Delivery,
    flags: list[StatedFlag],
    detail: DeliveryDetail,
    replaced: str | None,
) -> list[int]:
    """Publish a delivery; return the numbers of what it replaced."""
    same = _same(session, delivery.agency, delivery.source, delivery.content_hash)
    if same is not None:
        raise _AlreadyAccepted(same)
    gone: list[int] = []
    # A correction that waits for a release replaces nothing yet: it may still be refused.
    if delivery.state == "accepted" and replaced is not None:
        # One that was taken back meanwhile is none to correct: `replace_row` refuses it.
        taken = corrected(session, replaced) or [replaced]
        gone = [replace_row(session, one, flow, delivery.id) for one in taken]
    delivery.number = next_number(session)
    session.add(delivery)
    session.add(detail)
    session.add_all(flags)
    if delivery.state == "accepted":
        settle_words(session, flow, delivery)
    return gone


def _afterwards(flow: Flow, source: str) -> None:
    """What the commit made true in the vault; it can be done twice without harm."""
    with Session(reading(flow.home.casework)) as session:
        others = select(Delivery.id).where(
            Delivery.source == source, Delivery.id != flow.intent, col(Delivery.state).in_(STANDS)
        )
        earlier = list(session.exec(others).all())
    lanes.settle(flow.home, flow.intent, earlier)


def discard(home: Home, intent: str) -> None:
    """Take back what an unfinished submission staged in every lane."""
    lanes.discard(home, intent)
