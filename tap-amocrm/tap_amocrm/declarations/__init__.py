"""The streams of the tap, and what follows from their declarations.

DECLARATIONS is the only list of streams. Their order is that in which records leave, parents before their children, so
that a target can link what it receives.
"""

from __future__ import annotations

from tap_amocrm.declarations.declaration import MERGED, Declaration, Embedded, Listing, Reading
from tap_amocrm.declarations.derived import CUSTOMER_LINKS, LINKS, STATUSES
from tap_amocrm.declarations.drive import FILE_LINKS, FILES
from tap_amocrm.declarations.entities import COMPANIES, CONTACTS, LEADS, NOTES, TASKS
from tap_amocrm.declarations.history import DELETED_RECORDS, EVENTS
from tap_amocrm.declarations.optional import (
    CATALOG_ELEMENTS,
    CATALOGS,
    CUSTOMERS,
    ROLES,
    SOURCES,
    TALKS,
    UNSORTED,
    WEBHOOKS,
)
from tap_amocrm.declarations.reference_data import CUSTOM_FIELDS, LOSS_REASONS, PIPELINES, TAGS, TASK_TYPES, USERS

__all__ = [
    "BY_NAME",
    "CHILDREN",
    "CUSTOMERS",
    "CUSTOM_FIELDS",
    "DECLARATIONS",
    "DELETED_BY",
    "DELETED_RECORDS",
    "ENTITIES",
    "EVENTS",
    "EVENT_ENTITIES",
    "FILES",
    "LISTINGS",
    "MERGED",
    "NOTES",
    "RESTORED_BY",
    "USERS",
    "Declaration",
    "Embedded",
    "Listing",
    "Reading",
    "events_that_shrink",
    "fixed_requests",
]

DECLARATIONS: tuple[Declaration, ...] = (
    USERS,
    PIPELINES,
    STATUSES,
    LOSS_REASONS,
    TASK_TYPES,
    FILES,
    COMPANIES,
    CONTACTS,
    LEADS,
    *LINKS,
    NOTES,
    FILE_LINKS,
    TASKS,
    CUSTOM_FIELDS,
    TAGS,
    CUSTOMERS,
    *CUSTOMER_LINKS,
    CATALOGS,
    CATALOG_ELEMENTS,
    SOURCES,
    ROLES,
    WEBHOOKS,
    TALKS,
    UNSORTED,
    EVENTS,
    DELETED_RECORDS,
)
BY_NAME: dict[str, Declaration] = {d.name: d for d in DECLARATIONS}
ENTITIES: tuple[str, ...] = tuple(d.name for d in DECLARATIONS if d.reading is Reading.ENTITIES)
# Streams whose records belong to those of another stream, and are read by them in batches.
CHILDREN: tuple[str, ...] = tuple(d.name for d in DECLARATIONS if d.incremental and d.parents)
# The lists that are read by what changed: name -> list.
LISTINGS: dict[str, Listing] = {x.name: x for d in DECLARATIONS if d.incremental for x in d.listings}

# What the events call a kind of record -> its stream.
EVENT_ENTITIES: dict[str, str] = {d.event_entity: d.name for d in DECLARATIONS if d.event_entity}
# Types of events -> the stream of the record that was deleted or restored; a merge names its stream itself.
DELETED_BY: dict[str, str] = {e: d.name for d in DECLARATIONS for e in d.deleted_by if e != MERGED}
RESTORED_BY: dict[str, str] = {e: d.name for d in DECLARATIONS for e in d.restored_by}


def events_that_shrink(stream: str) -> tuple[str, ...]:
    """Types of the events after which records are missing from a stream's lists.

    Notes and tasks leave with what they belong to, without their own events.
    """
    declared = BY_NAME[stream]
    owners = declared.parents if declared.reading is Reading.CHILDREN else ()
    return tuple(dict.fromkeys(e for name in (stream, *owners) for e in BY_NAME[name].deleted_by))


def fixed_requests() -> int:
    """Requests that every run makes beside those of the incremental lists: the account, lists read whole, events."""
    listed = (d for d in DECLARATIONS if d.selected and not d.incremental)
    return 1 + sum(len(d.listings) for d in listed)
