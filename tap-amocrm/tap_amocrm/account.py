"""What kind of account this is, and what a run has found out about it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

from tap_amocrm.client import Ask, Page

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

    def annotation(self) -> dict[str, Any]:
        """What SCHEMA messages say about the account."""
        return {"id": self.id, "timezone": self.timezone, "subdomain": self.subdomain}

    def ignores(self, filter_name: str, instead: str) -> None:
        """Note that a filter is ignored; said once a run."""
        if self.honours.get(filter_name) is not False:
            logger.info("This account ignores %s; %s instead.", filter_name, instead)
        self.honours[filter_name] = False


ACCOUNT = Ask("account", "/api/v4/account", (("with", "is_api_filter_enabled,datetime_settings"),))


def account_of(page: Page) -> Account:
    """What `GET /api/v4/account` says that a sync needs to know."""
    body = page.body
    embedded = body.get("_embedded")
    settings = embedded.get("datetime_settings") if isinstance(embedded, dict) else None
    settings = settings or body.get("datetime_settings") or {}
    # Where the flag is absent the filters are tried; what comes back is checked in any case.
    return Account(
        id=int(body["id"]),
        subdomain=str(body.get("subdomain") or ""),
        timezone=str(settings.get("timezone") or "UTC"),
        filter_package=body.get("is_api_filter_enabled") is not False,
        customers=body.get("customers_mode") != "disabled",
    )
