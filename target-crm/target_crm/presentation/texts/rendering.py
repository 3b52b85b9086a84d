"""Renders the texts of problems from their codes and arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from target_crm.presentation.texts.problems import PROBLEMS

_LONGEST = 200
_PARAMETER = re.compile(r"\{(\w+)\}")


def parameters(code: str) -> set[str]:
    """The names of a code's arguments.

    Raises:
        KeyError: there is no such code.
    """
    return set(_PARAMETER.findall(PROBLEMS[code].en))


def problem_text(code: str | None, args: Mapping[str, Any] | None, language: str = "en", default: str = "") -> str:
    """What happened, in one of `LANGUAGES`; `default` for a code of another version."""
    known = PROBLEMS.get(code or "")
    if known is None:
        return default or str(code)
    text = known.en if language == "en" else known.ru
    # A text may leave arguments out: PostgreSQL's and the parser's own words are English.
    shown = {name: _shown(name, (args or {}).get(name)) for name in _PARAMETER.findall(text)}
    return text.format(**shown).strip()


def remedy_text(code: str | None, language: str = "en") -> str:
    """What to do about it, in one of `LANGUAGES`; empty for a code of another version."""
    known = PROBLEMS.get(code or "")
    return "" if known is None else known.remedy if language == "en" else known.remedy_ru


def whole_text(code: str | None, args: Mapping[str, Any] | None = None, language: str = "en") -> str:
    """What happened and what to do about it, in one of `LANGUAGES`."""
    return f"{problem_text(code, args, language)} {remedy_text(code, language)}".strip()


def _shown(name: str, value: Any) -> str:
    """An argument as the texts show it: amoCRM's values as JSON, names as they are; both cut."""
    if value is None and name != "value":
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str) if name == "value" else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
