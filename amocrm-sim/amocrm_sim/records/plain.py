"""Records of a plain account: whole, tidy in shape, untidy in what people typed."""

from __future__ import annotations

from typing import Any

from amocrm_sim import words as w
from amocrm_sim.records import fields as f
from amocrm_sim.records.relations import Relations
from amocrm_sim.records.seeds import (
    EPOCH,
    FIRST_PIPELINE,
    FIRST_REASON,
    FIRST_STATUS,
    MIDNIGHT,
    Record,
    address,
    inn,
    phone,
    tags,
)


def companies(account: Relations, record: Record, index: int, b: int) -> None:
    """A firm with phones, mostly an ИНН, sometimes with a field of every type."""
    name = f"{w.FORM[b % 5]} «{w.TRADE[(b >> 4) % 14]}{w.TAIL[(b >> 9) % 10]}»"
    if b % 97 == 0:
        name = w.NASTY[(b >> 8) % len(w.NASTY)]
    fields = [f.filled(f.BRANCH, [f.chosen(f.BRANCH, b % 5)])]
    fields.append(f.texts(f.COMPANY_PHONE, [(phone(b), "WORK"), (phone(b >> 7), "WORKDD")][: 1 + b % 2]))
    if b % 3:
        fields.append(f.texts(f.COMPANY_EMAIL, [(f"Info{index}@Firma{b % 900}.ru", "WORK")]))
        fields.append(f.filled(f.INN, [{"value": inn(b >> 5)}]))
    if account.plain:
        if b % 4 == 0:
            fields += rare_fields(b, index)
        fields.append(f.filled(f.ADDRESS, [{"value": address(b)}]))
    fields.append(f.filled(f.WEB, [{"value": f"https://firma{b % 900}.ru"}]))
    record |= {"name": name, "custom_fields_values": fields}
    record["_embedded"] = {"tags": tags(b), "contacts": [], "leads": [], "customers": [], "catalog_elements": []}


def contacts(account: Relations, record: Record, index: int, b: int) -> None:
    """A person, with a company nine times in ten."""
    first, last = w.FIRST[(b >> 4) % len(w.FIRST)], w.LAST[(b >> 9) % len(w.LAST)]
    whole = f"{first} {last}"
    if b % 5 == 0:
        first = last = ""
    if b % 89 == 0:
        whole = w.NASTY[(b >> 8) % len(w.NASTY)]
    numbers = [(phone(b >> 1), "WORK"), (phone(b >> 9), "MOB"), (phone(b >> 1), "HOME")][: b % 4]
    mails = [(f"User{index}@mail{b % 9}.ru", "WORK"), ("не знает", "OTHER")][: b % 3]
    fields: list[Record] | None = None
    if b % 11:
        fields = [f.filled(f.POSITION, [{"value": w.POSITIONS[b % 7]}])]
        if numbers:
            fields.append(f.texts(f.CONTACT_PHONE, numbers))
        if mails:
            fields.append(f.texts(f.CONTACT_EMAIL, mails))
        fields.append(f.filled(f.SOURCE, [f.chosen(f.SOURCE, b % 4)]))
    record |= {"name": whole, "first_name": first, "last_name": last, "is_unsorted": False}
    record["custom_fields_values"] = fields
    record["_embedded"] = {
        "tags": tags(b),
        "companies": [{"id": i} for i in account.companies_of("contacts", index)],
        "leads": [],
        "customers": [],
        "catalog_elements": [],
        "social_profiles": [],
    }


def leads(account: Relations, record: Record, index: int, b: int) -> None:
    """A deal in one of two pipelines, a third of them closed."""
    number = b % len(w.PIPELINES)
    closed = b % 3 == 0
    status = FIRST_STATUS + 100 * number + (b >> 6) % len(w.PIPELINES[number][1])
    if closed:
        status = 142 if b % 2 else 143
    contact = account.contact_of_lead(index)
    record |= {
        "name": f"Сделка №{index + 1}" if b % 61 else w.NASTY[(b >> 8) % len(w.NASTY)],
        "price": (b >> 11) % 5_000_000,
        "price_with_minor_units": None,
        "status_id": status,
        "pipeline_id": FIRST_PIPELINE + number,
        "loss_reason_id": FIRST_REASON + (b >> 7) % len(w.LOSS_REASONS) if status == 143 else None,
        "source_id": None,
        "closed_at": record["updated_at"] if closed else None,
        "score": None,
        "labor_cost": None,
        "custom_fields_values": None if b % 2 else [
            f.filled(f.DELIVERY, [{"value": MIDNIGHT - 86_400 * (b % 300)}])
        ],
    }  # fmt: skip
    record["_embedded"] = {
        "tags": tags(b),
        "companies": [{"id": i} for i in account.companies_of("leads", index)],
        "contacts": [{"id": contact, "is_main": True}] if contact else [],
        "catalog_elements": [],
        "loss_reason": [],
    }


def customers(account: Relations, record: Record, index: int, b: int) -> None:
    """A returning buyer."""
    record |= {"name": f"Покупатель {index + 1}", "next_price": b % 10_000, "next_date": EPOCH, "status_id": 1}
    record |= {"periodicity": 30, "ltv": b % 100_000, "purchases_count": b % 9, "average_check": 100}
    record |= {"custom_fields_values": None, "_embedded": {"tags": [], "contacts": [], "companies": [], "segments": []}}


def tasks(account: Relations, record: Record, index: int, b: int) -> None:
    """A call, a meeting or a letter to be written."""
    entity, entity_id = account.parent_of("tasks", index)
    done = b % 2 == 0
    record |= {
        "entity_id": entity_id,
        "entity_type": entity,
        "is_completed": done,
        "task_type_id": 1 + b % 3,
        "text": w.TEXTS[(b >> 4) % len(w.TEXTS)],
        "duration": 1800,
        "complete_till": record["created_at"] + 86_400,
        "result": {"text": "Сделано"} if done and b % 3 else [],
    }


def rare_fields(b: int, index: int) -> list[Record]:
    """One value of every other type that the reference names."""
    midnight = MIDNIGHT - 86_400 * (b % 400)
    entity = {"name": f"ООО «Ромашка {index}»", "entity_type": 1, "vat_id": inn(b >> 3), "kpp": "770101001"}
    values: tuple[Any, ...] = (
        "текст",
        "строка\nстрока",
        str(b % 500),
        True,
        midnight,
        midnight,
        EPOCH - b % 10**6,
        w.STREETS[b % 6],
        entity,
        {"sku": "a1", "description": "Болт", "unit_price": 10, "quantity": 3},
        str(b % 10**6),
        b % 1000,
        {"name": "X", "entity_id": 1, "entity_type": "companies", "catalog_id": None},
        {"file_uuid": "u", "version_uuid": "v", "file_name": "a.pdf", "file_size": 10, "is_deleted": False},
        "yandex",
        {"name": f"ООО Ромашка {index}"},
        entity,
        entity,
    )
    fields = [f.filled(field, [{"value": v}]) for field, v in zip(f.RARE, values, strict=True)]
    fields += [f.filled(field, [f.chosen(field, 0)]) for field in f.RARE_SELECTS]
    fields.append(f.filled(f.INTERESTS, [f.chosen(f.INTERESTS, 0), f.chosen(f.INTERESTS, 1)]))
    fields.append(f.filled(f.CHAINED, [{"catalog_id": 1, "catalog_element_id": 2}]))
    lines = (("address_line_1", "ул. Ленина, 1"), ("city", "Казань"), ("zip", "420000"), ("country", "RU"))
    smart = [{"value": v, "enum_id": n, "enum_code": c} for n, (c, v) in enumerate(lines, 1)]
    fields.append(f.filled(f.SMART, smart))
    return fields
