"""What this account's filters do and what this user may read: asked with a few small requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tap_amocrm.api.records import company_id_of, names_any
from tap_amocrm.declarations import LISTINGS
from tap_amocrm.errors import ApiError
from tap_amocrm.http.client import Ask, Client, Params
from tap_amocrm.shapes import Record, record_id, whole

_RIGHTS = ("companies", "contacts", "leads", "tasks", "users", "events", "leads/pipelines", "contacts/notes")
_RIGHT = "Grant this right to the integration's user (amoCRM, Settings, Users), or deselect the stream."
_OTHER_WAY = "No action is needed."


@dataclass(frozen=True)
class Finding:
    """`outcome` is yes, no or unknown; `detail` says what follows. `level` is ok, warning or error; `remedy` says what
    to do about it."""

    what: str
    outcome: str
    detail: str = ""
    level: str = "ok"
    remedy: str = ""


def rights(client: Client) -> Iterator[Finding]:
    """Whether each endpoint may be read."""
    for name in _RIGHTS:
        try:
            client.get(Ask("check", f"/api/v4/{name}", (("limit", "1"),), key=name.rsplit("/", 1)[-1]))
        except ApiError as error:
            detail = f"{error}; its stream stays empty"
            yield Finding(f"may read {name}", "no", detail, "warning", _RIGHT)
        else:
            yield Finding(f"may read {name}", "yes")


def filters(client: Client) -> Iterator[Finding]:
    """Which filters are honoured, by holding answers against what was asked."""
    contacts = [r for r in _records(client, "contacts", [("limit", "50")]) if record_id(r)]
    if not contacts:
        yield Finding("filters", "unknown", "the account has no contacts to test them with")
        return
    first = contacts[-1]
    yield _honoured(
        client,
        "filter[id] of contacts",
        "contacts",
        [("filter[id][]", str(record_id(first)))],
        lambda r: record_id(r) == record_id(first),
    )
    second = str(first.get("updated_at"))
    yield _honoured(
        client,
        "filter[updated_at] of contacts",
        "contacts",
        [("filter[updated_at][from]", second), ("filter[updated_at][to]", second)],
        lambda r: str(r.get("updated_at")) == second,
    )
    company = next((c for c in map(company_id_of, contacts) if c), None)
    if company is not None:
        params = [("filter[company_id][]", str(company))]
        yield _honoured(
            client, "filter[company_id] of contacts", "contacts", params, lambda r: names_any(r, (company,))
        )
    notes = _records(client, "contacts/notes", [("limit", "1")])
    parent = whole(notes[0].get("entity_id")) if notes else None
    if parent:
        yield _honoured(
            client,
            "filter[entity_id] of contacts/notes",
            "contacts/notes",
            [("filter[entity_id][]", str(parent))],
            lambda r: whole(r.get("entity_id")) == parent,
        )


def _records(client: Client, name: str, params: Params) -> list[Record]:
    listing = LISTINGS[name]
    return client.get(Ask("check", listing.path, tuple(params), key=listing.key)).records(listing.key)


def _honoured(client: Client, what: str, name: str, params: Params, belongs: Any) -> Finding:
    try:
        found = _records(client, name, [("limit", "50"), *params])
    except ApiError as error:
        return Finding(what, "no", f"the account answers {error.status}; another way is taken", "warning", _OTHER_WAY)
    if found and all(belongs(r) for r in found):
        return Finding(what, "yes")
    return Finding(what, "no", "ignored; another documented way is taken", "warning", _OTHER_WAY)
