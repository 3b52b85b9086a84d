"""Deletions, restores and merges out of the events: for each entity what happened to it last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tap_amocrm.api.listing import Pages
from tap_amocrm.api.records import rfc3339
from tap_amocrm.declarations import BY_NAME, DELETED_BY, ENTITIES, EVENT_ENTITIES, EVENTS, MERGED, NOTES, RESTORED_BY
from tap_amocrm.http.client import Ask, Client
from tap_amocrm.http.dispatcher import URGENT
from tap_amocrm.shapes import Record, items, record_id, seconds, text, whole

# One entity was linked to another: whose `updated_at` that changes is not documented.
LINKS = tuple(
    f"{entity}_{what}"
    for entity in ("entity", *(BY_NAME[name].event_entity for name in ENTITIES))
    for what in ("linked", "unlinked")
)
TYPES = (*DELETED_BY, *RESTORED_BY, MERGED)
# The service's own maximum for events (developers.kommo.com, "Events list").
EVENTS_LIMIT = 100
_EVENTS = EVENTS.listings[0].path


def read_events(
    client: Client,
    stream: str,
    since: int | None,
    types: Iterable[str] = (),
    priority: int = URGENT,
    *,
    promised: bool = False,
    first: int = 1,
) -> Iterator[list[Record]]:
    """Events from a second on, newest first, from page `first`; new ones meanwhile only repeat a few."""
    params = [("limit", str(EVENTS_LIMIT))]
    if since is not None:
        params.append(("filter[created_at][from]", str(since)))
    params += [("filter[type][]", kind) for kind in types]
    number, passed = first, Pages(_EVENTS)
    while True:
        asked = (*params, ("page", str(number)))
        page = client.get(Ask(stream, _EVENTS, asked, promised or number > 1, key="events"), priority)
        records, more = page.records("events"), page.next_params is not None
        yield records
        if not more:
            return
        passed.passed(records, more=more)
        number += 1


def any_event(client: Client, stream: str) -> bool:
    """Whether the account has events at all: one small request."""
    ask = Ask(stream, _EVENTS, (("limit", "1"),), promised=True, key="events")
    return bool(client.get(ask).records("events"))


def deletions(events: Iterable[Record], account_id: int) -> list[Record]:
    """Records of `deleted_records`, oldest first: of each entity its last deletion, merge or restore."""
    last: dict[tuple[str, int], Record] = {}
    for event in sorted(events, key=lambda e: (seconds(e, "created_at"), str(e.get("id")))):
        for entity_type, entity_id, merged_into in _losers(event):
            restored = text(event.get("type")) in RESTORED_BY
            when = rfc3339(event.get("created_at"))
            last[entity_type, entity_id] = {
                "id": str(event.get("id")) if merged_into is None else f"{event.get('id')}:{entity_id}",
                "account_id": account_id,
                "entity_type": entity_type,
                "entity_id": entity_id,
                "deleted_at": None if restored else when,
                "merged_into": merged_into,
                "restored_at": when if restored else None,
            }
    return sorted(last.values(), key=lambda r: (str(r["deleted_at"] or r["restored_at"] or ""), r["id"]))


def _losers(event: Record) -> Iterator[tuple[str, int, int | None]]:
    """Entity type, id and survivor of everything that an event is about."""
    kind, entity_id = text(event.get("type")), whole(event.get("entity_id"))
    if kind in NOTES.deleted_by:
        for note in _ids(event, "note"):
            yield "notes", note, None
    elif kind == MERGED:
        entity_type = EVENT_ENTITIES.get(str(event.get("entity_type")))
        for loser in _ids(event, "link"):
            if entity_type and entity_id is not None and loser != entity_id:
                yield entity_type, loser, entity_id
    elif (kind in DELETED_BY or kind in RESTORED_BY) and entity_id is not None:
        yield (DELETED_BY | RESTORED_BY)[kind], entity_id, None


def survivors(events: Iterable[Record]) -> Iterator[tuple[str, int]]:
    """Kind and id of each entity into which others were merged."""
    for event in events:
        entity_type, entity_id = EVENT_ENTITIES.get(str(event.get("entity_type"))), whole(event.get("entity_id"))
        if event.get("type") == MERGED and entity_type and entity_id is not None:
            yield entity_type, entity_id


def linked(events: Iterable[Record]) -> Iterator[tuple[str, int]]:
    """Kind and id of both sides of each link that was made or undone."""
    for event in events:
        if text(event.get("type")) not in LINKS:
            continue
        sides = [(event.get("entity_type"), event.get("entity_id"))]
        for entry in (*items(event.get("value_before")), *items(event.get("value_after"))):
            link = entry.get("link")
            entity = link.get("entity") if isinstance(link, dict) else None
            if isinstance(entity, dict):
                sides.append((entity.get("type"), entity.get("id")))
        for entity_type, value in sides:
            entity_id = whole(value)
            if EVENT_ENTITIES.get(str(entity_type)) and entity_id is not None:
                yield EVENT_ENTITIES[str(entity_type)], entity_id


def _ids(event: Record, name: str) -> set[int]:
    """Ids in `value_before` and `value_after`; the shape of merges is not documented, so all known ones are read."""
    found: set[int] = set()
    for side in ("value_before", "value_after"):
        for entry in items(event.get(side)):
            value = entry.get(name)
            if isinstance(value, dict):
                inner = value.get("entity")
                identity = record_id(inner if isinstance(inner, dict) else value)
                if identity:
                    found.add(identity)
    return found
