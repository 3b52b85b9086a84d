"""Whether a column's source can hold anything: streams, properties and paths that amoCRM's records have.

The names are those that tap-amocrm sends. A stream map may add others, so only what looks like a slip of the pen is
refused; `properties` of a stream in the mapping lists what is meant as it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator

from target_crm.mapping.model import Column
from target_crm.mapping.paths import CUSTOM_FIELDS, STEP, split_path

_MADE = "account_id id created_at created_by updated_at updated_by responsible_user_id group_id _links"
_ENTITY = f"{_MADE} name closest_task_at is_deleted custom_fields_values _embedded"
PROPERTIES: dict[str, frozenset[str]] = {
    stream: frozenset(names.split())
    for stream, names in {
        "users": "account_id id name email lang rights phone_number uuid amojo_id user_rank _embedded _links",
        "companies": _ENTITY,
        "contacts": f"{_ENTITY} first_name last_name company_id is_unsorted",
        "leads": f"{_ENTITY} price price_with_minor_units status_id pipeline_id loss_reason_id source_id closed_at "
        "company_id score labor_cost is_price_computed is_price_modified_by_robot visitor_uid",
        "customers": f"{_ENTITY} status_id next_date next_price periodicity ltv purchases_count average_check",
        "notes": f"{_MADE} entity_id entity_type note_type params is_pinned",
        "tasks": f"{_MADE} entity_id entity_type task_type_id text complete_till duration is_completed result",
    }.items()
}
_OTHER_STREAMS = (
    "account catalog_elements catalogs custom_fields deleted_records events loss_reasons pipelines roles sources "
    "statuses tags talks task_types unsorted webhooks files file_links company_contacts lead_contacts lead_companies "
    "company_tags contact_tags lead_tags customer_contacts customer_companies customer_tags"
)
STREAMS = frozenset(_OTHER_STREAMS.split()) | PROPERTIES.keys()
# What records embed; all of it are lists.
_EMBEDDED = frozenset(
    (
        "tags",
        "companies",
        "contacts",
        "leads",
        "customers",
        "catalog_elements",
        "loss_reason",
        "source",
        "roles",
        "groups",
    )
)
_ENTITIES = ("companies", "contacts", "leads", "customers")
# Transformations that make one value of one value.
_SINGLE = frozenset(("integer", "number", "boolean", "timestamp", "date", "digits", "inn"))
_LEAST_LIKE = 0.75


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that this one is a slip of the pen of; None when it is known, or like none."""
    if name in known:
        return None
    found = difflib.get_close_matches(name, sorted(known), 1, _LEAST_LIKE)
    return found[0] if found else None


def stream_problem(stream: str) -> str | None:
    """What is wrong with a stream's name."""
    near = nearest(stream, STREAMS)
    return f"amoCRM has no stream {stream} (did you mean {near}?); correct the name." if near else None


def source_problems(stream: str, column: Column, more: Collection[str]) -> Iterator[str]:
    """What keeps a column's source from ever holding a value, each as the rest of a sentence. `more` are properties
    that the mapping lists."""
    for path in column.path:
        steps = split_path(path)
        odd = next((step for step in steps if STEP.fullmatch(step) is None), None)
        if odd is not None or not steps:
            yield (
                f"has the path {path[:200]}, in which {odd or path!r} can't be read; write name, name[], name[0] or "
                "name[key=value]."
            )
            continue
        yield from _name_problems(stream, steps, more)
        if any(step.endswith("[]") for step in steps) and _takes_one(column) and not (column.first or column.nth):
            yield (
                f"takes all of a list ({path}), but needs one value; name its place ([0]), which one ([is_main=true]), "
                "or set first: true."
            )
    if column.link and column.path == ("entity_id",) and column.when_entity is None:
        yield (
            f"links by entity_id, which is a company's, a contact's or a lead's id; name the kind with when_entity: "
            f"{column.link}."
        )
    if column.when_entity is not None:
        near = nearest(column.when_entity, _ENTITIES)
        if near:
            yield f"has when_entity {column.when_entity}; did you mean {near}?"
    if CUSTOM_FIELDS in column.path and column.transform != "json":
        yield (
            f"takes {CUSTOM_FIELDS}, the list of all custom fields; take one with field: NAME, or the whole list with "
            "transform: json."
        )


def _takes_one(column: Column) -> bool:
    return bool(column.link or column.lookup or column.links) or column.transform in _SINGLE


def _name_problems(stream: str, steps: list[str], more: Collection[str]) -> Iterator[str]:
    names = [step.partition("[")[0] for step in steps]
    known = PROPERTIES.get(stream)
    near = nearest(names[0], known) if known is not None and names[0] not in more else None
    if near:
        yield (
            f"takes the property {names[0]}, which amoCRM's {stream} do not have (did you mean {near}?); correct it. A "
            f"property that a stream map adds is listed under properties of {stream}."
        )
    if names[0] == "_embedded" and len(names) > 1:
        near = nearest(names[1], _EMBEDDED)
        if near:
            yield f"takes _embedded.{names[1]}, which records do not have (did you mean {near}?); correct it."
        elif names[1] in _EMBEDDED and len(names) > 2 and "[" not in steps[1]:
            yield (
                f"reads {names[2]} of _embedded.{names[1]}, which is a list; name what to take of it: "
                f"{names[1]}[] (all), {names[1]}[0] or {names[1]}[key=value]."
            )


def unknown_properties(stream: str, column: Column, more: Collection[str]) -> list[str]:
    """Properties of a source that tap-amocrm does not send by that name; a stream map may add them."""
    known = PROPERTIES.get(stream)
    if known is None:
        return []
    firsts = [split_path(path)[0].partition("[")[0] for path in column.path]
    return [name for name in firsts if name not in known and name not in more]
