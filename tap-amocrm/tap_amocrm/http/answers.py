"""Requests, and the check of their answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from tap_amocrm.http.clean_text import clean, may_be_unclean
from tap_amocrm.shapes import items, whole

logger = logging.getLogger("tap-amocrm")
Params = list[tuple[str, str]]


class _Constant(float):
    """Stands for NaN and Infinity until the property that holds it is left out; in a list it becomes null."""


_CONSTANT = _Constant("nan")
# Python refuses to read or write whole numbers of more than 4,300 digits.
_MOST_DIGITS = 4300


@dataclass(frozen=True)
class Ask:
    """One request.

    Args:
        stream: The stream that needs it.
        path: Below the account's address, or below `base`.
        params: The query.
        promised: Records are expected, so a 204 is requested again before it is accepted.
        rank: Requests with a lower rank are sent first.
        key: The list that the answer must hold under `_embedded`; empty if a single object with an `id` is requested.
        base: Another host of the account (`api.drive`), which also receives the token; empty for the account itself.
    """

    stream: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    promised: bool = False
    rank: int = 0
    key: str = ""
    base: str = ""


@dataclass(frozen=True)
class Page:
    """The body of an answer (empty after 204), and the bounds of the server time at which it was made, in Unix
    seconds."""

    body: Mapping[str, Any]
    sent: float = 0.0
    received: float = 0.0

    def records(self, key: str) -> list[dict[str, Any]]:
        """The records under `_embedded`."""
        if not self.body:
            return []
        found = self.body["_embedded"][key]
        records = [record for record in found if isinstance(record, dict)]
        if len(records) < len(found):
            logger.warning("The list %s holds entries that are not objects; they were left out.", key)
        return records

    @property
    def next_params(self) -> Params | None:
        """The query of `_links.next`; its host is ignored, because it may differ from the requested one."""
        link = _next(self.body)
        return None if link is None else parse_qsl(urlsplit(link["href"]).query, keep_blank_values=True)


class UnusableError(Exception):
    """A request must be repeated: the reason, seconds to wait if the service names them, and the number of tries."""

    def __init__(self, reason: str, wait: float | None = None, tries: int = 8) -> None:
        super().__init__(reason)
        self.wait, self.tries = wait, tries


def body_of(ask: Ask, content: bytes, *, raw_text: bool = False) -> dict[str, Any]:
    """The checked body of a 200: anything except the requested list is an error, not an empty list.

    Unless `raw_text` is set, characters that consumers can't process are removed from text.

    Raises:
        UnusableError: it is not what was requested.
    """
    try:
        body, unclean = msgspec.json.decode(content), may_be_unclean(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body, unclean = _lenient(content), True
    if unclean and not raw_text:
        body = clean(body)
    if not isinstance(body, dict):
        problem = "a body that is not a JSON object"
        raise UnusableError(problem)
    if not ask.key:
        if whole(body.get("id")) is None:
            # Probably the address of another service: a retry does not help.
            problem = "a body whose ID is not a whole number"
            raise UnusableError(problem, tries=3)
        return body
    embedded = body.get("_embedded")
    records = embedded.get(ask.key) if isinstance(embedded, dict) else None
    if isinstance(embedded, dict) and isinstance(records, dict) and items(records):
        records = embedded[ask.key] = items(records)  # a list with gaps, as PHP writes it
    if not isinstance(records, list) or (records and not any(isinstance(r, dict) for r in records)):
        problem = f"a body without a list of {ask.key}"
        raise UnusableError(problem)
    _next(body)
    return body


def _next(body: Mapping[str, Any]) -> Mapping[str, str] | None:
    links = body.get("_links")
    if links in (None, [], {}):
        return None
    link = links.get("next") if isinstance(links, dict) else links
    if link is None:
        return None
    if not isinstance(link, dict) or not isinstance(link.get("href"), str):
        problem = "a link to the next page that can't be read"
        raise UnusableError(problem)
    return link


def _lenient(content: bytes) -> Any:
    """Decode a body that a strict decoder refuses: lone surrogates are accepted, half a body is not.

    `NaN` and `Infinity` are not JSON, and Python reads no whole number of thousands of digits, but they must not block
    all other records: a property with one is left out, as if it had not been sent. Null would mean that it is empty.
    Control characters in texts are accepted.
    """
    found: list[str] = []

    def without_constants(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found.extend(name for name, value in pairs if value is _CONSTANT)
        return {name: value for name, value in pairs if value is not _CONSTANT}

    try:
        body = json.loads(
            content,
            strict=False,
            parse_int=lambda text: int(text) if len(text) <= _MOST_DIGITS else _CONSTANT,
            parse_constant=lambda _: _CONSTANT,
            object_pairs_hook=without_constants,
        )
    except (ValueError, RecursionError):
        problem = "an unreadable body"
        raise UnusableError(problem) from None
    if found:
        names = ", ".join(sorted(set(found)))[:200]
        logger.warning("Properties that hold NaN or Infinity, or too many digits, are left out: %s.", names)
    return body
