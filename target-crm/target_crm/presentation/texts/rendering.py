"""Renders the texts of problems from their codes and arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from target_crm.presentation.texts.problems import PROBLEMS

_LONGEST = 200
# The database's own words, and a problem within another one, are sentences.
_LONGEST_SENTENCE, _SENTENCES = 1000, ("said", "problem")
_PARAMETER = re.compile(r"\{(\w+)\}")
# What is left out where an argument in it is empty, and what is shown instead.
_OPTIONAL = re.compile(r"\[\[(.*?)(?:\|\|(.*?))?\]\]")


def parameters(code: str) -> set[str]:
    """The names of a code's arguments, those of its remedy included.

    Raises:
        KeyError: there is no such code.
    """
    return set(_PARAMETER.findall(PROBLEMS[code].en + PROBLEMS[code].remedy))


def problem_text(code: str | None, args: Mapping[str, Any] | None, language: str = "en", default: str = "") -> str:
    """What happened, in one of `LANGUAGES`; `default` for a code of another version."""
    known = PROBLEMS.get(code or "")
    if known is None:
        return default or str(code)
    text = known.en if language == "en" else known.ru
    return _filled(text, args or {})


def remedy_text(code: str | None, args: Mapping[str, Any] | None = None, language: str = "en") -> str:
    """What to do about it, in one of `LANGUAGES`; empty for a code of another version."""
    known = PROBLEMS.get(code or "")
    return "" if known is None else _filled(known.remedy if language == "en" else known.remedy_ru, args or {})


def whole_text(code: str | None, args: Mapping[str, Any] | None = None, language: str = "en") -> str:
    """What happened and what to do about it, in one of `LANGUAGES`."""
    return f"{problem_text(code, args, language)} {remedy_text(code, args, language)}".strip()


def _filled(text: str, args: Mapping[str, Any]) -> str:
    """A text with its arguments. It may leave some out: PostgreSQL's and the parser's own words are English."""

    def chosen(part: re.Match[str]) -> str:
        given = all(args.get(name) not in (None, "", [], ()) for name in _PARAMETER.findall(part[1]))
        return part[1] if given else part[2] or ""

    text = _OPTIONAL.sub(chosen, text)
    return text.format(**{name: _shown(name, args.get(name)) for name in _PARAMETER.findall(text)}).strip()


def _shown(name: str, value: Any) -> str:
    """An argument as the texts show it: amoCRM's values as JSON, names as they are; both cut."""
    if value is None and name != "value":
        return ""
    if name == "value":
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    most = _LONGEST_SENTENCE if name in _SENTENCES else _LONGEST
    return text if len(text) <= most else text[: most - 1] + "…"
