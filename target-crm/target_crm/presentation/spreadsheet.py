"""Text that a spreadsheet opens as text, and never works out."""

from __future__ import annotations

import re

# What spreadsheets take for a formula begins with one of these, the wide forms in some languages. A number, a phone
# and a date may begin with a sign: they are of digits and separators alone.
_FORMULA = re.compile(r"^(?:[=@\t\r\n\uff1d\uff20]|[+\-\uff0b\uff0d](?![\d\s().,:-]*$))")


def as_text(value: str) -> str:
    """The value as a cell of CSV: with an apostrophe before what a spreadsheet would take for a formula."""
    return f"'{value}" if _FORMULA.match(value) else value
