"""What the newest events say: one small request shows which streams are worth reading."""

from __future__ import annotations

from tap_amocrm.api.deletions import EVENTS_LIMIT, LINKS, TYPES, read_events
from tap_amocrm.declarations import DELETED_RECORDS, EVENT_ENTITIES, EVENTS, LISTINGS, NOTES
from tap_amocrm.http.client import Client
from tap_amocrm.shapes import Record, items, text

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
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: set[str] | None = None

    def look(self) -> set[str]:
        """The streams that may have changed since the last look.

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
        found = {stream for event in fresh for stream in streams_of(event)}
        return found | {EVENTS.name} if fresh else found


def streams_of(event: Record) -> set[str]:
    """The streams whose records an event may be about."""
    kind, entity = text(event.get("type")), EVENT_ENTITIES.get(str(event.get("entity_type")))
    found = {entity} if entity else set()
    if kind in _OF_RECORDS_LOST:
        found.add(DELETED_RECORDS.name)
    if kind.startswith("task_"):
        found.add("tasks")
    values = [*items(event.get("value_after")), *items(event.get("value_before"))]
    if any(word in kind for word in _NOTE_WORDS) or any("note" in value for value in values):
        found.add(NOTES.name)
    return found
