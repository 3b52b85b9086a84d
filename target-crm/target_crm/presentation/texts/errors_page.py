"""Makes docs/errors.md out of the registry of codes: `python -m target_crm.presentation.texts.errors_page`."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

from target_crm.presentation.texts.command_problems import COMMAND_PROBLEMS
from target_crm.presentation.texts.problems import RECORD_PROBLEMS
from target_crm.presentation.texts.run_problems import RUN_PROBLEMS
from target_crm.presentation.texts.text import Text

_HEAD = """# Codes of errors and warnings

Rejects (`sync_rejects`), warnings (`sync_warnings`) and notices of a run (`sync_runs.notices`) carry a code and its
arguments (`args`); the texts that people read are made of both. `E_...`: a record or a line was rejected, the rest of
the run was loaded. `W_...`: a value was left out, or something else should be looked at; the record was loaded.

"""
_RUNS = """
## Loads

Errors that end a load with exit code 1. What was committed stays, and `sync_runs.notices` keeps the code with its
arguments. `said` are the database's own words.

"""
_COMMANDS = """
## Commands and pages

Errors that a command or a page of target-crm ends with. A command prints one sentence on standard error and exits with
code 1; nothing was changed.

"""
_TABLE = "| code | meaning | remedy |\n| --- | --- | --- |\n"


def errors_page() -> str:
    """The page: tables of all codes."""
    return _HEAD + _table(RECORD_PROBLEMS) + _RUNS + _table(RUN_PROBLEMS) + _COMMANDS + _table(COMMAND_PROBLEMS)


def _table(problems: Mapping[str, Text]) -> str:
    rows = (f"| `{code}` | {_cell(text.en)} | {_cell(text.remedy)} |\n" for code, text in problems.items())
    return _TABLE + "".join(rows)


def _cell(text: str) -> str:
    text = re.sub(r"\[\[(.*?)(?:\|\|.*?)?\]\]", r"\1", text)
    return text.replace("{", "`").replace("}", "`").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(errors_page())
