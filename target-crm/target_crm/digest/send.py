"""Sends a message by Apprise to the addresses that a person configured: e-mail, Telegram, webhooks and others.

The addresses hold passwords and tokens: nothing of them reaches a log or an error, only what kind of service each is.
"""

from __future__ import annotations

import logging

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

from target_crm.errors import ConfigError, DeliveryError

_MAIL = ("mailto", "mailtos")


def send(urls: str, title: str, text: str, html: str, *, is_bad: bool) -> list[str]:
    """Send to all addresses; the names of the services that took it.

    Args:
        urls: Apprise's addresses with blanks or commas between.
        title: The subject.
        text: The message for services that show plain text.
        html: The message for e-mail.
        is_bad: Whether something is wrong; services show that by a colour or a sign.

    Raises:
        ConfigError: an address can't be read.
        DeliveryError: a service did not take it; the others did.
    """
    _keep_quiet()
    asset = AppriseAsset(app_id="target-crm", app_desc="target-crm")
    services = Apprise(asset=asset)
    if not services.add(urls) or not len(services):
        raise ConfigError.of("E_DIGEST_ADDRESS")
    taken: list[str] = []
    refused: list[str] = []
    for service in services:
        one = Apprise(asset=asset)
        one.add(service)
        as_html = bool(set(_MAIL) & set(_schemes(service)))
        good = one.notify(
            body=html if as_html else text,
            title=title,
            notify_type=NotifyType.WARNING if is_bad else NotifyType.INFO,
            body_format=NotifyFormat.HTML if as_html else NotifyFormat.TEXT,
        )
        (taken if good else refused).append(str(service.service_name))
    if refused:
        raise DeliveryError.of("E_DIGEST_NOT_SENT", services=", ".join(refused))
    return taken


def _schemes(service: object) -> list[str]:
    found = []
    for name in ("protocol", "secure_protocol"):
        value = getattr(service, name, None) or ()
        found += [value] if isinstance(value, str) else list(value)
    return found


def _keep_quiet() -> None:
    """Apprise logs addresses and answers; neither is for a log."""
    log = logging.getLogger("apprise")
    log.propagate = False
    log.setLevel(logging.CRITICAL + 1)
    if not log.handlers:
        log.addHandler(logging.NullHandler())
