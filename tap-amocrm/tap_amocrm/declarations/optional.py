"""What not every account has or needs: read whole, and only when selected in the catalog."""

from __future__ import annotations

from functools import partial

from tap_amocrm.declarations.declaration import Declaration, Listing, Reading
from tap_amocrm.declarations.properties import (
    BOOLEAN,
    EMBEDDED,
    ENTITY,
    FIELDS,
    FOREIGN,
    INTEGER,
    KEYS,
    LINKS,
    MADE,
    NUMBER,
    OBJECT,
    TEXT,
    TEXT_KEYS,
    TIME,
)

_optional = partial(Declaration, selected=False, urgent=False)

# Buyers, where the account's plan has them.
CUSTOMERS = _optional(
    "customers",
    Reading.WHOLE,
    listings=(Listing("customers", params=(("with", "contacts,companies,catalog_elements,segments"),)),),
    event_entity="customer",
    properties={
        **ENTITY,
        "next_price": NUMBER,
        "next_date": TIME,
        "ltv": NUMBER,
        "purchases_count": INTEGER,
        "average_check": NUMBER,
        "status_id": INTEGER,
        "periodicity": INTEGER,
    },
)
# Lists of goods and the like.
CATALOGS = _optional(
    "catalogs",
    Reading.WHOLE,
    listings=(Listing("catalogs"),),
    properties={
        **KEYS,
        **MADE,
        "name": TEXT,
        "type": TEXT,
        "sort": INTEGER,
        **dict.fromkeys(("can_add_elements", "can_show_in_cards", "can_link_multiple", "can_be_deleted"), BOOLEAN),
        "sdk_widget_code": FOREIGN,
        **LINKS,
    },
)
CATALOG_ELEMENTS = _optional(
    "catalog_elements",
    Reading.NESTED,
    listings=(Listing("catalogs/{catalog_id}/elements"),),
    parents=("catalogs",),
    properties={
        **KEYS,
        **MADE,
        "catalog_id": INTEGER,
        "name": TEXT,
        "is_deleted": BOOLEAN,
        "custom_fields_values": FIELDS,
        **EMBEDDED,
    },
)
# Sources of leads.
SOURCES = _optional(
    "sources",
    Reading.WHOLE,
    listings=(Listing("sources"),),
    properties={
        **KEYS,
        "name": TEXT,
        "external_id": FOREIGN,
        "pipeline_id": INTEGER,
        "default": BOOLEAN,
        "origin_code": TEXT,
        "services": OBJECT,
        **LINKS,
    },
)
# Roles of users; only administrators may list them.
ROLES = _optional(
    "roles",
    Reading.WHOLE,
    listings=(Listing("roles"),),
    properties={**KEYS, "name": TEXT, "rights": OBJECT, **EMBEDDED},
)
WEBHOOKS = _optional(
    "webhooks",
    Reading.WHOLE,
    listings=(Listing("webhooks"),),
    properties={
        **KEYS,
        **MADE,
        "destination": TEXT,
        "sort": INTEGER,
        "disabled": BOOLEAN,
        "settings": OBJECT,
        **LINKS,
    },
)
# Talks of chats.
TALKS = _optional(
    "talks",
    Reading.WHOLE,
    listings=(Listing("talks"),),
    identity="talk_id",
    properties={
        **KEYS,
        **MADE,
        "talk_id": INTEGER,
        "rate": INTEGER,
        "contact_id": INTEGER,
        "chat_id": TEXT,
        "entity_id": INTEGER,
        "entity_type": TEXT,
        "status": TEXT,
        "source_id": INTEGER,
        "missed_at": TIME,
        "is_in_work": BOOLEAN,
        "is_read": BOOLEAN,
        "origin": TEXT,
        **EMBEDDED,
    },
)
# Leads that nobody has accepted yet.
UNSORTED = _optional(
    "unsorted",
    Reading.WHOLE,
    listings=(Listing("leads/unsorted"),),
    identity="uid",
    properties={
        **TEXT_KEYS,
        "uid": TEXT,
        "source_uid": TEXT,
        "source_name": TEXT,
        "category": TEXT,
        "pipeline_id": INTEGER,
        "created_at": TIME,
        "metadata": OBJECT,
        **EMBEDDED,
    },
)
