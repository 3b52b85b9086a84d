"""Events, and what they say of records that were deleted, merged or restored."""

from __future__ import annotations

from tap_amocrm.declarations.declaration import Declaration, Listing, Reading
from tap_amocrm.declarations.properties import EMBEDDED, INTEGER, OBJECT, TEXT, TEXT_KEYS, TIME

# Events have no `updated_at`.
EVENTS = Declaration(
    "events",
    Reading.EVENTS,
    listings=(Listing("events"),),
    replication_key="created_at",
    properties={
        **TEXT_KEYS,
        "type": TEXT,
        "entity_id": INTEGER,
        "entity_type": TEXT,
        "created_by": INTEGER,
        "created_at": TIME,
        "value_after": OBJECT,
        "value_before": OBJECT,
        **EMBEDDED,
    },
)
DELETED_RECORDS = Declaration(
    "deleted_records",
    Reading.DELETIONS,
    listings=(Listing("events"),),
    replication_key="deleted_at",
    properties={
        **TEXT_KEYS,
        "entity_type": TEXT,
        "entity_id": INTEGER,
        "deleted_at": TIME,
        "merged_into": INTEGER,
        "restored_at": TIME,
    },
)
