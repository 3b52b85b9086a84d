"""Virtual environments of the peers: pinned, made when first asked for, kept in a cache folder outside the packages."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PEERS: dict[str, tuple[str, ...]] = {
    # The ORM of the design note's method, the last series that runs on Python 3.10.
    "note": ("Django==5.2.8", "psycopg[binary]==3.2.13", "requests==2.32.5"),
    # Its wheel asks for psycopg2, its code imports psycopg 3.
    "amochka": ("amochka==0.7.0", "psycopg[binary]==3.2.13"),
    "target-postgres": ("meltanolabs-target-postgres==0.8.1",),
    # Other loaders, which the tests of docs/other-loaders.md run. With duckdb 2 target-duckdb loses rows.
    "target-csv": ("meltanolabs-target-csv==0.5.0",),
    "target-jsonl": ("target-jsonl==0.1.4",),
    "target-duckdb": ("target-duckdb==0.8.0", "duckdb==1.1.3"),
    "aioamocrm": ("aioamocrm==0.1.1",),
    "amocrm-api": ("amocrm-api==2.6.1",),
}


class PeerUnavailableError(RuntimeError):
    """The package index can't be reached, or lacks a pinned version; the message holds the installer's words."""


def cache_folder() -> Path:
    """Where the environments are kept: `BENCH_CACHE`, else `.cache/peers` in the repository."""
    given = os.environ.get("BENCH_CACHE")
    return Path(given) if given else Path(__file__).resolve().parents[2] / ".cache" / "peers"


def python_of(peer: str) -> Path:
    """The Python of a peer's environment, made first if need be; safe for several processes at once.

    Raises:
        PeerUnavailableError: it can't be installed.
    """
    requirements = PEERS[peer]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    mark = hashlib.sha256(" ".join((version, "compiled", *requirements)).encode()).hexdigest()[:10]
    folder = cache_folder() / f"{peer}-{mark}"
    python = folder / "bin" / "python"
    if python.exists():
        return python
    # Built aside and renamed: a half-made environment never has the final name. Scripts in its bin would name the
    # first folder, so everything is started as `python -m` or by file.
    part = folder.with_name(f"{folder.name}.{os.getpid()}")
    uv = Path(sys.executable).parent / "uv"
    _install(peer, [uv, "venv", "--quiet", "--python", sys.executable, part])
    into = ("--quiet", "--compile-bytecode", "--python", part / "bin" / "python")
    _install(peer, [uv, "pip", "install", *into, *requirements])
    try:
        part.rename(folder)
    except OSError:  # another process was first
        if not python.exists():
            raise
    return python


def _install(peer: str, command: Sequence[str | Path]) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        msg = f"{peer} can't be installed: {done.stderr.strip()[-600:]}"
        raise PeerUnavailableError(msg)


def driver(name: str) -> Path:
    """The path of a peer's driver script."""
    return Path(__file__).resolve().parent / name
