"""How the design note's two methods write: row by row with a query each, or in bulk with dictionaries loaded before."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from note_models import MODELS, PHONES

Record = dict[str, Any]
BATCH = 500
PARENTS = {"companies": "company", "contacts": "contact", "leads": "lead"}


def clean(value: Any) -> Any:
    """Without NUL and lone surrogates, which PostgreSQL's text can't hold."""
    if isinstance(value, str):
        return value.replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {clean(k): clean(v) for k, v in value.items()}
    return [clean(v) for v in value] if isinstance(value, list) else value


def _fields(record: Record) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field in record.get("custom_fields_values") or ():
        key = field.get("field_code") or field.get("field_name")
        found[key] = [str(v.get("value", "")) for v in field["values"]]
    return found


def columns(kind: str, record: Record) -> Record:
    """The record's columns, without links to other rows."""
    fields = _fields(record)

    def first(code: str) -> str:
        return (fields.get(code) or [""])[0]

    row: Record = {"amo_updated_at": record.get("updated_at"), "raw_fields": {"amo": record}}
    if kind in PARENTS:
        row["responsible_amo_id"] = record.get("responsible_user_id")
    if kind in ("companies", "leads"):
        row["name"] = record.get("name") or ""
    if kind in ("companies", "contacts"):
        row |= {"phone": first("PHONE"), "email": first("EMAIL")}
    if kind == "companies":
        row |= {"inn": first("ИНН"), "address": first("ADDRESS"), "website": first("WEB")}
    elif kind == "contacts":
        name = record.get("first_name") or record.get("name") or ""
        row |= {"first_name": name, "last_name": record.get("last_name") or "", "position": first("POSITION")}
    elif kind == "leads":
        row |= {"price": record.get("price"), "status_amo_id": record.get("status_id")}
    elif kind == "notes":
        params = record.get("params")
        text = params.get("text") or "" if isinstance(params, dict) else ""
        row |= {"note_type": record.get("note_type") or "", "text": text}
    else:
        due, done = record.get("complete_till"), bool(record.get("is_completed"))
        row |= {"text": record.get("text") or "", "due_at": due, "is_completed": done}
    return row


def links(kind: str, record: Record) -> dict[str, tuple[str, int]]:
    """Foreign key column -> (kind, amoCRM id) of the row that it points at."""
    if kind in ("contacts", "leads"):
        companies = (record.get("_embedded") or {}).get("companies") or []
        return {"company_id": ("companies", companies[0]["id"])} if companies else {}
    entity, entity_id = record.get("entity_type"), record.get("entity_id")
    return {f"{PARENTS[entity]}_id": (entity, entity_id)} if kind in ("notes", "tasks") and entity in PARENTS else {}


def phones(record: Record) -> list[str]:
    """The distinct phones of a record."""
    return list(dict.fromkeys(_fields(record).get("PHONE") or []))


class RowWriter:
    """The state before the note: for each record a query, then an INSERT or an UPDATE, in its own transaction."""

    def write(self, kind: str, records: list[Record]) -> None:
        """Write records of one kind."""
        for record in records:
            self._one(kind, clean(record))

    def _one(self, kind: str, record: Record) -> None:
        model = MODELS[kind]
        row = columns(kind, record)
        for column, (parent, amo_id) in links(kind, record).items():
            row[column] = MODELS[parent].objects.filter(amo_id=amo_id).values_list("id", flat=True).first()
        found = model.objects.filter(amo_id=record["id"]).first()
        if found is None:
            found = model.objects.create(amo_id=record["id"], **row)
        else:
            changed = [name for name, value in row.items() if getattr(found, name) != value]
            for name in changed:
                setattr(found, name, row[name])
            if changed:
                found.save(update_fields=changed)
        if kind in PHONES:
            for value in phones(record):
                PHONES[kind].objects.get_or_create(owner=found, value=value)


class BulkWriter:
    """The note's method: dictionaries of what is there, loaded once, then bulk_create and bulk_update."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[int, int]] = {}
        for kind in PARENTS:
            self.keys[kind] = dict(MODELS[kind].objects.values_list("amo_id", "id"))

    def write(self, kind: str, records: list[Record]) -> None:
        """Write records of one kind in one transaction."""
        model = MODELS[kind]
        records = [clean(r) for r in records]
        there = {row.amo_id: row for row in model.objects.all()}
        new, changed, names = [], [], set()
        for record in records:
            row = columns(kind, record)
            for column, (parent, amo_id) in links(kind, record).items():
                row[column] = self.keys[parent].get(amo_id)
            found = there.get(record["id"])
            if found is None:
                new.append(model(amo_id=record["id"], **row))
                continue
            differing = [name for name, value in row.items() if getattr(found, name) != value]
            if differing:
                for name in differing:
                    setattr(found, name, row[name])
                changed.append(found)
                names |= set(differing)
        with transaction.atomic():
            created = model.objects.bulk_create(new, batch_size=BATCH)
            if changed:
                fields = [name.removesuffix("_id") if name == "company_id" else name for name in sorted(names)]
                model.objects.bulk_update(changed, fields, batch_size=BATCH)
            if kind in self.keys:
                self.keys[kind] |= {row.amo_id: row.id for row in created}
            if kind in PHONES:
                self._phones(kind, records)

    def _phones(self, kind: str, records: list[Record]) -> None:
        model = PHONES[kind]
        there = set(model.objects.values_list("owner_id", "value"))
        wanted = [(self.keys[kind][r["id"]], value) for r in records for value in phones(r)]
        rows = [model(owner_id=owner, value=value) for owner, value in wanted if (owner, value) not in there]
        model.objects.bulk_create(rows, batch_size=BATCH)
