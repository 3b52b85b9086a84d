"""The page's words, in its reader's language."""

from __future__ import annotations

from datetime import tzinfo

from starlette.requests import Request

from target_crm.presentation.texts import LANGUAGES, Texts
from target_crm.presentation.texts.page import TEXTS

LANGUAGE_COOKIE = "target-crm-language"


def language_of(request: Request) -> str:
    """The language that was chosen, else the first that the browser asks for and the page speaks, else English."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    for wanted in request.headers.get("accept-language", "").split(","):
        name = wanted.partition(";")[0].partition("-")[0].strip().lower()
        if name in LANGUAGES:
            return name
    return "en"


def texts_for(request: Request, zone: tzinfo | None = None) -> Texts:
    """The page's texts in the reader's language, times in a zone."""
    return Texts(language_of(request), TEXTS, zone)
