"""Records as the service really gives them: shapes that clients do not expect, on top of the plain ones."""

from __future__ import annotations

from typing import Any

from amocrm_sim import words as w
from amocrm_sim.records import fields as f
from amocrm_sim.records.relations import Relations
from amocrm_sim.records.seeds import (
    CATALOGS,
    ELEMENTS,
    EPOCH,
    FIRST_ELEMENT,
    FIRST_GONE_REASON,
    FIRST_OWN_TASK_TYPE,
    FIRST_PIPELINE,
    FIRST_REASON,
    FIRST_STATUS,
    FIRST_TAG,
    MIDNIGHT,
    Record,
    address,
    inn,
    mix,
    phone,
)

# Free text where a number is meant.
HEADCOUNTS = ("50-100 чел.", "12.5", "1 200", "около 40", "51–100", "нет", "10", "250", 7, "0", 12.0)
_PARTS = ("address_line_1", "address_line_2", "city", "state", "zip", "country")


def companies(account: Relations, record: Record, index: int, b: int) -> None:
    """Names of nothing, choices of several, addresses in parts, a headcount in words, requisites twice."""
    u = mix(b, 1)
    fields = record["custom_fields_values"]
    if u % 29 == 0:
        record["name"] = None
    if u % 4:
        fields.append(f.filled(f.ADDRESS, [{"value": address(b)}]))
    else:
        fields.append(f.filled(f.OWN_ADDRESS, smart_address(u >> 9)))
    if (u >> 5) % 3 == 0:
        fields.append(f.filled(f.EMPLOYEES, [{"value": HEADCOUNTS[(u >> 22) % len(HEADCOUNTS)]}]))
    if (u >> 7) % 3 == 0:
        several = range((u >> 24) % 3, min(len(w.ACTIVITIES), (u >> 24) % 3 + 1 + (u >> 27) % 3))
        fields.append(f.filled(f.ACTIVITY, [f.coded(f.ACTIVITY, n) for n in several]))
    if b % 4 == 0:
        fields += rare_fields(u, index)
    if (u >> 30) % 5 == 0:  # the key of 2020
        for value in fields[1]["values"]:
            value["enum"] = value.pop("enum_code")
    if (u >> 33) % 17 == 0:
        web = next(field for field in fields if field["field_id"] == f.WEB.id)
        web["values"] = None if u % 2 else []
    if (u >> 36) % 13 == 0:
        fields[1]["values"][0]["value"] = 79_000_000_000 + u % 10**9
    if (u >> 39) % 31 == 0:
        record["custom_fields_values"] = [] if u % 2 else None
    if (u >> 42) % 9 == 0:  # as in the first year of v4
        del record["is_deleted"]
    embedded = record["_embedded"]
    embedded["customers"] = _some(account, "customers", u)
    embedded["catalog_elements"] = elements(u)


def contacts(account: Relations, record: Record, index: int, b: int) -> None:
    """Names of nothing, messengers, profiles; for those without company and tags no container at all."""
    u = mix(b, 2)
    if u % 31 == 0:
        record["name"] = None
    if (u >> 5) % 13 == 0:
        record["first_name"] = None
    if (u >> 9) % 13 == 0:
        record["last_name"] = None
    fields = record["custom_fields_values"]
    if fields is None and u % 2:
        record["custom_fields_values"] = []
    elif fields and (u >> 13) % 4 == 0:
        fields.append(f.texts(f.IM, [(f"live:user{index}", "SKYPE")]))
        fields.append(f.filled(f.AGREEMENT, [{"value": u % 8 < 4}]))
    embedded = record["_embedded"]
    if not embedded["companies"] and not embedded["tags"]:
        record["_embedded"] = None if u % 2 else []
        return
    embedded["leads"] = _some(account, "leads", u >> 3)
    embedded["customers"] = _some(account, "customers", u >> 5)
    embedded["catalog_elements"] = elements(u)
    if (u >> 16) % 7 == 0:
        embedded["social_profiles"] = [{"id": u % 1000, "origin": "telegram"}]


def leads(account: Relations, record: Record, index: int, b: int) -> None:
    """Cents, other pipelines, reasons that were deleted, several contacts."""
    u = mix(b, 3)
    number = u % len(w.ALL_PIPELINES)
    record["pipeline_id"] = FIRST_PIPELINE + number
    if record["status_id"] not in (142, 143):
        # The first status of each pipeline is the unsorted one.
        record["status_id"] = FIRST_STATUS + 100 * number + (u >> 6) % (len(w.ALL_PIPELINES[number][1]) + 1)
    _price(record, u >> 9)
    if u % 37 == 0:
        record["name"] = None
    record["score"] = (u >> 12) % 100 if u % 5 == 0 else None
    record["labor_cost"] = (u >> 14) % 40_000 if u % 3 == 0 else None
    record["source_id"] = 9_000_001 if u % 4 == 0 else None
    record |= {"is_price_computed": u % 9 == 0, "is_price_modified_by_robot": u % 11 == 0}
    if u % 6 == 0:
        record["visitor_uid"] = f"{u % 2**32:08x}-0000-4000-8000-000000000000"
    embedded = record["_embedded"]
    embedded["source"] = {"id": 9_000_001, "name": "Сайт"} if record["source_id"] else None
    _reason(record, embedded, u >> 17)
    embedded["catalog_elements"] = elements(u >> 2)
    if (u >> 20) % 3 == 0:
        others = [{"id": c["id"], "is_main": False} for c in _some(account, "contacts", u >> 21)]
        embedded["contacts"] = (
            []
            if (u >> 25) % 4 == 0
            else others + [c for c in embedded["contacts"] if c["id"] not in {o["id"] for o in others}]
        )
    if record["custom_fields_values"] and u % 2:
        record["custom_fields_values"] += [
            f.filled(f.DISCOUNT, [{"value": ("7.5", 10, "до 15")[u % 3]}]),
            f.filled(f.REFERRER, [{"value": "https://primer.example/a?b=c&d=e"}]),
            f.filled(f.PREPAYMENT, [{"value": f"{u % 90_000}.25"}]),
            f.filled(f.DEAL, [f.chosen(f.DEAL, (u >> 1) % 2)]),
            f.filled(f.WISHES, [{"value": "Побыстрее\nи подешевле"}]),
        ]


def _price(record: Record, u: int) -> None:
    whole, cents = record["price"], u % 100
    choice = (u >> 7) % 20
    if choice < 12:
        record["price_with_minor_units"] = float(f"{whole}.{cents:02d}")
    elif choice == 12:
        record["price"] = float(f"{whole}.{cents:02d}")
    elif choice == 13:
        record["price"] = str(whole)
    elif choice == 14:
        record |= {"price": 0, "price_with_minor_units": cents / 100}
    elif choice == 15:
        record["price"] = None
    elif choice == 16:
        del record["price_with_minor_units"]


def _reason(record: Record, embedded: Record, u: int) -> None:
    """What `with=loss_reason` gives: a list of one, the object itself, or nothing in several forms."""
    if record["loss_reason_id"] is None:
        embedded["loss_reason"] = ([], None, [])[u % 3]
        return
    if u % 3 == 0:
        number = (u >> 3) % len(w.GONE_REASONS)
        record["loss_reason_id"] = FIRST_GONE_REASON + number
        name = w.GONE_REASONS[number]
    else:
        name = w.LOSS_REASONS[record["loss_reason_id"] - FIRST_REASON]
    whole = {
        "id": record["loss_reason_id"],
        "name": name,
        "sort": 100_000,
        "created_at": EPOCH,
        "updated_at": EPOCH,
    }
    embedded["loss_reason"] = whole if u % 4 == 0 else [whole]


def customers(account: Relations, record: Record, index: int, b: int) -> None:
    """Custom fields, segments, tags, people and firms."""
    u = mix(b, 4)
    if u % 23 == 0:
        record["name"] = None
    record["next_price"] = (u >> 3) % 10_000 + 0.5 if u % 3 == 0 else (u >> 3) % 10_000
    record["next_date"] = MIDNIGHT + 86_400 * (u % 60)
    record["periodicity"] = 0
    record["status_id"] = 4_740_028 + u % 3
    if u % 2:
        record["custom_fields_values"] = [
            f.filled(f.LEVEL, [f.chosen(f.LEVEL, u % 3 and 1)]),
            f.filled(f.BORN, [{"value": -128_926_800 - 86_400 * (u % 3000)}]),
        ]
    people = _some(account, "contacts", u >> 4)
    embedded = record["_embedded"]
    embedded["tags"] = [{"id": FIRST_TAG + 3000, "name": w.TAGS[0], "color": w.TAG_COLORS[0]}] if u % 3 == 0 else []
    embedded["segments"] = [{"id": 43 + u % 2}] if u % 4 else []
    embedded["contacts"] = [{"id": c["id"], "is_main": n == len(people) - 1} for n, c in enumerate(people)]
    embedded["companies"] = _some(account, "companies", u >> 6)
    embedded["catalog_elements"] = elements(u)


def tasks(account: Relations, record: Record, index: int, b: int) -> None:
    """Task types of the account's own, results that are absent or null."""
    u = mix(b, 5)
    if u % 3 == 0:
        record["task_type_id"] = FIRST_OWN_TASK_TYPE + (u >> 2) % len(w.OWN_TASK_TYPES)
    record["duration"] = (0, 0, 1800, 3600, 7200)[(u >> 5) % 5]
    if not record["result"]:
        if (u >> 8) % 3 == 0:
            record["result"] = None
        elif (u >> 8) % 3 == 1:
            del record["result"]


def smart_address(u: int) -> list[Record]:
    """An address in parts: some empty, some absent, in no order that one could read aloud."""
    street = (w.STREETS[u % 6] + f", {u % 90 + 1}", "", f"оф. {u % 400}")
    values = (street[0], street[1 + u % 2], w.CITIES[(u >> 3) % 6], "", f"{101_000 + u % 9000}", "RU")
    parts = [{"value": v, "enum_id": n, "enum_code": c} for n, (c, v) in enumerate(zip(_PARTS, values, strict=True), 1)]
    if (u >> 8) % 3 == 0:
        parts = [parts[2], parts[4]]
    if (u >> 11) % 2:
        parts.reverse()
    return parts


def legal_entity(u: int, index: int, kpp: bool) -> Record:
    """The requisites of a firm with all their keys."""
    return {
        "name": f"ООО «Ромашка {index}»" if kpp else f"АО «Лютик {index}»",
        "entity_type": 1 + u % 2,
        "vat_id": inn(u >> 3 if kpp else u >> 5),
        "kpp": "770101001" if kpp else None,
        "tax_registration_reason_code": 1_027_700_000_000 + u % 10**6,
        "address": address(u),
        "real_address": None,
        "bank_code": "044525225",
        "bank_account_number": "40702810000000000001",
        "external_uid": f"{u % 2**32:08x}",
        "unp": None,
        "bin": None,
        "egrpou": None,
        "mfo": None,
        "oked": None,
        "director": "Петров П. П.",
    }


def item(u: int, name: str) -> Record:
    """A line of an order."""
    price, quantity = (u % 900) + 0.5, float(u % 7 + 1)
    return {
        "sku": "",
        "description": name,
        "unit_price": price,
        "quantity": quantity,
        "unit_type": "шт",
        "discount": {"type": "percentage", "value": 0},
        "vat_rate_id": 0,
        "vat_rate_value": 20,
        "external_uid": "",
        "product_id": None,
        "bonus_points_per_purchase": 0,
        "metadata": None,
        "is_discount_recalculated": False,
        "is_total_sum_recalculated": False,
        "total_sum": price * quantity,
    }


def rare_fields(u: int, index: int) -> list[Record]:
    """A value of every other type with all its keys; several where the type allows it."""
    midnight: Any = MIDNIGHT - 86_400 * (u % 400)
    if u % 5 == 0:
        midnight = "2026-03-15T00:00:00+03:00"
    born = -128_926_800 - 86_400 * (u % 3000)
    requisites = [{"value": legal_entity(u, index, kpp=True)}]
    if (u >> 4) % 3 == 0:
        requisites.insert(0, {"value": legal_entity(u, index, kpp=False)})
    firm = account_firm(u, index)
    values: tuple[list[Record], ...] = (
        [{"value": "текст"}],
        [{"value": "строка\nстрока"}],
        [{"value": ("415949", 12.5, "до 15", 80)[u % 4]}],
        [{"value": u % 3 > 0}],
        [{"value": born if u % 3 else str(born)}],
        [{"value": midnight}],
        [{"value": str(EPOCH - u % 10**6) if u % 3 else EPOCH - u % 10**6}],
        [{"value": w.STREETS[u % 6]}],
        requisites,
        [{"value": item(u, "Болт М8")}, {"value": item(u >> 3, "Гайка М8")}][: 1 + u % 2],
        [{"value": f"{u % 10**6}.75"}],
        [{"value": ("1500.50", u % 1000)[u % 2]}],
        [{"value": {"name": "Другая фирма", "entity_id": 10_000_001, "entity_type": "companies", "catalog_id": None}}],
        [{"value": {"file_uuid": f"u{index}", "version_uuid": "v", "file_name": "Договор № 5.pdf", "file_size": 120_304, "is_deleted": False}}],
        [{"value": "yandex"}],
        [{"value": {"name": f"ООО Ромашка {index}"}}],
        [{"value": {**firm, "type": "companies", "phone": phone(u), "email": None}}],
        [{"value": {**firm, "kpp": "590301001", "bank_code": "044525225", "address": address(u)}}],
    )  # fmt: skip
    kinds = (*f.RARE[:2], f.AREA, *f.RARE[3:])
    fields = [f.filled(field, v) for field, v in zip(kinds, values, strict=True)]
    form = f.DEFINED["companies"][-1]
    fields += [f.filled(field, [f.chosen(field, 0)]) for field in (form, f.RARE_SELECTS[1])]
    fields.append(f.filled(f.INTERESTS, [f.chosen(f.INTERESTS, 0), f.chosen(f.INTERESTS, 1)]))
    links = [{"catalog_id": c, "catalog_element_id": FIRST_ELEMENT + u % ELEMENTS} for c in CATALOGS]
    fields.append(f.filled(f.CHAINED, links))
    fields.append(f.filled(f.SMART, smart_address(u >> 5)))
    return fields


def account_firm(u: int, index: int) -> Record:
    """Another firm of the account, as a payer or supplier names it."""
    return {"entity_id": 10_000_001, "name": f"ООО «Партнёр {index}»", "vat_id": inn(u >> 6), "kpp": None}


def elements(u: int) -> list[Record]:
    """Linked elements of catalogues: none, or one with a quantity that may be a float."""
    if u % 8:
        return []
    metadata = {"quantity": (1, 1.0, 2.5)[(u >> 4) % 3], "catalog_id": CATALOGS[0]}
    if (u >> 7) % 2:
        metadata["price_id"] = 2_930_681
    return [{"id": FIRST_ELEMENT + (u >> 9) % ELEMENTS, "metadata": metadata}]


def _some(account: Relations, kind: str, u: int) -> list[Record]:
    """None, one or two neighbours of a kind, as links."""
    size = account.sizes.get(kind, 0)
    if not size or u % 3 == 0:
        return []
    place = (u >> 2) % size
    return [{"id": account.first[kind] + n} for n in range(place, min(size, place + 1 + (u >> 40) % 2))]
