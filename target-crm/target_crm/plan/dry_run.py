"""The end of a dry run: its plan is read, kept in a file, and shown."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from target_crm.config.settings import Settings
from target_crm.errors import ConfigError
from target_crm.load.load import Load
from target_crm.plan.file import last_plan_file, write_plan_file
from target_crm.plan.journal import Plan, read_plan
from target_crm.plan.text import plan_block, print_plan
from target_crm.presentation.terminal import make_console

logger = logging.getLogger("target-crm")


def show_plan(plan: Plan, hint: str) -> None:
    """Show a person what a dry run would have done; standard output is for STATE only.

    Under an orchestrator that reads structured logs (Meltano) the plan is one message: it would put a prefix before
    each line of anything else.
    """
    if os.environ.get("SINGER_SDK_LOG_CONFIG"):
        logger.info("The plan:\n%s", plan_block(plan, hint))
    else:
        print_plan(plan, make_console(stderr=True), hint)


def finish_dry_run(load: Load, settings: Settings, limit: int, *, keep: bool) -> tuple[Plan, str]:
    """Read the plan of a load whose transaction is still open; the plan, and how to see what is left out of it.

    With `keep` the whole of it goes into a file.

    Raises:
        ConfigError: `plan_file` can't be written.
    """
    counts, schema = load.counts_document(), settings.crm_schema
    plan = read_plan(load.connection, schema, load.run_id, counts, limit, load.kept_cells)
    return plan, _keep(load, settings, counts, is_whole=not plan.left_out) if keep else ""


def _keep(load: Load, settings: Settings, counts: dict[str, dict[str, int]], *, is_whole: bool) -> str:
    file = last_plan_file(settings)
    if file is not None:
        try:
            write_plan_file(file, load.connection, settings.crm_schema, load.run_id, counts, load.kept_cells)
        except OSError as error:
            if settings.plan_file is not None:
                raise ConfigError.of("E_PLAN_NOT_WRITTEN", file=str(file), reason=error.strerror) from None
            file = None
    if settings.plan_file is not None:
        logger.info("The whole plan was written to %s.", Path(settings.plan_file))
        return f"The whole plan: {settings.plan_file}"
    if file is None:
        return "Set plan_file to have the whole plan in a file."
    return "" if is_whole else "The whole plan: target-crm-admin plan --limit 0"
