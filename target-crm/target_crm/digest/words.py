"""The digest's words, with numbers, days and spans as the reader's language writes them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo

from babel.dates import format_date, format_time, format_timedelta
from babel.lists import format_list
from babel.numbers import format_decimal

from target_crm.presentation.texts import Texts
from target_crm.presentation.texts.digest import TEXTS

# English with the day before the month and 24 hours, as the review page has it.
_LOCALES = {"en": "en_GB", "ru": "ru"}


class Words(Texts):
    """Texts of the digest in one language.

    Args:
        language: One of `LANGUAGES`.
        zone: The zone in which times are shown; without one in UTC, which is then named.
    """

    def __init__(self, language: str, zone: tzinfo | None = None) -> None:
        super().__init__(language, TEXTS, zone)
        self.locale = _LOCALES[language]

    def n(self, number: int | float) -> str:
        """A number with its thousands apart."""
        return str(format_decimal(number, locale=self.locale))

    def when(self, moment: datetime, *, seconds: bool = False) -> str:
        """A time, to the minute or the second."""
        local = moment.astimezone(self.zone or timezone.utc)
        day = format_date(local.date(), "medium", locale=self.locale)
        clock = format_time(local.time(), "medium" if seconds else "short", locale=self.locale)
        return f"{day}, {clock}" + ("" if self.zone else " UTC")

    def day(self, moment: datetime) -> str:
        """The day of a time."""
        return str(format_date(moment.astimezone(self.zone or timezone.utc).date(), "medium", locale=self.locale))

    def span(self, seconds: float) -> str:
        """A time span in words: 40 seconds, 12 minutes, 7 hours, 3 days."""
        return str(format_timedelta(timedelta(seconds=seconds), threshold=1.5, locale=self.locale))

    def age(self, seconds: float) -> str:
        """How long ago, in words."""
        return str(format_timedelta(timedelta(seconds=-max(seconds, 1)), add_direction=True, threshold=1.5,
                                    locale=self.locale))  # fmt: skip

    def listed(self, parts: list[str]) -> str:
        """Several things in a sentence."""
        return str(format_list(parts, locale=self.locale))
