"""Plans of files of Singer messages, for the commands that show them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

from target_crm.config.settings import Settings
from target_crm.plan.file import keep_plan
from target_crm.plan.index import is_plan
from target_crm.plan.journal import Plan


def plan_of_messages(settings: Settings, messages: IO[str], limit: int) -> Plan:
    """The plan; where there is no database yet, as it would be in a new one, which is removed again."""
    # The load's own program, with the SDK, is needed by no other subcommand.
    from target_crm.target import plan_of

    if settings.database_url is not None or (settings.data_dir.expanduser() / "PG_VERSION").exists():
        return plan_of(settings, messages, limit)
    with tempfile.TemporaryDirectory(prefix="crm") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server runs under a separate user where it is started by root
        return plan_of(replace(settings, data_dir=folder / "pg"), messages, limit)


@contextmanager
def plan_file_of(settings: Settings, file: Path) -> Iterator[Path]:
    """The file itself where it is a plan; where it holds Singer messages a file of their plan, removed at the end.

    Raises:
        ConfigError: the file can't be read.
        TargetError: as the load.
    """
    if is_plan(file):
        yield file
        return
    with file.open(encoding="utf-8") as messages:
        plan = plan_of_messages(replace(settings, dry_run=True, plan_file=None), messages, 0)
    with tempfile.TemporaryDirectory(prefix="plan") as folder:
        kept = Path(folder) / "plan.jsonl"
        keep_plan(kept, plan)
        yield kept
