"""What other streams' records embed, as their own streams: links between entities, stages of pipelines.

They cost no request: their records leave together with those that embed them.
"""

from __future__ import annotations

from typing import Any

from tap_amocrm.declarations.declaration import Declaration, Embedded, Reading
from tap_amocrm.declarations.properties import BOOLEAN, DELETED, INTEGER, KEYS, OBJECT, TEXT, TEXT_KEYS, TIME
from tap_amocrm.declarations.properties import LINKS as SELF

_ONE = {"companies": "company", "contacts": "contact", "customers": "customer", "leads": "lead", "tags": "tag"}


def _links(parent: str, target: str, *, reverse: bool = False, main: bool = False) -> Declaration:
    """The links of a stream's records to others.

    Args:
        parent: The stream whose records embed the list.
        target: The list.
        reverse: Whether the name begins with the target: the contacts of a company are embedded in contacts.
        main: Whether one of the links is the main one.
    """
    owner, entry = f"{_ONE[parent]}_id", f"{_ONE[target]}_id"
    left, right = (target, parent) if reverse else (parent, target)
    ends = (entry, owner) if reverse else (owner, entry)
    more: dict[str, Any] = {"is_main": BOOLEAN} if main else {}
    return Declaration(
        f"{_ONE[left]}_{right}",
        Reading.DERIVED,
        replication_key="updated_at",
        parents=(parent,),
        selected=False,
        embedded=Embedded(target, owner, entry, tuple(more), target, ends),
        properties={**TEXT_KEYS, **dict.fromkeys(ends, INTEGER), **more, "updated_at": TIME, **DELETED},
    )


LINKS: tuple[Declaration, ...] = (
    _links("contacts", "companies", reverse=True),
    _links("leads", "contacts", main=True),
    _links("leads", "companies"),
    _links("companies", "tags"),
    _links("contacts", "tags"),
    _links("leads", "tags"),
)
CUSTOMER_LINKS: tuple[Declaration, ...] = (
    _links("customers", "contacts", main=True),
    _links("customers", "companies"),
    _links("customers", "tags"),
)
# A stage's ID is unique within its pipeline: 142 and 143 end every one.
STATUSES = Declaration(
    "statuses",
    Reading.DERIVED,
    parents=("pipelines",),
    selected=False,
    embedded=Embedded("statuses", "pipeline_id"),
    keys=("account_id", "pipeline_id", "id"),
    properties={
        **KEYS,
        "pipeline_id": INTEGER,
        "name": TEXT,
        "sort": INTEGER,
        "color": TEXT,
        "type": INTEGER,
        "is_editable": BOOLEAN,
        "descriptions": OBJECT,
        **DELETED,
        **SELF,
    },
)
