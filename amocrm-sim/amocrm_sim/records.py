"""The account's records, each computed from seed, kind and place: a million cost no memory until they are asked for."""

from __future__ import annotations

from typing import Any

from amocrm_sim import words as w

Record = dict[str, Any]
ACCOUNT_ID = 31_415_926
# All made-up records were last changed before this second (2026-06-01 00:00 UTC).
EPOCH = 1_780_272_000
IMPORT_SECOND = EPOCH - 40 * 86_400
MASK = (1 << 64) - 1
FIRST_ID = {
    "companies": 10_000_001,
    "contacts": 20_000_001,
    "leads": 30_000_001,
    "tasks": 40_000_001,
    "companies/notes": 50_000_001,
    "contacts/notes": 60_000_001,
    "leads/notes": 70_000_001,
    "customers": 80_000_001,
}
ENTITIES = ("companies", "contacts", "leads")
USERS = 12
FIRST_USER = 5_000_001
# Users who were deleted: their ids stay in records, no list shows them.
GHOST_USER = 4_999_999
FIELD = {"POSITION": 700_001, "PHONE": 700_002, "EMAIL": 700_003, "WEB": 700_004, "ADDRESS": 700_005}
BRANCH_FIELD, INN_FIELD, SOURCE_FIELD = 700_010, 700_011, 700_012


def mix(*parts: int) -> int:
    """64 well-mixed bits of a few numbers (splitmix64): the same on every machine and in every run."""
    z = 0x9E3779B97F4A7C15
    for part in parts:
        z = (z ^ part) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return z


def inn(bits: int) -> str:
    """A ten-digit ИНН with a right check digit."""
    digits = [int(d) for d in f"{77 * 10**7 + bits % 10**7:09d}"]
    weights = (2, 4, 10, 3, 5, 9, 4, 6, 8)
    return "".join(map(str, digits)) + str(sum(a * b for a, b in zip(digits, weights, strict=True)) % 11 % 10)


def phone(bits: int) -> str:
    """A phone as people type it."""
    if bits % 23 == 0:
        return w.ODD_PHONES[(bits >> 8) % len(w.ODD_PHONES)]
    n = f"9{(bits >> 12) % 10**9:09d}"
    return w.SPELLINGS[(bits >> 5) % len(w.SPELLINGS)].format(n[:3], n[3:6], n[6:8], n[8:])


class Account:
    """Sizes and seed; computes any record by kind and index (from 0)."""

    def __init__(self, seed: int, sizes: dict[str, int]) -> None:
        self.seed = seed
        self.sizes = sizes

    def bits(self, kind: str, index: int) -> int:
        """The record's own random bits."""
        return mix(self.seed, FIRST_ID[kind], index)

    def times(self, kind: str, index: int) -> tuple[int, int]:
        """created_at and updated_at, Unix seconds; a third of all records share one second of an import."""
        b = self.bits(kind, index)
        created = EPOCH - 86_400 * 800 + b % (86_400 * 700)
        if b % 3 == 0:
            return min(created, IMPORT_SECOND), IMPORT_SECOND
        return created, min(EPOCH - 1, created + (b >> 20) % (86_400 * 90))

    def user(self, b: int) -> int:
        """Mostly somebody; sometimes nobody (0) or a deleted user."""
        n = (b >> 16) % 40
        return 0 if n == 0 else GHOST_USER if n == 1 else FIRST_USER + n % USERS

    def company_of(self, kind: str, index: int) -> int | None:
        """The id of the company of a contact or lead; every tenth has none."""
        b = self.bits(kind, index)
        count = self.sizes["companies"]
        if not count or b % 10 == 0:
            return None
        return FIRST_ID["companies"] + (b >> 8) % count

    def contact_of_lead(self, index: int) -> int | None:
        """The main contact's id of a lead."""
        count = self.sizes["contacts"]
        return FIRST_ID["contacts"] + (self.bits("leads", index) >> 24) % count if count else None

    def parent_of(self, kind: str, index: int) -> tuple[str | None, int | None]:
        """Entity type and id that a note or task hangs on."""
        b = self.bits(kind, index)
        if kind.endswith("/notes"):
            entity = kind.split("/")[0]
        else:
            choice = b % 20
            if choice == 0:
                return None, None
            entity = "customers" if choice == 1 else ENTITIES[choice % 3]
        count = self.sizes.get(entity, 0)
        return (entity, FIRST_ID[entity] + (b >> 8) % count) if count else (None, None)

    def record(self, kind: str, index: int) -> Record:
        """The whole record as the API gives it with all of `with`."""
        created, updated = self.times(kind, index)
        b = self.bits(kind, index)
        base: Record = {
            "id": FIRST_ID[kind] + index,
            "created_by": self.user(b >> 3),
            "updated_by": self.user(b >> 5),
            "created_at": created,
            "updated_at": updated,
            "responsible_user_id": self.user(b),
            "group_id": 0,
            "account_id": ACCOUNT_ID,
        }
        if kind.endswith("/notes"):
            return self._note(base, kind, index, b)
        if kind == "tasks":
            return self._task(base, index, b)
        base |= {"closest_task_at": EPOCH + b % 86_400 if b % 7 == 0 else None, "is_deleted": False}
        return getattr(self, f"_{kind}")(base, index, b)  # type: ignore[no-any-return]

    def _companies(self, base: Record, index: int, b: int) -> Record:
        name = f"{w.FORM[b % 5]} «{w.TRADE[(b >> 4) % 14]}{w.TAIL[(b >> 9) % 10]}»"
        if b % 97 == 0:
            name = w.NASTY[(b >> 8) % len(w.NASTY)]
        fields = [_field(BRANCH_FIELD, "Филиал", None, "select", [_enum(w.BRANCHES[b % 5], 900 + b % 5)])]
        fields.append(_multi("PHONE", "Телефон", [(phone(b), "WORK"), (phone(b >> 7), "WORKDD")][: 1 + b % 2]))
        if b % 3:
            fields.append(_multi("EMAIL", "Email", [(f"Info{index}@Firma{b % 900}.ru", "WORK")]))
            fields.append(_field(INN_FIELD, "ИНН", None, "text", [{"value": inn(b >> 5)}]))
        if b % 4 == 0:
            fields += _rare_fields(b, index)
        fields.append(_field(FIELD["ADDRESS"], "Адрес", "ADDRESS", "textarea", [{"value": address(b)}]))
        fields.append(_field(FIELD["WEB"], "Web", "WEB", "url", [{"value": f"https://firma{b % 900}.ru"}]))
        base |= {"name": name, "custom_fields_values": fields}
        base["_embedded"] = {"tags": tags(b), "contacts": [], "leads": [], "customers": [], "catalog_elements": []}
        return base

    def _contacts(self, base: Record, index: int, b: int) -> Record:
        first, last = w.FIRST[(b >> 4) % len(w.FIRST)], w.LAST[(b >> 9) % len(w.LAST)]
        whole = f"{first} {last}"
        if b % 5 == 0:
            first = last = ""
        if b % 89 == 0:
            whole = w.NASTY[(b >> 8) % len(w.NASTY)]
        fields: list[Record] | None = [
            _field(FIELD["POSITION"], "Должность", "POSITION", "text", [{"value": w.POSITIONS[b % 7]}]),
            _multi(
                "PHONE", "Телефон", [(phone(b >> 1), "WORK"), (phone(b >> 9), "MOB"), (phone(b >> 1), "HOME")][: b % 4]
            ),
            _multi("EMAIL", "Email", [(f"User{index}@mail{b % 9}.ru", "WORK"), ("не знает", "OTHER")][: b % 3]),
            _field(SOURCE_FIELD, "Источник", None, "select", [_enum(w.SOURCES[b % 4], 950 + b % 4)]),
        ]
        fields = [f for f in fields or () if f["values"]] if b % 11 else None
        company = self.company_of("contacts", index)
        base |= {"name": whole, "first_name": first, "last_name": last, "is_unsorted": False}
        base |= {"custom_fields_values": fields}
        base["_embedded"] = {
            "tags": tags(b),
            "companies": [{"id": company}] if company else [],
            "leads": [],
            "customers": [],
            "catalog_elements": [],
            "social_profiles": [],
        }
        return base

    def _leads(self, base: Record, index: int, b: int) -> Record:
        number = b % len(w.PIPELINES)
        closed = b % 3 == 0
        status = (
            (142 if b % 2 else 143) if closed else 8_000_001 + 100 * number + (b >> 6) % len(w.PIPELINES[number][1])
        )
        company, contact = self.company_of("leads", index), self.contact_of_lead(index)
        base |= {
            "name": f"Сделка №{index + 1}" if b % 61 else w.NASTY[(b >> 8) % len(w.NASTY)],
            "price": (b >> 11) % 5_000_000,
            "price_with_minor_units": None,
            "status_id": status,
            "pipeline_id": 7_000_001 + number,
            "loss_reason_id": 6_000_001 + (b >> 7) % len(w.LOSS_REASONS) if status == 143 else None,
            "source_id": None,
            "closed_at": base["updated_at"] if closed else None,
            "score": None,
            "labor_cost": None,
            "custom_fields_values": None if b % 2 else [
                _field(700_020, "Дата поставки", None, "date", [{"value": EPOCH - 86_400 * (b % 300) - 10_800}])
            ],
        }  # fmt: skip
        base["_embedded"] = {
            "tags": tags(b),
            "companies": [{"id": company}] if company else [],
            "contacts": [{"id": contact, "is_main": True}] if contact else [],
            "catalog_elements": [],
            "loss_reason": [],
        }
        return base

    def _customers(self, base: Record, index: int, b: int) -> Record:
        base |= {"name": f"Покупатель {index + 1}", "next_price": b % 10_000, "next_date": EPOCH, "status_id": 1}
        base |= {"periodicity": 30, "ltv": b % 100_000, "purchases_count": b % 9, "average_check": 100}
        base |= {
            "custom_fields_values": None,
            "_embedded": {"tags": [], "contacts": [], "companies": [], "segments": []},
        }
        return base

    def _task(self, base: Record, index: int, b: int) -> Record:
        entity, entity_id = self.parent_of("tasks", index)
        done = b % 2 == 0
        base |= {
            "entity_id": entity_id,
            "entity_type": entity,
            "is_completed": done,
            "task_type_id": 1 + b % 3,
            "text": w.TEXTS[(b >> 4) % len(w.TEXTS)],
            "duration": 1800,
            "complete_till": base["created_at"] + 86_400,
            "result": {"text": "Сделано"} if done and b % 3 else [],
        }
        return base

    def _note(self, base: Record, kind: str, index: int, b: int) -> Record:
        entity, entity_id = self.parent_of(kind, index)
        note_type, params = note_params(b, index)
        base |= {"entity_id": entity_id, "note_type": note_type, "params": params}
        base["_links"] = {"self": {"href": f"{{base}}/api/v4/{entity}/{entity_id}/notes/{base['id']}"}}
        return base


def address(b: int) -> str:
    """A postal address."""
    return f"{w.CITIES[b % 6]}, {w.STREETS[(b >> 3) % 6]}, д. {b % 200 + 1}"


def tags(b: int) -> list[Record]:
    """None, one or two tags."""
    chosen = sorted({(b >> s) % len(w.TAGS) for s in (13, 17)[: b % 3]})
    return [{"id": 3_000_001 + n, "name": w.TAGS[n], "color": None} for n in chosen]


def note_params(b: int, index: int) -> tuple[str, Any]:
    """A note's type and parameters, the odd old ones included."""
    number = phone(b >> 2)
    choice = b % 12
    if choice < 5:
        text = w.TEXTS[(b >> 4) % len(w.TEXTS)]
        if b % 401 == 0:
            text = "длинный текст " * 5000
        elif b % 53 == 0:
            text = w.NASTY[(b >> 8) % len(w.NASTY)]
        return "common", {"text": text}
    if choice < 8:
        call = {
            "uniq": f"c{index}",
            "duration": b % 900,
            "source": "АТС",
            "link": f"https://records.example/{index}.mp3",
        }
        call |= {
            "phone": number,
            "call_result": "",
            "call_status": 1 + b % 8,
            "call_responsible": FIRST_USER + b % USERS,
        }
        if b % 5 == 0:
            call = {k.upper(): call[k] for k in ("uniq", "duration", "link", "phone")}
        return ("call_in" if b % 2 else "call_out"), call
    if choice == 8:
        return "sms_in", {"TEXT": "Здравствуйте!", "PHONE": number}
    if choice == 9:
        return "attachment", {"original_name": "Договор.pdf", "file_uuid": f"f{index}", "version_uuid": f"v{index}"}
    if choice == 10:
        return "service_message", [] if b % 2 else {"service": "Виджет", "text": "Заявка с сайта"}
    return str(100 + b % 5), None if b % 2 else "строка"


def _enum(value: str, enum_id: int) -> Record:
    return {"value": value, "enum_id": enum_id, "enum_code": None}


def _field(field_id: int, name: str, code: str | None, kind: str, values: list[Record]) -> Record:
    return {
        "field_id": field_id,
        "field_name": name,
        "field_code": code,
        "field_type": kind,
        "is_computed": False,
        "values": values,
    }


def _multi(code: str, name: str, values: list[tuple[str, str]]) -> Record:
    found = [{"value": v, "enum_id": 400_000 + len(e), "enum_code": e} for v, e in values]
    return _field(FIELD[code], name, code, "multitext", found)


def _rare_fields(b: int, index: int) -> list[Record]:
    """One value of every other type that the reference names."""
    midnight = EPOCH - 86_400 * (b % 400) - 10_800
    entity = {"name": f"ООО «Ромашка {index}»", "entity_type": 1, "vat_id": inn(b >> 3), "kpp": "770101001"}
    plain: list[tuple[int, str, str, Any]] = [
        (700_030, "Комментарий", "text", "текст"),
        (700_031, "Описание", "textarea", "строка\nстрока"),
        (700_032, "Количество сотрудников", "numeric", str(b % 500)),
        (700_033, "Постоянный", "checkbox", True),
        (700_034, "День рождения", "birthday", midnight),
        (700_035, "Основана", "date", midnight),
        (700_036, "Последний визит", "date_time", EPOCH - b % 10**6),
        (700_037, "Улица", "streetaddress", w.STREETS[b % 6]),
        (700_038, "Реквизиты", "legal_entity", entity),
        (700_039, "Товары", "items", {"sku": "a1", "description": "Болт", "unit_price": 10, "quantity": 3}),
        (700_040, "Оборот", "monetary", str(b % 10**6)),
        (700_041, "Цена", "price", b % 1000),
        (700_042, "Партнёр", "linked_entity", {"name": "X", "entity_id": 1, "entity_type": "companies", "catalog_id": None}),
        (700_043, "Файл", "file", {"file_uuid": "u", "version_uuid": "v", "file_name": "a.pdf", "file_size": 10, "is_deleted": False}),
        (700_044, "utm_source", "tracking_data", "yandex"),
        (700_045, "Юр. название", "org_legal_name", {"name": f"ООО Ромашка {index}"}),
        (700_046, "Плательщик", "payer", entity),
        (700_047, "Поставщик", "supplier", entity),
    ]  # fmt: skip
    fields = [_field(i, n, None, t, [{"value": v}]) for i, n, t, v in plain]
    fields.append(_field(700_050, "Вид деятельности", None, "radiobutton", [_enum("Торговля", 990)]))
    fields.append(_field(700_051, "Категория", None, "category", [_enum("A", 991)]))
    fields.append(_field(700_052, "Интересы", None, "multiselect", [_enum("Опт", 992), _enum("Розница", 993)]))
    fields.append(_field(700_053, "Каталог", None, "chained_list", [{"catalog_id": 1, "catalog_element_id": 2}]))
    lines = (("address_line_1", "ул. Ленина, 1"), ("city", "Казань"), ("zip", "420000"), ("country", "RU"))
    smart = [{"value": v, "enum_id": n, "enum_code": c} for n, (c, v) in enumerate(lines, 1)]
    fields.append(_field(700_054, "Умный адрес", None, "smart_address", smart))
    return fields
