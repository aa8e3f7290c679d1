"""An export is read over HTTP by both verifiers: bounded, without redirects, and never trusted."""

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from audit.errors import AuditFault
from audit.event import make_event
from audit.log import AuditLog
from audit.note import Signer, Verifier
from audit.place import Folder, Web, place_of
from audit.stranger import arguments, check
from audit.tiles import export_tiles, verify_tiles
from engine.cli.main import app as cli

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SIGNER = Signer.from_bytes("log.example/web", bytes(range(32)))
KEY = Verifier.from_vkey(SIGNER.vkey())
SIZE = 300


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; some names are answered otherwise."""

    odd: ClassVar[dict[str, int]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = self.odd.get(self.path)
        if status is None:
            super().do_GET()
            return
        if status == 0:  # No HTTP at all.
            self.wfile.write(b"good day\r\n\r\n")
            return
        self.send_response(status)
        if status == 206:  # The line went dead on the way.
            whole = (Path(self.directory) / self.path[1:]).read_bytes()
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) // 2])
            return
        if status == 203:  # As before, in parts of which the last never came.
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"ff\r\nabc")
            return
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        if status == 200:  # A file without end, and without a length.
            self.wfile.write(b"x" * 2_000_000)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web")
    AuditLog.create(folder / "audit", SIGNER.vkey())
    log = AuditLog(folder / "audit", SIGNER)
    log.append(
        [
            make_event(
                log=SIGNER.name,
                kind="consultation",
                phase="outcome" if number % 2 else "intent",
                flow="view",
                intent=f"i{number // 2}",
                actor={"id": "a1", "org": "council"},
                now=NOW + timedelta(seconds=number),
                random=number.to_bytes(10, "big"),
                details={},
            )
            for number in range(SIZE)
        ]
    )
    log.close()
    export_tiles(folder / "audit", folder / "out", KEY)
    return folder / "out"


@pytest.fixture
def address(exported: Path) -> Iterator[str]:
    Server.odd, Server.asked = {}, []
    handler = functools.partial(Server, directory=str(exported))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def stranger(address: str) -> dict:
    return check(arguments([address, "--vkey", SIGNER.vkey()])).as_dict()


def test_both_verifiers_read_an_address_as_they_read_the_folder(exported, address):
    report = verify_tiles(Web(address + "/"), KEY)
    assert report.as_dict() == verify_tiles(Folder(exported), KEY).as_dict()
    assert (report.status, report.size) == ("verified", SIZE)
    told = stranger(address)
    assert told == check(arguments([str(exported), "--vkey", SIGNER.vkey()])).as_dict()
    assert (told["status"], told["size"]) == ("verified", SIZE)


def test_the_command_reads_an_address_and_needs_no_home(address):
    words = ["audit", "verify", "--tiles", address, "--vkey", SIGNER.vkey(), "--json"]
    done = CliRunner().invoke(cli, words)
    assert (done.exit_code, json.loads(done.stdout)["size"]) == (0, SIZE), done.output
    done = CliRunner().invoke(cli, [*words[:3], "file:///etc", *words[4:]])
    assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (15, "FG-AUD-28")
    # Nothing that was given is passed over in silence.
    for more in (["--anchor", "anchor.txt"], ["--second-vkey", SIGNER.vkey()]):
        done = CliRunner().invoke(cli, [*words, *more])
        assert (done.exit_code, json.loads(done.stdout)["error"]["code"]) == (15, "FG-AUD-31")
    # Without a key nothing is checked, and that is no sign of tampering.
    for key in ([], ["--vkey", "garbage"]):
        done = CliRunner().invoke(cli, [*words[:4], *key, "--json"])
        told = json.loads(done.stdout)
        assert (done.exit_code, told["status"], told["findings"]) == (17, "incomplete", [])
        assert told["missing"][0].startswith("nothing was checked: ")


def test_another_key_than_the_one_you_have_is_found_over_http(address):
    other = Signer.from_bytes(SIGNER.name, bytes(32)).vkey()
    assert verify_tiles(Web(address), Verifier.from_vkey(other)).status == "tampered"
    assert check(arguments([address, "--vkey", other])).as_dict()["status"] == "tampered"


@pytest.mark.parametrize(
    ("name", "status", "why"),
    [
        ("/tile/0/000", 302, "tile/0/000 was answered with status 302"),
        ("/tile/0/000", 500, "tile/0/000 was answered with status 500"),
        ("/tile/0/000", 200, "tile/0/000 is larger than it can be"),
        ("/checkpoint", 200, "checkpoint is larger than it can be"),
        ("/tile/0/000", 404, "tile/0/000 is not there"),
        ("/tile/0/000", 206, "tile/0/000 came 4096 bytes long and not 8192"),
        ("/tile/0/000", 203, "tile/0/000 could not be read (IncompleteRead)"),
        ("/tile/entries/000", 0, "tile/entries/000 could not be read (BadStatusLine)"),
    ],
)
def test_a_redirect_an_error_and_a_file_without_or_before_its_end_leave_it_incomplete(
    address, name, status, why
):
    Server.odd = {name: status}
    report = verify_tiles(Web(address), KEY)
    assert (report.status, report.findings) == ("incomplete", [])
    assert why in report.missing
    told = stranger(address)
    assert told["status"] == "incomplete"
    assert why in told["missing"]
    assert "/elsewhere" not in Server.asked


def test_an_address_that_nobody_answers_is_incomplete(monkeypatch):
    report = verify_tiles(Web("http://127.0.0.1:9"), KEY)
    assert report.missing == ["checkpoint could not be read (URLError)"]
    told = stranger("http://127.0.0.1:9")
    assert (told["status"], told["missing"]) == (
        "incomplete",
        ["witnessed.txt could not be read (URLError)"],
    )


@pytest.mark.parametrize(
    "address",
    ["file:///etc", "ftp://a.example", "http://", "http://user@a.example", "http://a.example/?x=1"],
)
def test_what_is_no_plain_address_is_refused(address):
    with pytest.raises(AuditFault, match="FG-AUD-28"):
        place_of(address)
    assert stranger(address)["status"] == "incomplete"
    assert "the address is not one of http" in stranger(address)["missing"][0]


def test_a_file_of_a_folder_is_bounded_as_well(tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"x" * ((1 << 20) + 1))
    assert verify_tiles(Folder(tmp_path), KEY).missing == ["checkpoint is larger than it can be"]
    told = check(arguments([str(tmp_path), "--vkey", SIGNER.vkey()])).as_dict()
    assert told["missing"] == ["checkpoint is larger than it can be"]
