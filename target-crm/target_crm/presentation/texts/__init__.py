"""What people read, in their language: texts, numbers and times."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from target_crm.presentation.formats import grouped, moment_text, plural
from target_crm.presentation.texts.rendering import problem_text, remedy_text

LANGUAGES = ("en", "ru")


class Texts:
    """Texts of one language: `texts("key", n=5)`; a key that is missing is an error.

    Args:
        language: One of `LANGUAGES`.
        catalogue: The texts by key, in the order of `LANGUAGES`.
        zone: The zone in which times are shown; without one in UTC, which is then named.
    """

    def __init__(self, language: str, catalogue: Mapping[str, tuple[str, str]], zone: tzinfo | None = None) -> None:
        self.language = language
        self.zone = zone
        self._catalogue = catalogue
        self._place = LANGUAGES.index(language)

    def __call__(self, key: str, **given: Any) -> str:
        """A text with its figures put in.

        Raises:
            KeyError: there is no such text.
        """
        text = self._catalogue[key][self._place]
        figures = {k: self.n(v) for k, v in given.items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        return text.format(**{**given, **figures}) if given else text

    def __contains__(self, key: str) -> bool:
        return key in self._catalogue

    def of(self, kind: str, name: Any) -> str:
        """The word for one of the tables' own names (`status`, `succeeded`), or that name as it is."""
        key = f"{kind}_{str(name).replace(' ', '_')}"
        return self(key) if key in self._catalogue else str(name)

    def many(self, key: str, n: int, *, most: int | None = None, **given: Any) -> str:
        """A text whose forms go with a number: `{n} new record|{n} new records`; one that was counted up to `most` + 1.

        Raises:
            KeyError: there is no such text.
        """
        form = plural(self.language, n, self._catalogue[key][self._place])
        return form.format(n=self.n(n) if most is None else self.up_to(n, most), **given)

    def n(self, number: int | float) -> str:
        """A number with its thousands apart."""
        return grouped(self.language, number if isinstance(number, int) else round(number, 1))

    def ms(self, seconds: float) -> str:
        """A short time in milliseconds, without its unit."""
        return self.n(round(seconds * 1000))

    def up_to(self, number: int, most: int) -> str:
        """A number that was counted up to `most` + 1."""
        return self.n(number) if number <= most else self("more_than", n=most)

    def when(self, moment: datetime, *, seconds: bool = False) -> str:
        """A time, to the minute or the second."""
        return moment_text(self.language, moment, self.zone, seconds=seconds)

    def span(self, seconds: float) -> str:
        """A time span as people say it: 40 s, 12 min, 7 h, 3 d."""
        units = {"d": (86_400, "дн."), "h": (3600, "ч"), "min": (60, "мин"), "s": (1, "с")}
        name = next((n for n, (size, _) in units.items() if seconds >= (2 * size if n in "dh" else size)), "s")
        size, russian = units[name]
        return f"{self.n(int(seconds // size))}\u00a0{name if self.language == 'en' else russian}"

    def age(self, seconds: float) -> str:
        """How long ago."""
        return f"{self.span(seconds)} {'ago' if self.language == 'en' else 'назад'}"

    def problem(self, entry: Mapping[str, Any]) -> str:
        """What is wrong, of a reject or a warning: from its code and arguments, or as it was written."""
        return problem_text(entry["code"], entry["args"], self.language, str(entry.get("error") or ""))

    def failure(self, run: Mapping[str, Any]) -> str:
        """Why a run failed, where none of its notices says so; earlier versions wrote it in English alone."""
        told = any(str(notice["code"]).startswith("E_") for notice in run["notices"])
        if not run["error"] or told:
            return ""
        return str(run["error"]) if self.language == "en" else self("failure_in_english")

    def remedy(self, entry: Mapping[str, Any]) -> str:
        """What to do about a reject or a warning."""
        return remedy_text(entry["code"], entry["args"], self.language)
