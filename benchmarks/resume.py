"""What a kill costs a first sync of tap-amocrm: requests of an undisturbed run beside those of runs that were killed.

A whole account, read at ten times the service's limit from a server that answers ten times as fast. The tap is killed
(SIGKILL) when a share of the undisturbed requests has been sent, and run again from the last STATE that it wrote, until
it ends. Requests are counted by the server.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from harness import BIN, Account, BenchmarkError, main, show, simulated_account
from ours import tap_config

COMPANIES = 100_000
# Requests a second and the server's milliseconds: the limit of 7 and 300 ms, ten times as fast.
RATE, LATENCY = 70, "30"
# Where an undisturbed run is killed, in shares of its requests.
KILLS: tuple[tuple[float, ...], ...] = ((), (0.5,), (0.2, 0.4, 0.6, 0.8))


class Record(msgspec.Struct):
    """What is looked at of a record."""

    id: int | str


class Message(msgspec.Struct):
    """What is looked at of a Singer message."""

    type: str
    stream: str = ""
    record: Record | None = None
    value: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(Message)


class Sync:
    """A first sync that is killed and run again from the last STATE."""

    def __init__(self, account: Account, folder: Path) -> None:
        self._account, self._folder = account, folder
        self._config = tap_config(account, folder, requests_per_second=RATE)
        self._state: Path | None = None
        self.records: set[tuple[str, Any]] = set()
        self.state_bytes = 0

    def run(self, kill_at: int | None) -> None:
        """Run the tap; kill it when the server has seen that number of further requests."""
        command = [BIN / "tap-amocrm", "--config", self._config]
        command += ["--state", self._state] if self._state else []
        out, before = self._folder / "out.jsonl", self._requests()
        with out.open("wb") as file, (self._folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=file, stderr=log)
            while process.poll() is None:
                time.sleep(0.02)
                if kill_at is not None and self._requests() - before >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    break
            code = process.wait()
        if kill_at is None and code != 0:
            raise BenchmarkError((self._folder / "log").read_text()[-2000:])
        self._take(out.open("rb"))

    def _requests(self) -> int:
        return int(self._account.control("stats")["requests"])

    def _take(self, lines: Iterable[bytes]) -> None:
        """What a target would have taken: whole lines."""
        for line in lines:
            if not line.endswith(b"\n"):
                return
            message = _DECODER.decode(line)
            if message.record is not None:
                self.records.add((message.stream, message.record.id))
            elif message.type == "STATE":
                self._state = self._folder / "state.json"
                self._state.write_bytes(bytes(message.value))
                self.state_bytes = max(self.state_bytes, len(line))


def one(companies: int, kills: Sequence[float], undisturbed: int) -> tuple[dict[str, Any], set[tuple[str, Any]]]:
    """One first sync with its kills; what the server saw, and which records came."""
    with (
        simulated_account(companies=companies, rps=0, latency=LATENCY) as account,
        tempfile.TemporaryDirectory() as name,
    ):
        sync, done = Sync(account, Path(name)), 0.0
        for share in kills:
            sync.run(max(1, int((share - done) * undisturbed)))
            done = share
        sync.run(None)
        requests = int(account.control("stats")["requests"])
    figures = {"kills": list(kills), "requests": requests, "largest_state_bytes": sync.state_bytes}
    return figures, sync.records


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """An undisturbed sync, then the same account with kills."""
    companies, cases = (300, KILLS[:2]) if options.small else (COMPANIES, KILLS)
    found: list[dict[str, Any]] = []
    whole: set[tuple[str, Any]] = set()
    for kills in cases:
        figures, records = one(companies, kills, found[0]["requests"] if found else 0)
        whole = whole or records
        base = found[0]["requests"] if found else figures["requests"]
        extra = figures["requests"] - base
        found.append(figures | {"extra": extra, "extra_percent": 100 * extra / base, "missing": len(whole - records)})
    columns = ("killed at, share of requests", "requests", "more", "more, %", "records missing", "largest STATE, bytes")
    names = ("requests", "extra", "extra_percent", "missing", "largest_state_bytes")
    rows = [[", ".join(f"{k:.0%}" for k in f["kills"]) or "–", *(f[n] for n in names)] for f in found]
    show("a first sync that is killed and goes on", columns, rows)
    return {"companies": companies, "records": len(whole), "rate": RATE, "latency": LATENCY, "syncs": found}


if __name__ == "__main__":
    main("resume", __doc__, measure)
