"""tap-amocrm-files: what the account holds is in the place, whole, once, and with what it belongs to."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from survived import survived

from tap_amocrm.downloads.names import safe_name
from tap_amocrm.downloads.wire import is_private

BIN = Path(sys.executable).parent


def command(tap, place, *options):
    tap.command()  # writes config.json
    return [str(BIN / "tap-amocrm-files"), "--config", str(tap.folder / "config.json"), "--to", str(place), *options]


def download(tap, place, *options):
    done = subprocess.run(
        command(tap, place, "--json", *options), capture_output=True, text=True, timeout=90, check=False
    )
    counts = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, {k: n for k, n in counts.items() if n and k != "bytes"}, done.stderr


def manifest(place):
    return {e["key"]: e for e in json.loads((place / "manifest.json").read_text("utf-8"))["files"]}


def content(uuid, version, size):
    """What the simulator's drive holds."""
    return random.Random(f"{uuid}/{version}").randbytes(size)


def upload(tap, uuid, size, name="a.bin", **more):
    tap.sim.control("drive", do="upload", uuid=uuid, size=size, name=name, **more)


def spoil(tap, uuid, how, times=1):
    tap.sim.control("drive", do="spoil", uuid=uuid, how=how, times=times)


def clear(tap):
    """Empty the fields that may name files."""
    ids = sorted(tap.sim.truth("companies"))
    tap.sim.change("update", kind="companies", ids=ids, fields={"custom_fields_values": None})


@pytest.fixture
def tap(start):
    """An account without made-up files, and without a mention of any."""
    made = start(companies=3, contacts=2, leads=1, notes=0, tasks=0)
    clear(made)
    return made


def test_every_file_is_there_whole_and_the_second_run_asks_for_none_again(start, tmp_path):
    tap, place = start(companies=3, notes=0, files=30), tmp_path / "files"
    clear(tap)
    code, counts, said = download(tap, place, "--allow-private-addresses")
    assert (code, counts) == (0, {"done": 27}), said
    for entry in manifest(place).values():
        kept = (place / entry["path"]).read_bytes()
        assert kept == content(entry["uuid"], entry["version_uuid"], entry["size"])
        assert hashlib.sha256(kept).hexdigest() == entry["sha256"]
    state = tap.sim.control("drive")
    assert state["leaked"] == 0
    assert download(tap, place, "--allow-private-addresses")[:2] == (0, {"kept": 27})
    assert tap.sim.control("drive")["bytes_sent"] == state["bytes_sent"]
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and place not in p.parents and p.parent != tap.folder]
    assert outside == []
    assert (place / "files").stat().st_mode & 0o077 == 0


def test_the_manifest_says_what_each_file_belongs_to(tap, tmp_path):
    place = tmp_path / "files"
    upload(tap, "one", 100, "=cmd|calc.txt")
    upload(tap, "two", 50)
    contact, company = min(tap.sim.truth("contacts")), min(tap.sim.truth("companies"))
    (note,) = tap.sim.change(
        "create", kind="contacts/notes", fields={
            "entity_id": contact, "note_type": "attachment",
            "params": {"file_uuid": "one", "version_uuid": "v1", "original_name": "x"},
        }
    )  # fmt: skip
    value = {"file_uuid": "one", "version_uuid": "v1", "file_name": "x", "file_size": 100}
    field = {"field_id": 700_043, "field_name": "Файл", "field_type": "file", "values": [{"value": value}]}
    tap.sim.change("update", kind="companies", ids=[company], fields={"custom_fields_values": [field]})
    tap.sim.control("drive", do="attach", entity="companies", id=company, uuid="two")
    code, counts, said = download(tap, place, "--cards", "--allow-private-addresses")
    assert (code, counts) == (0, {"done": 2}), said
    entries = manifest(place)
    assert entries["one/v1"]["links"] == [
        {"entity_type": "contacts", "entity_id": contact, "note_id": note, "field_id": None},
        {"entity_type": "companies", "entity_id": company, "note_id": None, "field_id": 700_043},
    ]
    assert [x["entity_id"] for x in entries["two/v1"]["links"]] == [company]
    rows = list(csv.DictReader((place / "manifest.csv").open(encoding="utf-8-sig")))
    assert [(r["uuid"], r["entity_type"], r["entity_id"]) for r in rows] == [
        ("one", "contacts", str(contact)), ("one", "companies", str(company)), ("two", "companies", str(company))
    ]  # fmt: skip
    assert rows[0]["name"] == "'=cmd|calc.txt"


def test_what_breaks_is_tried_again_from_where_it_broke(tap, tmp_path):
    for number, how in enumerate(("cut", "500", "short", "html")):
        upload(tap, f"x{number}", 60_000)
        spoil(tap, f"x{number}", how)
    code, counts, said = download(tap, tmp_path / "files", "--allow-private-addresses")
    assert (code, counts) == (0, {"done": 4}), said
    for entry in manifest(tmp_path / "files").values():
        assert (tmp_path / "files" / entry["path"]).read_bytes() == content(entry["uuid"], "v1", 60_000)
    # What was cut continues; what was not the file is not kept.
    assert [start for start in tap.sim.control("drive")["starts"] if start] == [30_000]


def test_files_that_can_t_be_had_are_listed_and_hold_up_no_other(tap, tmp_path):
    place = tmp_path / "files"
    for uuid in ("good", "broken", "longer"):
        upload(tap, uuid, 20_000)
    spoil(tap, "broken", "500", 99)
    spoil(tap, "longer", "longer", 99)
    contact = min(tap.sim.truth("contacts"))
    params = {"file_uuid": "purged", "version_uuid": "v1", "original_name": "old.pdf"}
    tap.sim.change("create", kind="contacts/notes", fields={
        "entity_id": contact, "note_type": "attachment", "params": params})  # fmt: skip
    code, counts, said = download(tap, place, "--allow-private-addresses")
    assert (code, counts) == (1, {"done": 1, "failed": 2, "gone": 1})
    entries = manifest(place)
    assert "500" in entries["broken/v1"]["reason"]
    assert "20,004 bytes are announced" in entries["longer/v1"]["reason"]
    assert entries["purged/v1"]["status"] == "gone"
    assert entries["purged/v1"]["links"][0]["entity_id"] == contact
    assert "broken" in said
    spoil(tap, "broken", "500", 0)
    spoil(tap, "longer", "longer", 0)
    assert download(tap, place, "--allow-private-addresses")[:2] == (0, {"done": 2, "kept": 1, "gone": 1})


def test_an_interrupted_run_goes_on_where_it_was(tap, tmp_path):
    place = tmp_path / "files"
    upload(tap, "big", 400_000)
    spoil(tap, "big", "slow", 1)
    run = subprocess.Popen(command(tap, place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if tap.sim.control("drive")["bytes_sent"] > 80_000:
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    assert run.wait(20) == 143
    (part,) = (place / ".unfinished").iterdir()
    came = part.stat().st_size
    assert 0 < came < 400_000
    assert download(tap, place, "--allow-private-addresses")[:2] == (0, {"done": 1})
    assert tap.sim.control("drive")["starts"] == [0, came]
    assert (place / manifest(place)["big/v1"]["path"]).read_bytes() == content("big", "v1", 400_000)


def test_runs_that_are_killed_at_any_moment_leave_nothing_but_whole_files(tap, tmp_path):
    place, draw, sizes = tmp_path / "files", random.Random(7), {}
    for number in range(10):
        sizes[f"f{number}"] = draw.randrange(20_000, 90_000)
        upload(tap, f"f{number}", sizes[f"f{number}"])
        spoil(tap, f"f{number}", draw.choice(("cut", "500", "short", "html")), draw.randrange(2))
    sent = 0
    for _ in range(4):
        run = subprocess.Popen(
            command(tap, place, "--limit-rate", "400k"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        sent += draw.randrange(10_000, 100_000)
        while run.poll() is None and tap.sim.control("drive")["bytes_sent"] < sent:
            time.sleep(0.01)
        run.kill()
        run.wait(20)
        for file in place.glob("files/*/*/*"):
            uuid, version = file.parts[-3:-1]
            assert file.read_bytes() == content(uuid, version, sizes[uuid])
    code, counts, said = download(tap, place, "--allow-private-addresses")
    assert (code, sum(counts.values())) == (0, 10), said
    entries = manifest(place).values()
    wrong = [e for e in entries if (place / e["path"]).read_bytes() != content(e["uuid"], "v1", sizes[e["uuid"]])]
    survived("kill -9 while files are downloaded", 4, records=len(wrong))
    assert wrong == []
    assert list((place / ".unfinished").iterdir()) == []


def test_a_download_that_is_too_slow_does_not_hold_up_the_others(tap, tmp_path):
    upload(tap, "slow", 3_000_000)
    upload(tap, "fast", 300_000)
    spoil(tap, "slow", "slow", 99)
    began = time.monotonic()
    code, counts, _ = download(tap, tmp_path / "files", "--least-speed", "10M", "--allow-private-addresses")
    assert (code, counts) == (1, {"done": 1, "failed": 1})
    assert time.monotonic() - began < 30


def test_earlier_versions_come_where_a_note_names_them(tap, tmp_path):
    upload(tap, "deal", 100)
    tap.sim.control("drive", do="version", uuid="deal", version="v2", size=200)
    params = {"file_uuid": "deal", "version_uuid": "v1", "original_name": "deal.pdf"}
    tap.sim.change("create", kind="companies/notes", fields={
        "entity_id": min(tap.sim.truth("companies")), "note_type": "attachment", "params": params})  # fmt: skip
    assert download(tap, tmp_path / "files", "--allow-private-addresses")[:2] == (0, {"done": 2})
    assert {k: e["size"] for k, e in manifest(tmp_path / "files").items()} == {"deal/v2": 200, "deal/v1": 100}


def test_a_place_in_memory_or_elsewhere_is_written_through_fsspec():
    import fsspec

    from tap_amocrm.downloads.places import Place

    place = Place("memory://amocrm")
    part = place.parts / "x"
    part.write_bytes(b"content")
    place.take(part, "files/a/v1/x.bin")
    assert (place.size("files/a/v1/x.bin"), part.exists()) == (7, False)
    assert fsspec.filesystem("memory").cat("/amocrm/files/a/v1/x.bin") == b"content"


def test_an_error_of_a_places_own_package_is_one_of_the_place(monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    from tap_amocrm.downloads.places import Place

    class NoCredentialsError(Exception):
        """As the packages of clouds raise."""

    def refuse(*_, **__):
        raise NoCredentialsError("Unable to locate credentials")

    place = Place("memory://amocrm")
    part = place.parts / "x"
    part.write_bytes(b"content")
    for name in ("info", "cat_file", "put_file"):
        monkeypatch.setattr(MemoryFileSystem, name, refuse)
    for use in (lambda: place.size("a"), lambda: place.read("a"), lambda: place.take(part, "a/b")):
        with pytest.raises(OSError, match="NoCredentialsError: Unable to locate credentials"):
            use()
    assert part.exists(), "what came is kept for the next run"


def test_bandwidth_is_limited_for_all_together(tap, tmp_path):
    for number in range(3):
        upload(tap, f"b{number}", 100_000)
    began = time.monotonic()
    assert download(tap, tmp_path / "files", "--limit-rate", "200k", "--allow-private-addresses")[:2] == (
        0,
        {"done": 3},
    )
    assert time.monotonic() - began > 1.4


class Recorder(BaseHTTPRequestHandler):
    """A telephony's host, which notes what it is asked with."""

    seen: list[dict[str, str]] = []  # noqa: RUF012

    def do_GET(self):
        self.seen.append({"path": self.path, **dict(self.headers)})
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        body = b"<html>log in</html>" if self.path == "/page" else b"sound" * 100
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path == "/page" else "audio/mpeg")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def telephony():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    Thread(target=server.serve_forever, daemon=True).start()
    Recorder.seen.clear()
    yield f"http://localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def call(tap, url, kind="call_in"):
    tap.sim.change("create", kind="contacts/notes", fields={
        "entity_id": min(tap.sim.truth("contacts")), "note_type": kind, "params": {"link": url}})  # fmt: skip


def test_recordings_come_when_asked_for_and_their_host_never_sees_the_token(tap, telephony, tmp_path):
    place = tmp_path / "files"
    for url in (
        f"{telephony}/1.mp3?sign=secret",
        f"{telephony}/1.mp3?sign=secret",
        f"{telephony}/page",
        f"{telephony}/away",
    ):
        call(tap, url)
    assert download(tap, place, "--allow-private-addresses")[:2] == (0, {})
    code, counts, said = download(tap, place, "--recordings", "--allow-private-addresses")
    assert (code, counts) == (1, {"done": 1, "failed": 2}), said
    assert [r["path"] for r in Recorder.seen].count("/1.mp3?sign=secret") == 1
    assert not any("Authorization" in r for r in Recorder.seen)
    done = next(e for e in manifest(place).values() if e["status"] == "done")
    assert (place / done["path"]).read_bytes() == b"sound" * 100
    assert len(done["links"]) == 2
    reasons = [e["reason"] for e in manifest(place).values() if e["status"] == "failed"]
    assert any("requires a login" in r for r in reasons)
    assert any("only http and https addresses" in r for r in reasons)


def test_private_addresses_are_not_asked_unless_allowed(tap, telephony, tmp_path):
    call(tap, f"{telephony}/1.mp3")
    code, counts, _ = download(tap, tmp_path / "files", "--recordings")
    assert (code, counts) == (1, {"failed": 1})
    assert "private network" in next(iter(manifest(tmp_path / "files").values()))["reason"]
    assert Recorder.seen == []


@pytest.mark.parametrize(
    ("address", "private"),
    [("10.0.0.1", True), ("169.254.169.254", True), ("::1", True), ("::ffff:192.168.0.1", True), ("fd00::1", True),
     ("100.64.0.1", True), ("0.0.0.0", True), ("93.184.215.14", False), ("2606:4700::1111", False)],
)  # fmt: skip
def test_private_networks_are_recognised(address, private):
    assert is_private(address) is private


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("..", "file"),
        ("con", "_con"),
        ("AUX.txt", "_AUX.txt"),
        ('a<b>:"c|?*.pdf', "a_b___c___.pdf"),
        ("report.pdf\u202efdp.exe", "report.pdffdp.exe"),
        ("a\x00b\n.txt", "a_b_.txt"),
        (".htaccess", "htaccess"),
        ("Договор № 5.pdf", "Договор № 5.pdf"),
        ("", "file"),
    ],
)
def test_names_from_outside_are_made_safe(given, kept):
    assert safe_name(given) == kept


def test_a_long_name_keeps_its_suffix():
    kept = safe_name("ё" * 300 + ".pdf")
    assert kept.endswith("ё.pdf")
    assert len(kept.encode()) <= 150


def test_a_place_that_needs_an_extra_says_which(tap):
    code, _, said = download(tap, "gs://bucket/folder")
    assert code == 1
    assert "E_PLACE" in said
