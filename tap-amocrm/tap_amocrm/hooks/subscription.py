"""The account's subscription to webhooks: made, looked after, and taken back."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tap_amocrm.errors import ConfigError, TapError
from tap_amocrm.http.client import Ask, Client
from tap_amocrm.shapes import Record, items

logger = logging.getLogger("tap-amocrm")
_PATH = "/api/v4/webhooks"
_ACTIONS = ("add", "update", "delete", "restore", "responsible", "note")
# What is asked for: developers.kommo.com, "Webhooks", list of events.
SETTINGS = (
    *(f"{action}_{entity}" for entity in ("contact", "company", "lead") for action in _ACTIONS),
    "status_lead",
    "add_task",
    "update_task",
    "delete_task",
    "responsible_task",
)
_SECRET = re.compile(r"[A-Za-z0-9_-]{20,200}")
# amoCRM switches a receiver off that did not answer for some time; nothing says so.
SECONDS_BETWEEN_LOOKS = 1800.0


@dataclass(frozen=True)
class Place:
    """Where amoCRM calls: the public address, and the secret behind it."""

    url: str | None
    secret: str

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Place:
        """The place that the settings name.

        Raises:
            ConfigError: a setting is missing or wrong.
        """
        secret, url = str(config.get("hooks_secret") or ""), config.get("hooks_url")
        if not _SECRET.fullmatch(secret):
            msg = "Setting hooks_secret must be 20 to 200 letters, digits, - and _: openssl rand -hex 20 makes one."
            raise ConfigError(msg, setting="hooks_secret", problem="format")
        if url is not None and (urlsplit(str(url)).scheme not in ("http", "https") or not urlsplit(str(url)).hostname):
            msg = "Setting hooks_url must be an address that amoCRM can reach: https://crm.example.com/amocrm-hooks."
            raise ConfigError(msg, setting="hooks_url", problem="format")
        return cls(None if url is None else str(url).rstrip("/"), secret)

    @property
    def destination(self) -> str:
        """The address that amoCRM is given.

        Raises:
            ConfigError: `hooks_url` is missing.
        """
        if self.url is None:
            msg = "Setting hooks_url is missing: the address at which amoCRM reaches tap-amocrm-hooks."
            raise ConfigError(msg, setting="hooks_url", problem="missing")
        return f"{self.url}/{self.secret}"


class Subscription:
    """One subscription of the account.

    Args:
        client: Sends the requests.
        place: Where amoCRM is to call.
    """

    def __init__(self, client: Client, place: Place) -> None:
        self._client, self._place = client, place

    def find(self) -> Record | None:
        """The subscription as the account lists it, None where there is none.

        Raises:
            TapError: the account can't be read, or its user may not.
        """
        destination = self._place.destination
        page = self._client.get(Ask("webhooks", _PATH, key="webhooks"))
        found = [r for r in items(page.records("webhooks")) if r.get("destination") == destination]
        return found[0] if found else None

    def ensure(self) -> bool:
        """Subscribe where there is no subscription, or one that is switched off or asks for less; whether it did.

        Raises:
            TapError: as `find`.
        """
        known = self.find()
        asked = known.get("settings") if known is not None else None
        if known is not None and not known.get("disabled") and set(SETTINGS) <= set(asked or ()):
            return False
        self._client.change("POST", _PATH, {"destination": self._place.destination, "settings": list(SETTINGS)})
        return True

    def remove(self) -> bool:
        """Take the subscription back; whether there was one.

        Raises:
            TapError: as `find`.
        """
        if self.find() is None:
            return False
        self._client.change("DELETE", _PATH, {"destination": self._place.destination})
        return True

    def look_after(self, stopped: threading.Event) -> None:
        """Subscribe again whenever amoCRM has switched the receiver off; until `stopped`."""
        while True:
            try:
                if self.ensure():
                    logger.info("Subscribed to the account's webhooks.")
            except TapError as error:
                logger.warning("The subscription to webhooks can't be checked: %s", error.message)
            if stopped.wait(SECONDS_BETWEEN_LOOKS):
                return
