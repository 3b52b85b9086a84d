"""A whole plan in a file: JSON Lines, one entry a line, in the order in which the load would do it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import psycopg

from target_crm.config.settings import Settings
from target_crm.errors import ConfigError
from target_crm.files import replaced_private
from target_crm.plan.journal import KEPT_COLUMNS, Plan, entries_of_kind

_KINDS = {
    "changes": "change",
    "kept": "kept",
    "conflicts": "conflict",
    "rejects": "reject",
    "warnings": "warning",
    "adopted": "adopted",
    "proposals": "proposal",
}


def write_plan_file(
    file: Path,
    connection: psycopg.Connection[Any],
    schema: str,
    run_id: int,
    counts: dict[str, dict[str, int]],
    kept: Sequence[tuple[Any, ...]],
) -> None:
    """Write the plan of a run whose transaction is still open. Nobody but the user may read the file.

    The first line holds the counts (`{"type": "counts", ...}`); then come `change`, `adopted`, `proposal`, `conflict`,
    `reject`, `warning` and `kept`, each with the keys of `Plan`'s entries.

    Raises:
        OSError: the file can't be written; one that was there is as before.
    """
    with replaced_private(file) as lines:
        _write(lines, "counts", [{"tables": counts}])
        for kind in ("changes", "adopted", "proposals", "conflicts", "rejects", "warnings"):
            _write(lines, _KINDS[kind], entries_of_kind(connection, schema, run_id, kind))
        _write(lines, "kept", (dict(zip(KEPT_COLUMNS, values, strict=True)) for values in kept))


def keep_plan(file: Path, plan: Plan) -> None:
    """Write a plan that is in memory as `write_plan_file` writes one.

    Raises:
        OSError: the file can't be written.
    """
    with replaced_private(file) as lines:
        _write(lines, "counts", [{"tables": plan.counts}])
        for kind, single in _KINDS.items():
            _write(lines, single, getattr(plan, kind))


def read_plan_file(file: Path, limit: int) -> Plan:
    """The plan that a dry run wrote; at most `limit` entries of each kind, 0 for all.

    Raises:
        ConfigError: there is no such file, or it is not a plan.
    """
    plan = Plan()
    kinds = {single: getattr(plan, kind) for kind, single in _KINDS.items()}
    total = dict.fromkeys(_KINDS, 0)
    try:
        with file.open(encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                single = entry.pop("type")
                if single == "counts":
                    plan.counts = entry["tables"]
                    continue
                kind = next(k for k, s in _KINDS.items() if s == single)
                total[kind] += 1
                if not limit or total[kind] <= limit:
                    kinds[single].append(entry)
    except FileNotFoundError:
        raise ConfigError.of("E_PLAN_MISSING", file=str(file)) from None
    except OSError as error:
        raise ConfigError.of("E_PLAN_NOT_READABLE", file=str(file), reason=error.strerror) from None
    except (ValueError, KeyError, AttributeError, StopIteration):
        raise ConfigError.of("E_PLAN_FOREIGN", file=str(file)) from None
    plan.left_out = {kind: number - limit for kind, number in total.items() if limit and number > limit}
    return plan


def last_plan_file(settings: Settings) -> Path | None:
    """Where a dry run keeps its whole plan for `target-crm-admin plan`; None where the user has no home directory.

    One file for each database and schema: $XDG_STATE_HOME/target-crm, else ~/.local/state/target-crm.
    """
    if settings.plan_file is not None:
        return settings.plan_file
    where = settings.database_url or str(settings.data_dir.expanduser().resolve())
    name = hashlib.sha256(f"{where}\0{settings.crm_schema}".encode()).hexdigest()[:16]
    base = os.environ.get("XDG_STATE_HOME")
    try:
        folder = Path(base) if base else Path.home() / ".local" / "state"
    except RuntimeError:
        return None
    return folder / "target-crm" / f"last-plan-{name}.jsonl"


def _write(lines: IO[str], kind: str, entries: Iterable[dict[str, Any]]) -> None:
    for entry in entries:
        lines.write(json.dumps({"type": kind, **entry}, ensure_ascii=False, default=str) + "\n")
