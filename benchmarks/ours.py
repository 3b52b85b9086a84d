"""Our pair as the benchmarks run it: the commands `tap-amocrm` and `target-crm`, joined by a pipe or by a file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import BIN, TOKEN, Account, BenchmarkError, Measured, Process, run

LIFTED = 10_000.0  # requests a second where the throttle is lifted, which the tap allows on loopback alone


def tap_config(account: Account, folder: Path, **settings: Any) -> Path:
    """Write the tap's settings to a file and return its path."""
    path = folder / "tap.json"
    given = {"api_url": account.url, "access_token": TOKEN, "metrics_file": str(folder / "metrics.json")}
    path.write_text(json.dumps(given | settings))
    return path


def target_config(database: str, folder: Path, **settings: Any) -> Path:
    """Write the target's settings to a file and return its path."""
    path = folder / "target.json"
    path.write_text(json.dumps({"database_url": database} | settings))
    return path


def catalog_of(account: Account, folder: Path, streams: Sequence[str]) -> Path:
    """Write a catalog in which only these streams are selected and return its path."""
    path = folder / "catalog.json"
    with path.open("wb") as out:
        run([BIN / "tap-amocrm", "--config", tap_config(account, folder), "--discover"], stdout=out)
    catalog = json.loads(path.read_text())
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
    path.write_text(json.dumps(catalog))
    return path


def last_state(text: bytes) -> str:
    """The last line of what a target wrote: the state to continue from."""
    lines = text.decode().strip().splitlines()
    return lines[-1] if lines else "{}"


def sync(
    account: Account,
    database: str,
    folder: Path,
    *,
    tap: Mapping[str, Any] | None = None,
    target: Mapping[str, Any] | None = None,
    streams: Sequence[str] | None = None,
) -> dict[str, Any]:
    """`tap-amocrm | target-crm`, continuing from the state in `folder`, which is renewed.

    Returns wall seconds, CPU seconds and memory of both, and the tap's own metrics.
    Raises `BenchmarkError` when one of them fails.
    """
    state = folder / "state.json"
    command: list[str | Path] = [BIN / "tap-amocrm", "--config", tap_config(account, folder, **(tap or {}))]
    if streams is not None:
        catalog = folder / "catalog.json"
        command += ["--catalog", catalog if catalog.exists() else catalog_of(account, folder, streams)]
    if state.exists():
        command += ["--state", state]
    reader = Process(command, stdout=subprocess.PIPE)
    out = folder / "out.jsonl"
    with out.open("wb") as file:
        config = target_config(database, folder, **(target or {}))
        loader = Process([BIN / "target-crm", "--config", config], stdin=reader.child.stdout, stdout=file)
        assert reader.child.stdout is not None
        reader.child.stdout.close()
        try:
            took_target = loader.wait()
        except BenchmarkError:
            reader.stop()
            raise
    took_tap = reader.wait()
    if out.read_bytes().strip():
        state.write_text(last_state(out.read_bytes()))
    metrics = folder / "metrics.json"
    return {
        "seconds": round(max(took_tap.seconds, took_target.seconds), 3),
        "tap": took_tap.as_dict(),
        "target": took_target.as_dict(),
        "metrics": json.loads(metrics.read_text()) if metrics.exists() else {},
    }


def part_of_a_run(line: bytes) -> bytes:
    """A message of tap-amocrm for a file that holds a part of its output: without the run that it belongs to, whose end
    the target would miss."""
    if b'"x-amocrm-run"' not in line:
        return line
    message = json.loads(line)
    del message["schema"]["x-amocrm-run"]
    return json.dumps(message, ensure_ascii=False).encode() + b"\n"


def extract(account: Account, path: Path, folder: Path, **settings: Any) -> Measured:
    """`tap-amocrm > path`, a full sync with the throttle lifted."""
    config = tap_config(account, folder, requests_per_second=LIFTED, **settings)
    with path.open("wb") as out:
        return run([BIN / "tap-amocrm", "--config", config], stdout=out)


def load(path: Path, database: str, folder: Path, **settings: Any) -> Measured:
    """`target-crm < path`."""
    with path.open("rb") as lines, (folder / "loaded.jsonl").open("wb") as out:
        config = target_config(database, folder, **settings)
        return run([BIN / "target-crm", "--config", config], stdin=lines, stdout=out)
