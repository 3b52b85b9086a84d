"""The cluster in data_dir: made once, checked before each start."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from target_crm.database.embedded.locks import GUARD, HOLD, START
from target_crm.database.embedded.privileges import Runner
from target_crm.errors import DatabaseError

USER = "postgres"
# A new cluster is made here and moved up when it is whole, PG_VERSION last: a cluster with that file is complete.
_NEW, _MADE = ".target-crm.new", ".target-crm.made"
_OURS = {HOLD, START, GUARD, _NEW, _MADE, "log", "lost+found"}


def has_cluster(directory: Path) -> bool:
    """Whether there is a cluster."""
    return (directory / "PG_VERSION").is_file()


def check_cluster(directory: Path, major: int) -> None:
    """Refuse what this PostgreSQL can't open.

    Raises:
        DatabaseError: it was made by another major version, or it is a part of a cluster or something else.
    """
    if not has_cluster(directory):
        left = {entry.name for entry in directory.iterdir()} - _OURS
        if left and not (directory / _MADE).exists():
            shown = ", ".join(sorted(left)[:3])
            kind = "a broken or half-made database" if {"base", "global"} & left else "other files"
            msg = (
                f"Setting data_dir: {directory} holds {kind} ({shown}), but not a usable database: choose another "
                "folder, or move these files away."
            )
            raise DatabaseError(msg)
        return
    version = (directory / "PG_VERSION").read_text("utf-8", "replace").strip()
    if not re.fullmatch(r"\d+(\.\d+)?", version):
        msg = (
            f"Setting data_dir: the database in {directory} is broken (its file PG_VERSION is): restore a backup, or "
            "choose another folder."
        )
        raise DatabaseError(msg)
    if version != str(major):
        msg = (
            f"Setting data_dir: the database in {directory} was made by PostgreSQL {version}, and this is PostgreSQL "
            f"{major}: dump it with the old version and restore it into a new folder, or choose another one."
        )
        raise DatabaseError(msg)
    missing = [name for name in ("global/pg_control", "base", "pg_wal") if not (directory / name).exists()]
    if missing:
        msg = (
            f"Setting data_dir: the database in {directory} is broken or half made ({missing[0]} is missing): restore "
            "a backup, or choose another folder."
        )
        raise DatabaseError(msg)
    if directory.stat().st_mode & 0o027:
        # PostgreSQL refuses a folder that others may read; copies often are such.
        directory.chmod(0o700)


def make_cluster(directory: Path, binaries: Path, major: int, runner: Runner, environment: dict[str, str]) -> None:
    """Make a cluster, or finish one that was nearly made; nothing half made is left under its final name.

    Raises:
        DatabaseError: initdb failed; the message says why.
    """
    new, made = directory / _NEW, directory / _MADE
    directory.chmod(0o700)
    runner.own(directory)
    if not made.exists():
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        runner.own(new)
        _initdb(new, binaries, major, runner, environment)
        made.touch(0o600)
    for entry in sorted(new.iterdir(), key=lambda path: path.name == "PG_VERSION"):
        entry.rename(directory / entry.name)
    _flush(directory)
    new.rmdir()
    made.unlink()


def _initdb(new: Path, binaries: Path, major: int, runner: Runner, environment: dict[str, str]) -> None:
    # Letters are letters in any language, whatever the locale of who makes it.
    letters = ["--locale=C.UTF-8"]
    if major >= 17:
        letters = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    done = subprocess.run(  # noqa: S603
        [binaries / "initdb", "-D", new, "-U", USER, "--auth=trust", "--encoding=UTF8", *letters],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environment,
        preexec_fn=runner.prepare(wants_name=True),
        check=False,
    )
    if done.returncode:
        output = done.stdout.decode("utf-8", "replace")
        shutil.rmtree(new, ignore_errors=True)
        raise DatabaseError(failure(new.parent, "could not be made", output))


def failure(directory: Path, what: str, output: str) -> str:
    """One sentence of what PostgreSQL's programs said."""
    if "No space left on device" in output or "disk quota" in output.lower():
        return f"The disk that holds {directory} is full: the embedded PostgreSQL needs some 100 MB there."
    lines = [line for line in output.splitlines() if line.strip()]
    bad = [line for line in lines if re.search(r"FATAL|PANIC|error:", line)] or lines[-1:]
    said = re.sub(r"^.*?(FATAL|PANIC|error):\s*", "", bad[-1]).strip() if bad else "it said nothing"
    return (
        f"The embedded PostgreSQL in {directory} {what}: {said.rstrip('.')}. If the folder is damaged, restore a "
        "backup or choose another data_dir."
    )


def _flush(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
