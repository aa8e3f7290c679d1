"""A large census in XML against the straightforward ways: a DOM, element by element, and an lxml tree."""

from __future__ import annotations

import random
import re
import resource
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any
from xml.dom import minidom

from lxml import etree

import gateways.load
import policies.load
from bench.measure import PEER, Claim
from engine.intake.contract import Contract, contract_of
from engine.intake.package import Member
from engine.intake.prepare import minimised
from engine.intake.read import open_delivery
from engine.intake.tally import Tally
from engine.intake.terms import intake_for
from policies.model import Pack
from scoring.tables import load_tables, shipped

TODAY = date(2026, 11, 25)
SCORING = load_tables(shipped())
CHILDREN = 50_000
Found = dict[tuple[str, str], int]
_LETTERS = "ABCDEFGHJKLMNPQRTUVWXYZ"
_PERSON = ("LAchildID", "UPN", "PersonBirthDate", "Sex")
_REFERRAL = ("CINreferralDate", "PrimaryNeedCode", "ReferralNFA", "CINclosureDate")


def write_census(path: Path, children: int) -> None:
    """Write an invented Children in Need census with two referrals a child, some of it wrong.

    A child has what the published sample files of the census hold, in their order and layout: what a
    contract does not read is most of a real file, and each way has to pass over it.
    """
    chance = random.Random(5)
    with path.open("w", encoding="utf-8") as stream:
        stream.write(_HEADER)
        for number in range(children):
            stream.write(_child(chance, number))
        stream.write("  </Children>\n</Message>\n")


_HEADER = """<Message>
  <Header>
    <CollectionDetails>
      <Collection>CIN</Collection>
      <ReferenceDate>2026-03-31</ReferenceDate>
    </CollectionDetails>
  </Header>
  <Children>
"""


def _child(chance: random.Random, number: int) -> str:
    return "".join(
        [
            "    <Child>\n      <ChildIdentifiers>\n",
            _tag(8, "LAchildID", f"C{number}"),
            _tag(8, "UPN", _bad(chance, _upn(number // 7), _bad(chance, "A1", _upn(number)))),
            _tag(
                8,
                "PersonBirthDate",
                _bad(chance, "2031-05-01", _bad(chance, "soon", _day(chance, 2008, 2024))),
            ),
            _tag(8, "Sex", _bad(chance, "Q", chance.choice("MF"))),
            "      </ChildIdentifiers>\n      <ChildCharacteristics>\n",
            _tag(8, "Ethnicity", _bad(chance, "ZZZZ", "WBRI")),
            "      </ChildCharacteristics>\n",
            *(_details(chance) for _ in range(2)),
            "    </Child>\n",
        ]
    )


def _details(chance: random.Random) -> str:
    """Return a referral: as the published samples hold it, half of them closed, a third with more."""
    closed = chance.random() < 0.5
    made = [
        "      <CINdetails>\n",
        _tag(
            8,
            "CINreferralDate",
            _bad(chance, "2031-01-01", _bad(chance, "soon", _day(chance, 2023, 2026))),
        ),
        _tag(8, "ReferralSource", "1A"),
        _tag(8, "PrimaryNeedCode", "N4"),
    ]
    if closed:
        made += [
            _tag(8, "CINclosureDate", _day(chance, 2024, 2027)),
            _tag(8, "ReasonForClosure", "RC1"),
        ]
    if chance.random() < 1 / 3:
        made += [
            "        <Assessments>\n",
            _tag(10, "AssessmentInternalReviewDate", _day(chance, 2026, 2027)),
            _tag(10, "AssessmentAuthorisationDate", _day(chance, 2026, 2027)),
            "          <FactorsIdentifiedAtAssessment>\n",
            _tag(12, "AssessmentFactors", "2A"),
            _tag(12, "AssessmentFactors", "2B"),
            "          </FactorsIdentifiedAtAssessment>\n        </Assessments>\n",
            "        <Section47>\n",
            _tag(10, "S47ActualStartDate", _day(chance, 2026, 2027)),
            _tag(10, "ICPCnotRequired", "false"),
            "        </Section47>\n",
        ]
    made += [
        _tag(8, "ReferralNFA", chance.choice(("0", "1", "false"))),
        "      </CINdetails>\n",
    ]
    return "".join(made)


def _tag(indent: int, name: str, text: str) -> str:
    return f"{' ' * indent}<{name}>{text}</{name}>\n"


def _bad(chance: random.Random, wrong: str, good: str) -> str:
    return wrong if chance.random() < 0.005 else good


def _day(chance: random.Random, first: int, last: int) -> str:
    return f"{chance.randrange(first, last)}-0{chance.randrange(1, 9)}-1{chance.randrange(9)}"


def _upn(number: int) -> str:
    digits = f"8{number:011}"
    total = sum(int(digit) * place for place, digit in enumerate(digits, 2))
    return _LETTERS[total % 23] + digits


class _Straight:
    """The same rules, written down one after another as a validator of elements would hold them."""

    def __init__(self, census: Contract) -> None:
        self.found: Counter[tuple[str, str]] = Counter()
        self._groups = census.fields["ethnicity"].codes
        self._sexes = census.fields["sex"].codes
        self._children: defaultdict[str, set[str]] = defaultdict(set)
        self._with_upn: list[str] = []

    def child(self, own: dict[str, str | None]) -> None:
        upn, born = own["UPN"], own["PersonBirthDate"]
        if upn:
            if (
                not re.fullmatch("[A-Z][0-9]{12}", upn)
                or _LETTERS[sum(int(digit) * place for place, digit in enumerate(upn[1:], 2)) % 23]
                != upn[0]
            ):
                self.found["FG-ROW-05", "UPN"] += 1
            self._children[upn].add(own["LAchildID"] or "")
            self._with_upn.append(upn)
        if born:
            at = self._day(born)
            if at is None:
                self.found["FG-ROW-02", "PersonBirthDate"] += 1
            elif at > TODAY:
                self.found["FG-ROW-15", "PersonBirthDate"] += 1
        if own["Sex"] and own["Sex"].casefold() not in self._sexes:
            self.found["FG-ROW-06", "Sex"] += 1
        if own["Ethnicity"] and own["Ethnicity"].casefold() not in self._groups:
            self.found["FG-ROW-06", "Ethnicity"] += 1

    def referral(self, row: dict[str, str | None]) -> None:
        if row["ReferralNFA"] in ("false", "true"):
            self.found["FG-ROW-07", "ReferralNFA"] += 1
        since = self._day(row["CINreferralDate"] or "")
        closed = self._day(row["CINclosureDate"] or "")
        if row["CINreferralDate"] and since is None:
            self.found["FG-ROW-02", "CINreferralDate"] += 1
            return
        if since and since > TODAY:
            self.found["cin.future", "CINreferralDate"] += 1
        if since and closed and since > closed:
            self.found["cin.order", "CINreferralDate, CINclosureDate"] += 1

    def finish(self) -> Found:
        several = sum(1 for upn in self._with_upn if len(self._children[upn]) > 1)
        if several:
            self.found["cin.upn", "UPN, LAchildID"] += several
        return dict(self.found)

    def _day(self, text: str) -> date | None:
        try:
            return date.fromisoformat(text)
        except ValueError:
            return None


def read_minidom(path: Path, census: Contract) -> Found:
    """The standard library's DOM: the whole tree, and each element looked up by its name."""
    document = minidom.parse(str(path))
    straight = _Straight(census)
    for child in document.getElementsByTagName("Child"):
        straight.child({name: _first(child, name) for name in (*_PERSON, "Ethnicity")})
        for details in child.getElementsByTagName("CINdetails"):
            straight.referral({name: _first(details, name) for name in _REFERRAL})
    document.unlink()
    return straight.finish()


def _first(element: Any, name: str) -> str | None:
    found = element.getElementsByTagName(name)
    return found[0].firstChild.data if found and found[0].firstChild else None


def read_lxml(path: Path, census: Contract) -> Found:
    """The same with lxml, whose tree and lookups are written in C."""
    straight = _Straight(census)
    for child in etree.parse(str(path)).getroot().iter("Child"):
        own = {name: child.findtext(f"ChildIdentifiers/{name}") for name in _PERSON}
        own["Ethnicity"] = child.findtext("ChildCharacteristics/Ethnicity")
        straight.child(own)
        for details in child.findall("CINdetails"):
            straight.referral({name: details.findtext(name) for name in _REFERRAL})
    return straight.finish()


def read_ours(path: Path, pack: Pack, contract: Contract) -> Found:
    """Read, check, gate and minimise; memory holds a batch at a time."""
    with path.open("rb") as stream:
        opened = open_delivery([Member("file", lambda: stream)], contract)
        tally = Tally()
        intake = intake_for(pack, contract, opened.present, SCORING, TODAY)
        for _ in minimised(opened, intake, tally):
            pass
    found = {(one.code, one.column): one.count for one in tally.findings.groups()}
    for run in tally.checks:
        if len(run.rows):
            names = ", ".join(contract.fields[name].columns[0] for name in run.check.fields)
            found[run.check.id, names] = len(run.rows)
    return found


def claims() -> Iterator[Claim]:
    """Yield the claims of this group."""
    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    census = contract_of(pack.sources["council.cin_census"])
    peers: tuple[tuple[str, Callable[[Path, Contract], Found]], ...] = (
        ("the standard library's DOM, element by element", read_minidom),
        ("an lxml tree, element by element", read_lxml),
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "census.xml"
        write_census(path, CHILDREN)
        for words, peer in peers:
            yield Claim(
                f"Children in Need census, {CHILDREN:,} children",
                f"{words}, same findings",
                PEER,
                lambda peer=peer: peer(path, census),
                lambda: read_ours(path, pack, census),
                lambda theirs, ours: theirs == ours and len(ours) >= 10,
            )


def peak(children: int) -> float:
    """Return the peak memory in MiB of reading a census; run in a process of its own."""
    pack = policies.load.load_pack(gateways.load.shipped(), policies.load.shipped())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "census.xml"
        write_census(path, children)
        read_ours(path, pack, contract_of(pack.sources["council.cin_census"]))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
