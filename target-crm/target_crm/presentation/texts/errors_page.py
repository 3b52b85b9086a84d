"""Makes docs/errors.md out of the registry of codes: `python -m target_crm.presentation.texts.errors_page`."""

from __future__ import annotations

import sys

from target_crm.presentation.texts.problems import PROBLEMS

_HEAD = """# Codes of errors and warnings

Rejects (`sync_rejects`), warnings (`sync_warnings`) and notices of a run (`sync_runs.notices`) carry a code and its
arguments (`args`); the texts that people read are made of both. `E_...`: a record or a line was rejected, the rest of
the run was loaded. `W_...`: a value was left out, or something else should be looked at; the record was loaded.

| code | meaning | remedy |
| --- | --- | --- |
"""


def errors_page() -> str:
    """The page: a table of all codes."""
    rows = (f"| `{code}` | {_cell(text.en)} | {_cell(text.remedy)} |" for code, text in PROBLEMS.items())
    return _HEAD + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("{", "`").replace("}", "`").replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(errors_page())
