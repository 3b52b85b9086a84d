"""Events: what the service notes of every change, and the shapes of their values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from amocrm_sim.records import ACCOUNT_ID, EPOCH, FIRST_USER, Account, Record

SINGULAR = {"companies": "company", "contacts": "contact", "leads": "lead", "customers": "customer", "tasks": "task"}
_PLURAL = {one: many for many, one in SINGULAR.items()}
_NOTES = {
    "call_in": "incoming_call",
    "call_out": "outgoing_call",
    "sms_in": "incoming_sms",
    "sms_out": "outgoing_sms",
    "attachment": "attachment_note_added",
    "geolocation": "geo_note_added",
    "service_message": "service_note_added",
    "extended_service_message": "service_note_added",
}
# Numbers of the types of custom fields, as events name them.
_FIELD_TYPES = {
    "text": 1,
    "numeric": 2,
    "checkbox": 3,
    "select": 4,
    "multiselect": 5,
    "date": 6,
    "url": 7,
    "multitext": 8,
}
Values = list[Record]
Change = tuple[str, Values, Values]


def made(number: int, moment: int, kind: str, entity: str, entity_id: int, after: Values, before: Values) -> Record:
    """An event; ids sort by time as ULIDs do."""
    return {
        "id": f"01{moment:010x}{number:014x}",
        "type": kind,
        "entity_id": entity_id,
        "entity_type": entity,
        "created_by": FIRST_USER,
        "created_at": moment,
        "value_after": after,
        "value_before": before,
        "account_id": ACCOUNT_ID,
    }


def as_served(event: Record, base_url: str) -> Record:
    """The event with its links, as the list shows it."""
    path = _PLURAL.get(event["entity_type"], "catalogs/4521/elements")
    entity = {"id": event["entity_id"], "_links": {"self": {"href": f"{base_url}/api/v4/{path}/{event['entity_id']}"}}}
    links = {"self": {"href": f"{base_url}/api/v4/events/{event['id']}"}}
    return {**event, "_links": links, "_embedded": {"entity": entity}}


def note_added(note: Record, plain: bool) -> str:
    """The type of the event of a new note."""
    return "common_note_added" if plain else _NOTES.get(str(note["note_type"]), "common_note_added")


def changes(kind: str, old: Record, new: Record) -> Iterator[Change]:
    """The events of an update: type, values after it and before it."""
    if "/" in kind:
        return
    if kind == "tasks":
        yield from _task_changes(old, new)
    elif old["name"] != new["name"]:
        yield "name_field_changed", *_both("name_field_value", "name", new["name"], old["name"])
    if old["responsible_user_id"] != new["responsible_user_id"]:
        users = new["responsible_user_id"], old["responsible_user_id"]
        yield "entity_responsible_changed", *_both("responsible_user", "id", *users)
    if kind == "leads":
        if old["price"] != new["price"]:
            yield "sale_field_changed", *_both("sale_field_value", "sale", new["price"], old["price"])
        if (old["pipeline_id"], old["status_id"]) != (new["pipeline_id"], new["status_id"]):
            after, before = ({"id": r["status_id"], "pipeline_id": r["pipeline_id"]} for r in (new, old))
            yield "lead_status_changed", [{"lead_status": after}], [{"lead_status": before}]
    if kind != "tasks":
        yield from _tag_changes(old, new)
        yield from _field_changes(old, new)


def _both(key: str, name: str, after: Any, before: Any) -> tuple[Values, Values]:
    return [{key: {name: after}}], [{key: {name: before}}]


def _task_changes(old: Record, new: Record) -> Iterator[Change]:
    if old["text"] != new["text"]:
        yield "task_text_changed", *_both("task", "text", new["text"], old["text"])
    if old["complete_till"] != new["complete_till"]:
        yield "task_deadline_changed", *_both("task_deadline", "timestamp", new["complete_till"], old["complete_till"])
    if old["task_type_id"] != new["task_type_id"]:
        yield "task_type_changed", *_both("task_type", "id", new["task_type_id"], old["task_type_id"])
    if new["is_completed"] and not old["is_completed"]:
        yield "task_completed", [], []
    if new.get("result") and new.get("result") != old.get("result"):
        yield "task_result_added", [{"task": {"text": new["text"]}}], []


def _tag_changes(old: Record, new: Record) -> Iterator[Change]:
    before, after = ({str(t["name"]) for t in _tags(r) if "name" in t} for r in (old, new))
    for name in sorted(after - before):
        yield "entity_tag_added", [{"tag": {"name": name}}], []
    for name in sorted(before - after):
        yield "entity_tag_deleted", [], [{"tag": {"name": name}}]


def _tags(record: Record) -> list[Record]:
    embedded = record.get("_embedded")
    return _objects(embedded.get("tags") if isinstance(embedded, dict) else None)


def _objects(listed: Any) -> list[Record]:
    """The objects of a list: an update may have set any shape, and events are made of what has the usual one."""
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _fields(record: Record) -> dict[int, Record]:
    return {
        f["field_id"]: f for f in _objects(record.get("custom_fields_values")) if isinstance(f.get("field_id"), int)
    }


def _field_changes(old: Record, new: Record) -> Iterator[Change]:
    before, after = _fields(old), _fields(new)
    for field_id in sorted(before.keys() | after.keys()):
        if before.get(field_id) != after.get(field_id):
            values = (_field_value(field_id, after.get(field_id)), _field_value(field_id, before.get(field_id)))
            yield f"custom_field_{field_id}_value_changed", *values


def _field_value(field_id: int, field: Record | None) -> Values:
    if field is None:
        return []
    value = (_objects(field.get("values")) or [{}])[0]
    text = value.get("value")
    kind = _FIELD_TYPES.get(str(field.get("field_type")), 9)
    known = {"field_id": field_id, "field_type": kind, "enum_id": value.get("enum_id")}
    return [{"custom_field_value": known | {"text": None if text is None else str(text)}}]


def history(account: Account) -> list[Record]:
    """Events of every kind from before the account was first read, oldest first."""
    found: list[Record] = []
    first = {kind: account.first[kind] for kind in SINGULAR if account.sizes.get(kind)}
    for kind, after, before in _HISTORY:
        entity = next((e for e in ("lead", "contact", "company", "task", "customer") if kind.startswith(e)), "lead")
        many = _PLURAL[entity]
        if many not in first:
            continue
        # What was deleted long ago has an id of which nothing else is left.
        entity_id = first[many] - 1001 if kind.endswith("_deleted") else first[many]
        moment = EPOCH - 86_400 * 200 + 3600 * len(found)
        event = made(len(found) + 1, moment, kind, entity, entity_id, after, before)
        event["created_by"] = 0 if len(found) % 3 else FIRST_USER
        found.append(event)
    if found:
        catalogue = made(len(found) + 1, found[-1]["created_at"] + 60, "entity_linked", "catalog_4521", 525_439, [], [])
        found.append(catalogue)
    return found


def _value(key: str, **content: Any) -> Values:
    return [{key: content}]


_LINK = _value("link", entity={"type": "contact", "id": 20_000_001})
_HISTORY: tuple[tuple[str, Any, Any], ...] = (
    ("lead_added", _value("note", id=70_000_001), []),
    ("contact_added", [], []),
    ("company_added", [], None),
    ("customer_added", {}, []),
    ("lead_deleted", [], []),
    ("contact_deleted", [], []),
    ("company_deleted", [], []),
    ("task_deleted", _value("task", text="Перезвонить"), []),
    ("common_note_deleted", [], _value("note", id=69_000_001)),
    ("lead_linked", _LINK, []),
    ("contact_linked", _value("link", entity={"type": "company", "id": 10_000_001}), []),
    ("company_unlinked", [], _LINK),
    ("entity_linked", _LINK, []),
    ("entity_unlinked", [], _LINK),
    ("entity_merged", [], []),
    ("lead_status_changed", _value("lead_status", id=143, pipeline_id=7_000_001), _value("lead_status", id=8_000_002, pipeline_id=7_000_001)),
    ("entity_responsible_changed", _value("responsible_user", id=5_000_002), _value("responsible_user", id=5_000_001)),
    ("entity_tag_added", _value("tag", name="опт"), []),
    ("entity_tag_deleted", [], _value("tag", name="опт")),
    ("sale_field_changed", _value("sale_field_value", sale=0), _value("sale_field_value", sale=1250.75)),
    ("name_field_changed", _value("name_field_value", name="Новое имя"), _value("name_field_value", name=None)),
    ("custom_field_value_changed", _value("custom_field_value", field_id=702_001, field_type=2, enum_id=None, text="5"), []),
    ("custom_field_702002_value_changed", _value("custom_field_value", field_id=702_002, field_type=8, enum_id=None, text="a"), _value("custom_field_value", field_id=702_002, field_type=8, enum_id=193_200, text=None)),
    ("ltv_field_changed", _value("ltv_field_value", ltv=100), _value("ltv_field_value", ltv=0)),
    ("task_added", _value("task", text="Позвонить"), []),
    ("task_completed", [], []),
    ("task_text_changed", _value("task", text="Позвонить завтра"), _value("task", text="Позвонить")),
    ("task_deadline_changed", _value("task_deadline", timestamp=1_788_980_400), _value("task_deadline", timestamp=1_788_894_000)),
    ("task_type_changed", _value("task_type", id=2_435_731), _value("task_type", id=1)),
    ("task_result_added", _value("note", id=70_000_002), []),
    ("common_note_added", _value("note", id=70_000_001), []),
    ("attachment_note_added", _value("note", id=70_000_001), []),
    ("service_note_added", _value("note", id=70_000_001), []),
    ("geo_note_added", _value("note", id=70_000_001), []),
    ("incoming_call", _value("note", id=70_000_001), []),
    ("outgoing_call", _value("note", id=70_000_001), []),
    ("incoming_sms", _value("note", id=70_000_001), []),
    ("outgoing_sms", _value("note", id=70_000_001), []),
    ("incoming_chat_message", _value("message", id="b5d0", origin="telegram", talk_id=190), []),
    ("outgoing_chat_message", _value("message", id="b5d1", origin="com.wazzup.whatsapp", talk_id=191), []),
    ("talk_created", _value("talk", id=191), []),
    ("key_action_completed", _value("key_action", name="Первый контакт"), []),
    ("nps_rate_added", _value("nps", rate=9), []),
    ("transaction_added", _value("transaction", id=1), []),
    ("robot_replied", None, None),
)  # fmt: skip
