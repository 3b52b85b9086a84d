"""What a webhook says, and no more than that: kinds of records and their IDs.

The body is a form with nested names, `contacts[update][0][id]=123` (developers.kommo.com, "Webhooks"). It carries no
signature, comes late, twice, out of order or never. So nothing of it is used but what to read next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl

from tap_amocrm.declarations import DELETED_RECORDS, ENTITIES
from tap_amocrm.shapes import whole

# One call names a few records; whoever sends thousands is not amoCRM.
MOST_FIELDS = 20_000
MOST_HINTS = 1000
# What the bodies call the kinds of records.
_KINDS = {"contacts": "contacts", "companies": "companies", "leads": "leads", "task": "tasks", "tasks": "tasks"}
_NAME = re.compile(r"([a-z]+)\[([a-z_]+)\]\[\d+\](?:\[note\])?\[(id|element_id|type)\]")
# A contact's card that is a company: the service files both under `contacts` (`type` says which).
_COMPANY = "company"
# Of a record that was deleted or restored the events say the rest, and what has to be read by its ID.
_OF_EVENTS = frozenset({"delete", "restore"})


class Hint(NamedTuple):
    """A record that may have changed; `kind` is a list of the API, or `deleted_records` with ID 0."""

    kind: str
    record_id: int


def hints_of(body: bytes) -> list[Hint]:
    """The records that a webhook's body names, each once.

    Raises:
        ValueError: the body is not a form, or names too much.
    """
    pairs = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
    found = list(dict.fromkeys(_found(pairs)))
    if len(found) > MOST_HINTS:
        raise ValueError("too many records")
    return found


def _found(pairs: Iterable[tuple[str, str]]) -> Iterator[Hint]:
    companies = {name.rpartition("[")[0] for name, value in pairs if name.endswith("[type]") and value == _COMPANY}
    for name, value in pairs:
        match = _NAME.fullmatch(name)
        identity = whole(value)
        if match is None or match[3] != "id" or match[1] not in _KINDS or not identity or identity < 0:
            continue
        kind, action = _KINDS[match[1]], match[2]
        if kind == "contacts" and name.rpartition("[")[0] in companies:
            kind = "companies"
        if action in _OF_EVENTS:
            yield Hint(DELETED_RECORDS.name, 0)
        elif action == "note" and kind in ENTITIES:
            yield Hint(f"{kind}/notes", identity)
        else:
            yield Hint(kind, identity)
