"""The page's words: which language is wanted, numbers and times as it writes them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.requests import Request

from target_crm.reasons import plain_reason
from target_crm.web.catalogue import TEXTS

LANGUAGES = ("en", "ru")
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


class Texts:
    """Texts of one language: `texts("key", n=5)`; a key that is missing is an error, as it is nobody's name."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._place = LANGUAGES.index(language)

    def __call__(self, key: str, **given: Any) -> str:
        """A text with its figures put in.

        Raises:
            KeyError: there is no such text.
        """
        text = TEXTS[key][self._place]
        shown = {k: self.n(v) if isinstance(v, int) and not isinstance(v, bool) else v for k, v in given.items()}
        return text.format(**shown) if given else text

    def __contains__(self, key: str) -> bool:
        return key in TEXTS

    def of(self, kind: str, name: Any) -> str:
        """The word for one of the tables' own names (`status`, `succeeded`), or that name as it is."""
        key = f"{kind}_{str(name).replace(' ', '_')}"
        return self(key) if key in TEXTS else str(name)

    def n(self, number: int | float) -> str:
        """A number with its thousands apart."""
        text = f"{number:,}" if isinstance(number, int) else f"{number:,.1f}"
        return text if self.language == "en" else text.replace(",", "\u00a0").replace(".", ",")

    def up_to(self, number: int, most: int) -> str:
        """A number that was counted up to `most` + 1."""
        return self.n(number) if number <= most else self("more_than", n=most)

    def when(self, moment: datetime) -> str:
        """A time, to the minute, in UTC."""
        return moment.strftime("%Y-%m-%d %H:%M" if self.language == "en" else "%d.%m.%Y %H:%M") + " UTC"

    def reason(self, error: str) -> str:
        """Why a record was put aside, in plain words; what is not known is shown as it was written."""
        return plain_reason(error, self.language)
