"""What the newest events say: one small request shows which streams are worth reading."""

from __future__ import annotations

from collections.abc import Container

from tap_amocrm.api.deletions import EVENTS_LIMIT, LINKS, TYPES, read_events
from tap_amocrm.declarations import DELETED_BY, DELETED_RECORDS, EVENT_ENTITIES, EVENTS, LISTINGS, NOTES
from tap_amocrm.following.brought import Brought
from tap_amocrm.http.client import Client
from tap_amocrm.shapes import Record, items, record_id, seconds, text, whole

# Events come a few seconds late; those that are known cost nothing but their place on the page.
_LOOKS_BACK = 60
_ALL = frozenset({*(listing.stream for listing in LISTINGS.values()), DELETED_RECORDS.name, EVENTS.name})
_OF_RECORDS_LOST = frozenset((*TYPES, *LINKS))
# Types of events that come with a note (developers.kommo.com, "Events"): calls and messages are notes, too.
_NOTE_WORDS = ("note", "_call", "_sms", "chat_message")


class EventWatch:
    """Asks for the newest events, and says which streams they are of.

    An event is a hint: a stream is read by its own bookmark, whatever the events say, and what has no events is found
    by reading without one.

    Args:
        client: Asks.
        brought: What webhooks have brought already.
    """

    def __init__(self, client: Client, brought: Brought) -> None:
        self._client, self._brought = client, brought
        self._known: set[str] | None = None

    def look(self, read: Container[str]) -> set[str]:
        """The streams that may have changed since the last look.

        Args:
            read: Events that `deleted_records` has read already.

        Raises:
            TapError: the events can't be read.
        """
        since = int(self._client.now()) - _LOOKS_BACK
        events = next(read_events(self._client, EVENTS.name, since), [])
        known, self._known = self._known, {str(event.get("id")) for event in events}
        if known is None:  # everything has just been read
            return set()
        if len(events) >= EVENTS_LIMIT:
            return set(_ALL)
        fresh = [event for event in events if str(event.get("id")) not in known]
        found = {EVENTS.name} if fresh else set()
        for event in fresh:
            streams = streams_of(event, self._brought)
            found |= streams - {DELETED_RECORDS.name} if str(event.get("id")) in read else streams
        return found


def streams_of(event: Record, brought: Brought) -> set[str]:
    """The streams whose records an event may be about, without those that were brought since."""
    kind, entity = text(event.get("type")), EVENT_ENTITIES.get(str(event.get("entity_type")))
    if kind in DELETED_BY:  # it is in no list any more
        return {DELETED_RECORDS.name}
    identity, at = whole(event.get("entity_id")), seconds(event, "created_at")
    found = {entity} if entity and not brought.has(entity, identity, at) else set()
    if kind in _OF_RECORDS_LOST:
        found.add(DELETED_RECORDS.name)
    if kind.startswith("task_") and not brought.has("tasks", identity, at):
        found.add("tasks")
    if _is_of_notes(event, f"{entity}/notes", brought):
        found.add(NOTES.name)
    return found


def _is_of_notes(event: Record, listing: str, brought: Brought) -> bool:
    """Whether an event is about notes of a list that were not brought since."""
    values = [*items(event.get("value_after")), *items(event.get("value_before"))]
    notes = [value["note"] for value in values if isinstance(value.get("note"), dict)]
    if notes:
        at = seconds(event, "created_at")
        return not all(brought.has(listing, record_id(note), at) for note in notes)
    return any(word in text(event.get("type")) for word in _NOTE_WORDS)
