"""Companies, contacts, leads, and what belongs to them: notes and tasks."""

from __future__ import annotations

from tap_amocrm.declarations.declaration import MERGED, Declaration, Listing, Reading
from tap_amocrm.declarations.properties import (
    ANYTHING,
    BOOLEAN,
    DELETED,
    ENTITY,
    FOREIGN,
    INTEGER,
    KEYS,
    LINKS,
    MADE,
    NUMBER,
    OWNED,
    TEXT,
    TIME,
)
from tap_amocrm.shapes import Record, items, whole


def with_company(record: Record) -> Record:
    """Adds `company_id` of a contact or lead: the one company that it may have.

    Where `_embedded` can't be read nothing is known of a company, and the property is left out.
    """
    embedded = record.get("_embedded")
    companies = embedded.get("companies") if isinstance(embedded, dict) else embedded
    found = items(companies)
    if found or companies in (None, [], {}, ""):
        record["company_id"] = whole(found[0].get("id")) if found else None
    return record


def task_result(record: Record) -> Record:
    """An empty result comes as `[]`; it becomes null."""
    if record.get("result") == []:
        record["result"] = None
    return record


COMPANIES = Declaration(
    "companies",
    Reading.ENTITIES,
    listings=(Listing("companies", needs_filter_package=True),),
    replication_key="updated_at",
    event_entity="company",
    deleted_by=("company_deleted", MERGED),
    restored_by=("company_restored",),
    properties=ENTITY,
)
CONTACTS = Declaration(
    "contacts",
    Reading.ENTITIES,
    listings=(Listing("contacts", needs_filter_package=True),),
    replication_key="updated_at",
    parents=("companies",),
    event_entity="contact",
    deleted_by=("contact_deleted", MERGED),
    restored_by=("contact_restored",),
    derive=with_company,
    properties={**ENTITY, "first_name": TEXT, "last_name": TEXT, "is_unsorted": BOOLEAN, "company_id": INTEGER},
)
LEADS = Declaration(
    "leads",
    Reading.ENTITIES,
    listings=(
        Listing(
            "leads",
            params=(("with", "contacts,loss_reason,is_price_modified_by_robot"),),
            needs_filter_package=True,
        ),
    ),
    replication_key="updated_at",
    parents=("companies",),
    event_entity="lead",
    deleted_by=("lead_deleted", MERGED),
    restored_by=("lead_restored",),
    derive=with_company,
    properties={
        **ENTITY,
        "price": NUMBER,
        "price_with_minor_units": NUMBER,
        "status_id": INTEGER,
        "pipeline_id": INTEGER,
        "loss_reason_id": INTEGER,
        "source_id": INTEGER,
        "closed_at": TIME,
        "score": NUMBER,
        "labor_cost": NUMBER,
        "is_price_modified_by_robot": BOOLEAN,
        "is_price_computed": BOOLEAN,
        "visitor_uid": TEXT,
        "company_id": INTEGER,
    },
)
_OWNERS = ("companies", "contacts", "leads")
# The API has no list of all notes: each kind of entity has its own.
NOTES = Declaration(
    "notes",
    Reading.CHILDREN,
    listings=tuple(Listing(f"{entity}/notes", entity_type=entity) for entity in _OWNERS),
    replication_key="updated_at",
    parents=_OWNERS,
    deleted_by=("common_note_deleted",),
    properties={
        **KEYS,
        **MADE,
        **OWNED,
        "entity_id": INTEGER,
        "entity_type": TEXT,
        "note_type": FOREIGN,
        "params": ANYTHING,
        "is_pinned": BOOLEAN,
        **DELETED,
        **LINKS,
    },
)
# Tasks of every kind of entity; without a scope also those that belong to nothing.
TASKS = Declaration(
    "tasks",
    Reading.CHILDREN,
    listings=(Listing("tasks", orders_by_time=False),),
    replication_key="updated_at",
    parents=_OWNERS,
    event_entity="task",
    deleted_by=("task_deleted",),
    derive=task_result,
    properties={
        **KEYS,
        **MADE,
        **OWNED,
        "entity_id": INTEGER,
        "entity_type": TEXT,
        "is_completed": BOOLEAN,
        "task_type_id": INTEGER,
        "text": TEXT,
        "duration": NUMBER,
        "complete_till": TIME,
        "result": ANYTHING,
        **DELETED,
        **LINKS,
    },
)
