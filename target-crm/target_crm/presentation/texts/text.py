"""The four texts of a code."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """What happened in English and Russian, what to do in English and Russian."""

    en: str
    ru: str
    remedy: str
    remedy_ru: str
