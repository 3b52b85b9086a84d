"""Makes the tap's section of docs/errors.md: `python -m tap_amocrm.errors_page`."""

from __future__ import annotations

import re
import sys

from tap_amocrm.error_codes import CODES, ErrorCode

HEADING = "## tap-amocrm"
_HEAD = f"""{HEADING}

An error of the tap ends its run with one line in the log, which ends with the code in brackets; logs in JSON carry
code, parameters and the text in Russian (`error_code`, `error_parameters`, `error_text_ru`). What was loaded stays, and
the next run goes on from there. Exit codes of all its commands: 0, all was read; 1, one of these errors; 2, the command
line is wrong; 128 and the signal's number, stopped by a signal (143 for SIGTERM).

| code | meaning | parameters | remedy |
| --- | --- | --- | --- |
"""


_PROBLEMS = """
`problem` is one of these words:

| code | problem | meaning | по-русски |
| --- | --- | --- | --- |
"""


def errors_section() -> str:
    """The section: a table of all codes, and one of what their parameter `problem` may be."""
    problems = "".join(
        f"| `{code.code}` | `{name}` | {_braced(text.en)} | {_braced(text.ru)} |\n"
        for code in CODES.values()
        for name, text in (code.problems or {}).items()
    )
    return _HEAD + "".join(_row(code) for code in CODES.values()) + _PROBLEMS + problems


def _braced(text: str) -> str:
    return re.sub(r"\{(\w+)\}", r"`\1`", text)


def _row(code: ErrorCode) -> str:
    parameters = ", ".join(f"`{name}`" for name in code.parameters)
    return f"| `{code.code}` | {code.meaning.en} | {parameters} | {code.remedy.en} |\n"


if __name__ == "__main__":
    sys.stdout.write(errors_section())
