"""What kind of account this is, and what a run has found out about it."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tap_amocrm.declarations import DECLARATIONS, Reading
from tap_amocrm.errors import TapError
from tap_amocrm.http.client import Ask, Page
from tap_amocrm.shapes import Record, embedded, items, text, whole

logger = logging.getLogger("tap-amocrm")


@dataclass
class Account:
    """Facts of the account. `honours` holds what a filter was seen to do: True, False, or absent when not tried."""

    id: int
    subdomain: str
    timezone: str
    filter_package: bool
    customers: bool = True
    honours: dict[str, bool] = field(default_factory=dict)
    # Lists that come within the account's own record.
    lists: dict[str, list[Record]] = field(default_factory=dict)

    def annotation(self, api_url: str) -> dict[str, Any]:
        """What SCHEMA messages say about the account. `url` is its address in the browser, where its cards are."""
        parts = urlsplit(api_url)
        url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return {"id": self.id, "timezone": self.timezone, "subdomain": self.subdomain, "url": url}

    def ignores(self, filter_name: str, instead: str) -> None:
        """Note that a filter is ignored; said once a run."""
        if self.honours.get(filter_name) is not False:
            logger.info("This account ignores %s; %s instead.", filter_name, instead)
        self.honours[filter_name] = False


_LISTS = tuple(d.name for d in DECLARATIONS if d.reading is Reading.ACCOUNT)
_WITH = ",".join(("is_api_filter_enabled", "datetime_settings", *_LISTS))
ACCOUNT = Ask("account", "/api/v4/account", (("with", _WITH),), promised=True)
# Days of an account whose zone is not known begin at midnight of this one.
_NO_ZONE = "UTC"


def account_of(page: Page) -> Account:
    """What `GET /api/v4/account` says that a sync needs to know.

    Raises:
        TapError: the answer has no id; records cannot be identified without it.
    """
    body = dict(page.body)
    account_id = whole(body.get("id"))
    if account_id is None:
        msg = "/api/v4/account: the answer has no account id. Check api_url: it must be the address of one account."
        raise TapError(msg)
    timezone = _timezone(body)
    if timezone is None:
        logger.warning("The account has no time zone; its dates are read in UTC.")
    # Where the flag is absent the filters are tried; what comes back is checked in any case.
    return Account(
        id=account_id,
        subdomain=text(body.get("subdomain")),
        timezone=timezone or _NO_ZONE,
        filter_package=body.get("is_api_filter_enabled") is not False,
        customers=body.get("customers_mode") != "disabled",
        lists={name: embedded(body, name) or items(body.get(name)) for name in _LISTS},
    )


def _timezone(body: Record) -> str | None:
    """The zone's name from wherever it is given: the settings of dates, `_embedded` or the top level."""
    inner = body.get("_embedded")
    places = [place for place in (inner, body) if isinstance(place, dict)]
    places = [p["datetime_settings"] for p in places if isinstance(p.get("datetime_settings"), dict)] + places
    names = (text(place.get("timezone")).strip() for place in places)
    found = next((name for name in names if name), None)
    return found or next((zone for place in places if (zone := _fixed_zone(place.get("timezone_offset")))), None)


def _fixed_zone(offset: Any) -> str | None:
    """The zone of an offset in whole hours such as `+03:00`; the names of these zones have the sign reversed."""
    match = re.fullmatch(r"([+-])(\d\d?):?00", text(offset).strip())
    if match is None or int(match[2]) > 12:
        return None
    hours = int(match[2])
    return f"Etc/GMT{'-' if match[1] == '+' else '+'}{hours}" if hours else _NO_ZONE
